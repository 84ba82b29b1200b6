"""A case file takes the replies of agencies and reroutes what they decline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final
from uuid import UUID

from simpul_agreement.model import ClockName
from simpul_agreement.plan import PlannedReferral
from simpul_routing.domain.capacity import replace_full_agencies
from simpul_routing.domain.case_events import ROUTING, CaseEventKind
from simpul_routing.domain.case_lifecycle import CaseAction
from simpul_routing.domain.case_record import Terms, Why
from simpul_routing.domain.clocks import continue_clocks
from simpul_routing.domain.consents import withdrawal_id
from simpul_routing.domain.exclusions import find_next_available_agency, find_waiting
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.judgement import judge_referral_reply
from simpul_routing.domain.lifecycle import ReplyKind, ServiceState
from simpul_routing.domain.published import Accepted, Completed, Declined, Replacement, ServiceChange, Started
from simpul_routing.domain.referral import ReferralService
from simpul_routing.domain.replanning import Cause, Replanning
from simpul_routing.domain.reroute import NextAgency
from simpul_schema.vocabulary import DeclineReason, ReferralOutcome, ReferralRole, ReplanReason, ReplyRefusal, Service

WHOLE_CASE: Final = frozenset({ReplyKind.STARTED, ReplyKind.COMPLETED, ReplyKind.DECLINED})
"""Replies that need all referrals of the case, for its rights or for a reroute."""
_VERSION_OF_WITHDRAWALS: Final = 5
"""Of the ids of events about withdrawals; those of earlier versions, like other events, have random ids."""
_CHANGES_RIGHTS: Final = frozenset({ServiceState.IN_PROGRESS, ServiceState.COMPLETED, ServiceState.DECLINED})
_CASE_ACTIONS: Final[Mapping[ServiceState, CaseAction]] = MappingProxyType(
    {
        ServiceState.ACCEPTED: CaseAction.ACCEPTED,
        ServiceState.IN_PROGRESS: CaseAction.BEGUN,
        ServiceState.COMPLETED: CaseAction.SERVED,
    }
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What an agency replied about a referral."""

    reply_id: UUID
    referral_id: UUID
    agency: str
    kind: ReplyKind
    service_ids: tuple[UUID, ...] = ()
    """The services that it is about; empty for all to which it applies."""
    reason: DeclineReason | None = None
    """Of a decline."""
    outcome: ReferralOutcome | None = None
    """Of a completed service."""

    @property
    def is_conflict(self) -> bool:
        """Whether the agency declares a conflict of interest, so that it must not learn who is next."""
        return self.reason is DeclineReason.CONFLICT_OF_INTEREST

    @property
    def change(self) -> ServiceChange | None:
        """What is published about the services; nothing for some replies."""
        match self.kind:
            case ReplyKind.ACCEPTED:
                return Accepted()
            case ReplyKind.STARTED:
                return Started()
            case ReplyKind.COMPLETED if self.outcome:
                return Completed(self.outcome)
            case ReplyKind.DECLINED if self.reason:
                return Declined(self.reason)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that is refused, as a whole or for some services, and why."""

    reply: Reply
    reason: ReplyRefusal
    service_ids: tuple[UUID, ...] = ()
    """Empty if it is refused as a whole."""


class Replies(Replanning):
    """Replies of agencies about the referrals of a case."""

    def record_replies(self, replies: Sequence[Reply]) -> list[Refusal]:
        """Records replies of one kind that arrived together; returns what is refused.

        Declined services are rerouted at once. An agency that declares a conflict is excluded from the case.
        """
        refused: list[Refusal] = []
        recorded: list[tuple[Reply, ReferralService]] = []
        for reply in replies:
            referral, only = self.find_replied(reply.referral_id) or (None, ())
            judged = judge_referral_reply(referral, reply.agency, reply.kind, reply.service_ids or only, reply.reason)
            refused += [Refusal(reply, reason, service_ids) for reason, service_ids in judged.refused.items()]
            if referral is None:
                continue
            for service_id in judged.unchanged:
                self._record_late_receipt(referral.services[service_id], reply.kind)
            why = Why(reply.agency, reply.reply_id, decline=reply.reason)
            for service_id, after in judged.changed.items():
                recorded.append(
                    (
                        reply,
                        self.move_service(
                            referral.services[service_id],
                            after,
                            why,
                            reply.change,
                            kind=reply.kind,
                            outcome=reply.outcome,
                        ),
                    )
                )
        self._reroute_declined([(reply, moved) for reply, moved in recorded if moved.is_declined])
        self._apply_replies_to_case(recorded)
        for reply in dict.fromkeys(reply for reply, _ in recorded):
            if reply.is_conflict and not self.case.has_ended:
                self.exclude_agency(reply.agency, Cause(ReplanReason.AGENCY_EXCLUDED, reply.agency, reply.reply_id))
        return refused

    def _record_late_receipt(self, service: ReferralService, kind: ReplyKind) -> None:
        """Records when a service was delivered whose answer overtook the receipt."""
        if kind is ReplyKind.DELIVERED and service.delivered_at is None:
            self.set_service(replace(service, delivered_at=self.rules.now))

    def _apply_replies_to_case(self, recorded: Sequence[tuple[Reply, ReferralService]]) -> None:
        """Updates the state and the rights of the case after its services changed."""
        for state in dict.fromkeys(moved.standing.state for _, moved in recorded):
            if state in _CASE_ACTIONS:
                self.update_case_state(_CASE_ACTIONS[state])
        leading = [
            reply.reply_id
            for reply, moved in recorded
            if moved.standing.state in _CHANGES_RIGHTS and moved.outstanding_service.role is ReferralRole.LEAD
        ]
        if leading:
            self.update_rights(leading[-1])

    def _reroute_declined(self, declines: Sequence[tuple[Reply, ReferralService]]) -> None:
        if not declines:
            return
        facts = self.facts
        # Excluded first: an agency that declares a conflict is offered no other service of the case either.
        conflicts = frozenset(reply.agency for reply, _ in declines if reply.is_conflict)
        facts = replace(facts, excluded=facts.excluded | conflicts)
        for reply, declined in declines:
            self._reroute_service(declined, reply.reply_id, facts)
        self.follow_case_manager(declines[-1][0].reply_id, facts)

    def _reroute_service(self, declined: ReferralService, cause: UUID, facts: CaseFacts) -> None:
        """Offers a declined service to the next agency under the running clocks."""
        if self.case.has_ended:
            self.move_service(declined, ServiceState.CANCELLED, Why(ROUTING, cause))
            return
        next_agency = self._find_next_agency(declined, facts)
        if next_agency is None:
            self.leave_without_agency(declined, facts, cause)
            return
        outstanding = declined.outstanding_service
        terms = Terms(
            urgency=declined.standing.urgency,
            agreement=declined.agreement,
            clocks=continue_clocks(declined.own_clocks, (), self.rules.now),
            continues=declined,
            reroute_count=next_agency.reroute_count,
            escalated_service=outstanding if next_agency.service is not outstanding.service else None,
            by_hand=declined.by_hand,
        )
        planned = self._place_rerouted(declined, next_agency, facts, cause)
        offered = self.add_service(planned, terms, ServiceState.OFFERED)
        replacement = Replacement(offered.service_id, offered.reroute_count, next_agency.is_escalated_to_hub)
        self.replace_declined(declined, offered, replacement, Why(ROUTING, cause, next_agency=offered.agency), facts)
        self.publish_offer(offered, ROUTING, cause)

    def _place_rerouted(
        self, declined: ReferralService, next_agency: NextAgency, facts: CaseFacts, cause: UUID
    ) -> PlannedReferral:
        """Returns what the next agency is offered; a full one is passed over as for any new service."""
        planned = PlannedReferral(next_agency.service, next_agency.agency, next_agency.role, tuple(declined.clauses))
        engines = self.rules.versions.of(declined.agreement)
        decision = self.rules.decide_by(engines, self.rules.now, facts, self.case.urgency)
        full = self.find_full_agencies([planned], decision, engines.agreement, cause, facts)
        return replace_full_agencies(planned, full) or planned

    def _find_next_agency(self, declined: ReferralService, facts: CaseFacts) -> NextAgency | None:
        """Finds the next agency by the version of the agreement that the service was offered by."""
        agreement = self.rules.versions.of(declined.agreement).agreement
        waiting = find_waiting(facts.pending, facts.situation, self.case.urgency, agreement)
        tried = {one.agency for one in self.own_services if one.service is declined.service}
        declined_triage = self.triage_declined_by
        return find_next_available_agency(
            waiting,
            agreement,
            declined.clauses,
            declined.service,
            declined.role,
            facts.origin,
            tried=declined_triage if declined.service is Service.MANUAL_TRIAGE else tried,
            declined_triage=declined_triage,
            reroute_count=declined.reroute_count,
        )

    def acknowledge_withdrawal(
        self, reply_id: UUID, referral_id: UUID, agency: str, acknowledged: UUID | None = None
    ) -> ReplyRefusal | None:
        """Stops the clocks of a withdrawn consent; returns why the acknowledgement is refused, if it is.

        `acknowledged` is the event about the withdrawal, as far as the agency names it.
        """
        referral, only = self.find_replied(referral_id) or (None, ())
        if referral is None:
            return ReplyRefusal.UNKNOWN_REFERRAL
        if referral.agency != agency:
            return ReplyRefusal.NOT_ITS_REFERRAL
        named = [referral.services[service_id] for service_id in only or referral.services]
        holding = [service for service in named if ClockName.WITHDRAWAL in service.clocks]
        if not holding:
            return ReplyRefusal.NOT_NOW
        running = [service for service in holding if not service.clocks[ClockName.WITHDRAWAL].is_stopped]
        running = _list_acknowledged(referral.referral_id, running, acknowledged)
        for service in running:
            self.set_service(service.with_clocks([service.clocks[ClockName.WITHDRAWAL].stop(self.rules.now)]))
        if running:
            self.record_event(CaseEventKind.WITHDRAWAL_ACKNOWLEDGED, agency, cause=reply_id)
        return None


def _list_acknowledged(
    referral_id: UUID, running: Sequence[ReferralService], acknowledged: UUID | None
) -> list[ReferralService]:
    """Lists the services whose withdrawal an agency acknowledged: the named one with every earlier one.

    An event that the city sent about a withdrawal, and that no running clock belongs to, was about an earlier one. What
    names no such event, as agencies of earlier versions do, is about all.
    """
    started = {service.clocks[ClockName.WITHDRAWAL].started_at for service in running}
    named = [at for at in started if withdrawal_id(referral_id, at) == acknowledged]
    if named:
        return [service for service in running if service.clocks[ClockName.WITHDRAWAL].started_at <= named[0]]
    is_of_earlier = acknowledged is not None and acknowledged.version == _VERSION_OF_WITHDRAWALS
    return [] if is_of_earlier else list(running)
