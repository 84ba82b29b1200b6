"""What every change of a case file is made of: each step exists once, here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from simpul_agreement.model import ClockName
from simpul_agreement.plan import PlannedReferral
from simpul_agreement.rights import Ledger
from simpul_routing.domain.actors import Actor, has_access
from simpul_routing.domain.case import Case, compute_version
from simpul_routing.domain.case_events import (
    NO_PAYLOAD,
    ROUTING,
    CaseEvent,
    CaseEventKind,
    ChangedReferral,
    ChangedState,
    OfferedReferral,
    Payload,
)
from simpul_routing.domain.case_lifecycle import CASE_TRANSITIONS, CaseAction, state_after
from simpul_routing.domain.clocks import ENDED_UNSEEN, ReferralClock, find_answer_deadline
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.lifecycle import TERMINAL, ReplyKind, ServiceState, Standing
from simpul_routing.domain.pending import add_pending
from simpul_routing.domain.published import (
    Cancelled,
    DeadlineMet,
    Pending,
    Published,
    ReferralAmended,
    ReferralOffered,
    Replacement,
    Rerouted,
    RightsChanged,
    ServiceChange,
    ServicesChanged,
)
from simpul_routing.domain.referral import OutstandingService, Referral, ReferralService
from simpul_routing.domain.rights import LeadService, update_right
from simpul_routing.domain.rules import Rules
from simpul_routing.domain.service_plan import ServicePlan
from simpul_routing.domain.transfer import Transfer
from simpul_schema.vocabulary import (
    CancelReason,
    CaseEnd,
    DeclineReason,
    ReferralOutcome,
    ReferralRole,
    ReplanReason,
    Right,
    Service,
    Urgency,
)

_CASE_MANAGEMENT: Final = OutstandingService(Service.CASE_MANAGEMENT, ReferralRole.LEAD)


class Alarm(StrEnum):
    """What an operator must learn at once."""

    AGREEMENT_GAP = "agreement_gap"
    NO_AGENCY = "no_agency"
    NO_DECIDING_AGENCY = "no_deciding_agency"


@dataclass(frozen=True, slots=True)
class Why:
    """Why a service changes: who does it, by which message, and at most one reason."""

    actor: str
    cause: UUID | None = None
    decline: DeclineReason | None = None
    cancel: CancelReason | None = None
    replan: ReplanReason | None = None
    next_agency: str = ""
    is_by_hand: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a new service takes from the decision, or from the service that it continues."""

    urgency: Urgency
    agreement: str
    clocks: Sequence[ReferralClock]
    continues: ReferralService | None = None
    reroute_count: int = 0
    escalated_service: OutstandingService | None = None
    by_hand: bool = False


@dataclass(kw_only=True, repr=False, eq=False)
class CaseRecord:
    """A case with its referrals as they were loaded, and everything that changed since."""

    case: Case
    referrals: dict[UUID, Referral]
    """Its own referrals and those of merged duplicates."""
    rules: Rules
    review: ExclusionReview | None = None
    """The open review of suggested exclusions."""
    plan: ServicePlan | None = None
    """The open proposal of services."""
    transfers: dict[UUID, Transfer] = field(default_factory=dict)
    """Its transfers and those of merged duplicates, settled ones included."""
    acting: Actor | None = None
    """The person who changes the case now; None for a message or a clock."""
    is_new: bool = False
    pending: list[Pending] = field(default_factory=list)
    history: list[CaseEvent] = field(default_factory=list)
    alarms: list[tuple[Alarm, ReferralService | None]] = field(default_factory=list)
    """Each with the service that it is about."""
    loaded_case: Case = field(init=False)
    loaded_referrals: dict[UUID, Referral] = field(init=False)
    loaded_elsewhere: dict[UUID, Case] = field(init=False)
    """Referral -> the duplicate that it was loaded with, for those taken over since."""
    loaded_review: ExclusionReview | None = field(init=False)
    loaded_plan: ServicePlan | None = field(init=False)
    loaded_transfers: dict[UUID, Transfer] = field(init=False)

    def __post_init__(self) -> None:
        self.loaded_case, self.loaded_referrals = self.case, dict(self.referrals)
        self.loaded_elsewhere = {}
        self.loaded_review, self.loaded_plan = self.review, self.plan
        self.loaded_transfers = dict(self.transfers)

    @property
    def case_id(self) -> UUID:
        """The id of the case."""
        return self.case.case_id

    @property
    def facts(self) -> CaseFacts:
        """The facts behind the last decision."""
        return self.case.facts

    @property
    def services(self) -> list[ReferralService]:
        """The services of all referrals, those of merged duplicates included."""
        return [service for referral in self.referrals.values() for service in referral.services.values()]

    @property
    def own_services(self) -> list[ReferralService]:
        """The services of the case itself, without those of merged duplicates."""
        own = (referral for referral in self.referrals.values() if referral.case_id == self.case_id)
        return [service for referral in own for service in referral.services.values()]

    def find_service(self, service_id: UUID) -> ReferralService | None:
        """Finds a service by its id."""
        found = (referral.services.get(service_id) for referral in self.referrals.values())
        return next((service for service in found if service), None)

    def find_replied(self, referral_id: UUID) -> tuple[Referral, tuple[UUID, ...]] | None:
        """Finds the referral of a reply, and the only service that it can be about if it gives a former id.

        Until 2026-11-27 each service was a referral; an agency may still answer under that id.
        """
        if referral_id in self.referrals:
            return self.referrals[referral_id], ()
        service = self.find_service(referral_id)
        return (self.referrals[service.referral_id], (service.service_id,)) if service else None

    def set_service(self, service: ReferralService) -> None:
        """Adds or replaces a service in its referral; publishes which deadlines that people were alerted about are met.

        What ends with its service is not published here, because its end is.
        """
        referral = self.referrals[service.referral_id]
        before = referral.services.get(service.service_id)
        self.referrals[service.referral_id] = referral.with_service(service)
        for name, clock in service.clocks.items() if before else ():
            is_shown = name not in ENDED_UNSEEN or (
                service.standing.state in TERMINAL and name is not ClockName.WITHDRAWAL
            )
            earlier = before.clocks.get(name) if before else None
            if earlier and clock.is_stopped and not earlier.is_stopped and clock.has_alerted and not is_shown:
                self.enqueue(DeadlineMet(self.referrals[service.referral_id], (service,), name))

    @property
    def version(self) -> int:
        """The version that people name when they change the case."""
        return compute_version(self.case, (service.version for service in self.own_services))

    def is_visible_to(self, actor: Actor) -> bool:
        """Whether a person may know of the case."""
        own = {referral.agency for referral in self.referrals.values() if referral.case_id == self.case_id}
        deciding = {awaited.agency for awaited in (self.review, self.plan) if awaited}
        return has_access(actor, self.facts.origin.excluded, own | deciding, self.rules.agreement)

    def enqueue(self, content: Published, cause: UUID | None = None) -> None:
        """Enqueues something to publish about the case once the file is saved."""
        add_pending(self.pending, Pending(self.case_id, content, cause))

    def record_event(
        self,
        kind: CaseEventKind,
        actor: str,
        payload: Payload = NO_PAYLOAD,
        *,
        note: str = "",
        cause: UUID | None = None,
    ) -> None:
        """Adds an entry about the case itself to the history."""
        self._add_to_history(CaseEvent(self.case_id, kind, actor, payload, note=note, cause=cause))

    def _add_to_history(self, event: CaseEvent) -> None:
        """Adds an entry, with agency and role of the person if a person is its actor."""
        by = self.acting
        if by and event.actor == by.code:
            event = replace(event, actor_agency=by.agency, actor_role=by.role)
        self.history.append(event)

    def raise_alarm(self, alarm: Alarm, service: ReferralService | None = None) -> None:
        """Alarms an operator once the file is saved."""
        self.alarms.append((alarm, service))

    def change_case(self, **changes: Any) -> None:
        """Changes fields of the case."""
        self.case = replace(self.case, version=self.case.version + 1, **changes)

    def change_state(
        self,
        action: CaseAction,
        actor: str,
        *,
        note: str = "",
        cause: UUID | None = None,
        end: CaseEnd | None = None,
        replan_reason: ReplanReason | None = None,
        **changes: Any,
    ) -> None:
        """Brings the case to the state that an action leads to; `changes` are other fields of the case."""
        after = state_after(action)
        payload = ChangedState(self.case.state, after, action, end, replan_reason)
        self.record_event(CaseEventKind.STATE_CHANGED, actor, payload, note=note, cause=cause)
        self.change_case(state=after, **changes)

    @property
    def triage_declined_by(self) -> set[str]:
        """The agencies that declined to triage the case."""
        return {
            triage.agency
            for triage in self.own_services
            if triage.service is Service.MANUAL_TRIAGE
            and triage.standing.state in (ServiceState.DECLINED, ServiceState.REROUTED)
        }

    def update_case_state(self, action: CaseAction) -> None:
        """Changes the state of the case after its services changed, if the action is allowed in it.

        The case is served only when no lead is open and no service plan awaits a decision.
        """
        is_allowed = (self.case.state, action) in CASE_TRANSITIONS
        if is_allowed and not (action is CaseAction.SERVED and (self.plan or self._has_open_lead())):
            self.change_state(action, ROUTING)

    def _has_open_lead(self) -> bool:
        return any(s.role is ReferralRole.LEAD and s.standing.is_open for s in self.own_services)

    def offer_service(self, planned: PlannedReferral, terms: Terms, actor: str, cause: UUID | None) -> ReferralService:
        """Offers a service to an agency."""
        service = self.add_service(planned, terms, ServiceState.OFFERED)
        self.publish_offer(service, actor, cause)
        return service

    def publish_offer(self, service: ReferralService, actor: str, cause: UUID | None) -> None:
        """Publishes a new service with the facts for its agency: the first ones as an offer, later ones as added."""
        offered = OfferedReferral(service.agency, service.service, service.role)
        self._record_of(service, CaseEventKind.REFERRAL_OFFERED, actor, offered, cause=cause)
        known, added = self.referrals[service.referral_id], (service.service_id,)
        referral = replace(known, offered_at=known.offered_at or self.rules.now)
        self.referrals[referral.referral_id] = referral
        facts = self.facts.shared
        is_first = known.offered_at is None
        self.enqueue(
            ReferralOffered(referral, facts, added) if is_first else ReferralAmended(referral, facts, added), cause
        )

    def add_service(self, planned: PlannedReferral, terms: Terms, state: ServiceState) -> ReferralService:
        """Adds a service to the referral of its agency, which has one for each case."""
        referral = self._find_referral(planned.agency)
        service = ReferralService(
            service_id=self.rules.new_id(),
            referral_id=referral.referral_id,
            position=len(referral.services) + 1,
            agency=planned.agency,
            service=planned.service,
            role=planned.role,
            answer_by=find_answer_deadline(
                terms.clocks, terms.continues.answer_by if terms.continues else self.rules.now
            ),
            agreement=terms.agreement,
            clauses=planned.clauses,
            standing=Standing(state, terms.urgency, has_first_aid=False),
            clocks={clock.clock: clock for clock in terms.clocks},
            reroute_count=terms.reroute_count,
            rerouted_from=terms.continues.service_id if terms.continues else None,
            escalated_service=terms.escalated_service,
            by_hand=terms.by_hand,
        )
        self.referrals[referral.referral_id] = referral.with_service(service)
        self.rules.capacities.count_offer(service.agency, service.service)
        if self.transfers and service.outstanding_service == _CASE_MANAGEMENT:
            self.update_transfer_clock()
        return self.referrals[referral.referral_id].services[service.service_id]

    def update_transfer_clock(self) -> None:
        """Lets the agency that manages the case wait for the transfer that is due first, and for nothing else.

        The clock belongs to the case manager's service and moves with the case; it stops when every transfer is
        settled.
        """
        managing = [s for s in self.services if s.standing.is_open and s.outstanding_service == _CASE_MANAGEMENT]
        if not managing:
            return
        manager = managing[-1]
        first = min((one for one in self.transfers.values() if one.is_open), key=lambda one: one.due_at, default=None)
        running = manager.clocks.get(ClockName.TRANSFER)
        if first and (running is None or running.is_stopped or running.due_at != first.due_at):
            clock = ReferralClock(ClockName.TRANSFER, first.sent_at, first.due_at)
        elif first is None and running and not running.is_stopped:
            clock = running.stop(self.rules.now)
        else:
            return
        self.set_service(manager.with_clocks([clock]))

    def _find_referral(self, agency: str) -> Referral:
        """Returns the referral of the case to an agency; a new one for the first service."""
        own = (one for one in self.referrals.values() if one.agency == agency and one.case_id == self.case_id)
        return next(own, None) or Referral(self.rules.new_id(), self.case_id, agency, services={})

    def move_service(
        self,
        service: ReferralService,
        after: ServiceState,
        why: Why,
        change: ServiceChange | None = None,
        *,
        kind: ReplyKind | None = None,
        outcome: ReferralOutcome | None = None,
        facts: CaseFacts | None = None,
        replacement: Replacement | None = None,
    ) -> ReferralService:
        """Changes the state of a service, stops the clocks that the reply or the end stops, and publishes the change.

        An agency that `facts`, those of the case by default, exclude is informed only that its own reply counted. The
        clocks of a declined service run until it is rerouted.
        """
        moved = service.in_state(after, self.rules.now, outcome)
        if after in TERMINAL or (kind and after is not ServiceState.DECLINED):
            moved = moved.stop_clocks(self.rules.now, None if after in TERMINAL else kind)
        self.set_service(moved)
        payload = ChangedReferral(
            service.agency,
            service.service,
            service.standing.state,
            after,
            why.decline,
            why.cancel,
            why.replan,
            why.next_agency,
            why.is_by_hand,
        )
        self._record_of(moved, CaseEventKind.REFERRAL_CHANGED, why.actor, payload, note=why.note, cause=why.cause)
        if change:
            informs_agency = kind is not None or service.agency not in (facts or self.facts).origin.excluded
            replacements = {service.service_id: replacement} if replacement else {}
            referral = self.referrals[service.referral_id]
            self.enqueue(ServicesChanged(referral, (service,), change, informs_agency, replacements), why.cause)
        return moved

    def replace_declined(
        self,
        declined: ReferralService,
        offered: ReferralService,
        replacement: Replacement,
        why: Why,
        facts: CaseFacts | None = None,
    ) -> None:
        """Ends a declined service that another agency is offered."""
        rerouted = Rerouted(offered.referral_id, offered.agency)
        self.move_service(declined, ServiceState.REROUTED, why, rerouted, facts=facts, replacement=replacement)

    def _record_of(
        self,
        service: ReferralService,
        kind: CaseEventKind,
        actor: str,
        payload: Payload,
        *,
        note: str = "",
        cause: UUID | None = None,
    ) -> None:
        case_id = self.referrals[service.referral_id].case_id
        ids = service.referral_id, service.service_id
        self._add_to_history(CaseEvent(case_id, kind, actor, payload, *ids, note=note, cause=cause))

    def cancel_open_services(self, after: ServiceState, why: CancelReason, actor: str) -> None:
        """Cancels every open service and stops its clocks."""
        for service in self.services:
            if service.standing.is_open:
                self.move_service(service, after, Why(actor, cancel=why), Cancelled(why))

    def find_leads(self) -> Mapping[Right, Sequence[LeadService]]:
        """Finds the services with a lead, and the leads that the open plan proposes, by the right that they serve."""
        right_of = self.rules.versions.of(self.case.agreement).agreement.right_of
        found: dict[Right, list[LeadService]] = {}
        for service in self.services:
            outstanding = service.outstanding_service
            right = right_of.get(outstanding.service)
            if outstanding.role is ReferralRole.LEAD and right:
                has_begun = service.started_at is not None and service.escalated_service is None
                lead = LeadService(service.standing.state, service.outcome, has_begun=has_begun)
                found.setdefault(right, []).append(lead)
        for one in self.plan.services if self.plan else ():
            right = right_of.get(one.service)
            if one.role is ReferralRole.LEAD and right:
                found.setdefault(right, []).append(LeadService(ServiceState.OFFERED, is_proposed=True))
        return found

    def update_rights(self, cause: UUID | None) -> None:
        """Updates the rights ledger by the services with a lead and publishes the rights that changed."""
        leads = self.find_leads()
        rights = {right: update_right(entry, leads.get(right, ())) for right, entry in self.case.rights.items()}
        if self.publish_rights(rights, cause):
            self.change_case(rights=rights)

    def publish_rights(self, rights: Ledger, cause: UUID | None) -> bool:
        """Publishes the rights that differ from the ledger; returns whether there are any."""
        changed = {right: entry for right, entry in rights.items() if entry != self.case.rights.get(right)}
        if changed:
            self.enqueue(RightsChanged(changed), cause)
        return bool(changed)
