"""What a case manager does with an open case: referrals, urgency, exclusions, stages, rights, mediation, consent."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from simpul_agreement.deadlines import Within
from simpul_agreement.model import ClockName, ClockRuns
from simpul_agreement.plan import PlannedReferral
from simpul_agreement.rights import Entry
from simpul_routing.domain.actors import Actor, is_excluded
from simpul_routing.domain.case_events import AnsweredRight, CaseEventKind, RefusedMediation
from simpul_routing.domain.case_lifecycle import CASE_TRANSITIONS, CaseAction, CaseState
from simpul_routing.domain.case_record import Terms, Why
from simpul_routing.domain.clocks import ReferralClock, continue_clock
from simpul_routing.domain.consents import Consent, ConsentGiver, ConsentTerms, may_consent, withdraw_consents
from simpul_routing.domain.disclosure import rests_on_consent
from simpul_routing.domain.exclusions import SuggestionState, find_waiting
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.lifecycle import NOT_ACCEPTED, ServiceState
from simpul_routing.domain.mediation import MediationRuling, judge_mediation
from simpul_routing.domain.published import (
    AgencyCleared,
    Cancelled,
    Completed,
    ConsentWithdrawn,
    QuestionSent,
    Replacement,
    RightsChanged,
)
from simpul_routing.domain.referral import Referral, ReferralService
from simpul_routing.domain.replanning import Cause, Replanning
from simpul_routing.domain.rights import BY_HAND, BY_SERVICES, NEED_A_REASON
from simpul_routing.errors import (
    AgencyExcluded,
    AgencyNotEligible,
    AlreadyServed,
    CaseChanged,
    CaseEnded,
    CaseMerged,
    ConsentFromSuspect,
    DecisionOutstanding,
    ExclusionUndecided,
    GuardianRelationMissing,
    OtherServiceOutstanding,
    ReasonMissing,
    ReferralUnknown,
    SettledServiceAmbiguous,
    StageNotAllowed,
    SuggestionAlreadyDecided,
    SuggestionUnknown,
)
from simpul_schema.vocabulary import (
    ActorRole,
    CancelReason,
    ReferralOutcome,
    ReferralRole,
    Relation,
    ReplanReason,
    Right,
    RightState,
    Service,
    Urgency,
)

LEGAL_DEADLINE: Final = Within(timedelta(days=3))
"""Default without a clause: 3 x 24 hours, as LAW-12 of Kediri (UU 27/2022; not reviewed by a lawyer yet)."""


class CaseActions(Replanning):
    """Actions of people on an open case; `note` is what they wrote."""

    def check_version(self, version: int) -> None:
        """Raises CaseChanged if the case or one of its services changed after a person read it."""
        if self.version != version:
            raise CaseChanged

    def check_open(self) -> None:
        """Raises CaseMerged or CaseEnded if the case has ended."""
        if self.case.merged_into:
            raise CaseMerged(self.case.merged_into)
        if self.case.has_ended:
            raise CaseEnded

    def offer_by_hand(
        self, service: Service, agency: str, role: ReferralRole, actor: str, note: str, settles: UUID | None = None
    ) -> ReferralService:
        """Offers a service to an agency by hand.

        `settles` is what the offer settles: a manual triage, or a declined service that could not be rerouted, or the
        referral in which only one of them is about this service. An outstanding service keeps its clocks. Raises
        AgencyNotEligible, AgencyExcluded, ReferralUnknown, SettledServiceAmbiguous if several services of the referral
        are possible, OtherServiceOutstanding if what is settled is about another service, ExclusionUndecided if the
        agency waits, and AlreadyServed if the child has an open lead of this service and no reason is given.
        """
        self.check_agency(service, agency)
        settled = self._find_settled_service(settles, service, role) if settles else None
        self._refuse_overlap(service, agency, role, settled, note)
        is_outstanding = settled is not None and (settled.escalated_service is not None or settled.is_declined)
        kept = settled.own_clocks if settled and is_outstanding else []
        clocks = [continue_clock(clock, self.rules.now) for clock in kept]
        decision = self.rules.decide(self.facts, self.case.urgency)
        if not clocks:
            clocks = self.rules.required_clocks(decision, self.facts, service, role, agency)
        terms = Terms(
            urgency=decision.terms_of(service).urgency,
            agreement=self.rules.agreement.version,
            clocks=clocks,
            continues=settled,
            reroute_count=settled.reroute_count if settled else 0,
            by_hand=True,
        )
        self.record_event(CaseEventKind.OFFERED_BY_HAND, actor, note=note)
        offered = self.offer_service(PlannedReferral(service, agency, role), terms, actor, None)
        if settled:
            self._settle_service(settled, offered, actor, is_outstanding=is_outstanding)
        self.remove_from_plan(service, agency, role)
        self.follow_case_manager(None)
        self.update_rights(None)
        return offered

    def check_agency(self, service: Service, agency: str) -> None:
        """Raises AgencyNotEligible, AgencyExcluded or what `refuse_undecided` returns if it cannot be offered."""
        if service not in self.rules.find_mandate(agency):
            eligible = self.rules.list_agencies_for(service, self.facts.origin.excluded)
            raise AgencyNotEligible(agency, service, eligible)
        if agency in self.facts.origin.excluded:
            raise AgencyExcluded
        facts = self.facts
        waiting = find_waiting(facts.pending, facts.situation, self.case.urgency, self.rules.agreement)
        if waiting.holds_back(service, agency):
            raise self.refuse_undecided(facts.pending)

    def refuse_undecided(self, pending: frozenset[str]) -> Exception:
        """Returns the refusal of what cannot be done while the exclusions in `pending` are undecided.

        The people of an agency that is suggested itself are not warned, unless their agency decides about the others.
        """
        agency = self.acting.agency if self.acting else ""
        decides = self.review.agency if self.review else ""
        is_suspected = is_excluded(agency, pending, self.rules.agreement)
        may_know = not is_suspected or is_excluded(agency, {decides}, self.rules.agreement)
        return ExclusionUndecided() if may_know else DecisionOutstanding()

    def check_unsuspected(self) -> None:
        """Raises DecisionOutstanding for a person of an agency that is suspected, unless it decides about the others.

        Whoever may be too close to the suspect still helps the child, and takes no help and no urgency away from it.
        """
        refusal = self.refuse_undecided(self.facts.pending)
        if isinstance(refusal, DecisionOutstanding):
            raise refusal

    def _find_settled_service(self, settles: UUID, service: Service, role: ReferralRole) -> ReferralService:
        """Finds what an offer settles, by the id of the service or of its referral."""
        named = self.find_service(settles)
        of_referral = self.referrals[settles].services.values() if settles in self.referrals else ()
        candidates = [named] if named and _can_be_settled(named) else of_referral
        unsettled = [one for one in candidates if _can_be_settled(one)]
        possible = [one for one in unsettled if _settles_outstanding_service(one, service, role)]
        match possible, unsettled:
            case [settled], _:
                return settled
            case [], []:
                raise ReferralUnknown
            case [], [other, *_]:
                raise OtherServiceOutstanding(other.outstanding_service.service)
            case _:
                raise SettledServiceAmbiguous

    def _refuse_overlap(
        self, service: Service, agency: str, role: ReferralRole, settled: ReferralService | None, note: str
    ) -> None:
        """Raises AlreadyServed, which links the open referral for the same service; a reason overrides it (R8)."""
        for known in self.services:
            outstanding = known.outstanding_service
            is_same = outstanding.service is service and known is not settled and known.standing.is_open
            both_lead = role is outstanding.role is ReferralRole.LEAD
            if is_same and not note and (both_lead or known.agency == agency):
                raise AlreadyServed(known.referral_id)

    def _settle_service(
        self, settled: ReferralService, offered: ReferralService, actor: str, *, is_outstanding: bool
    ) -> None:
        why = Why(actor, is_by_hand=True)
        if is_outstanding:
            replacement = Replacement(offered.service_id, settled.reroute_count + 1, is_escalated_to_hub=False)
            self.replace_declined(settled, offered, replacement, why)
        else:
            served = ReferralOutcome.SERVED
            self.move_service(settled, ServiceState.COMPLETED, why, Completed(served), outcome=served)

    def cancel_services(
        self, referral_id: UUID, service_ids: Collection[UUID], why: CancelReason, actor: str, note: str
    ) -> None:
        """Cancels services of a referral, all that are open by default, by decision of a person or as an error.

        Raises ReasonMissing, DecisionOutstanding, ReferralUnknown if one of them is not open in the referral.
        """
        if not note:
            raise ReasonMissing
        self.check_unsuspected()
        referral = self.referrals.get(referral_id)
        is_open = {key: s for key, s in referral.services.items() if s.standing.is_open} if referral else {}
        if not is_open or not is_open.keys() >= set(service_ids):
            raise ReferralUnknown
        is_error = why is CancelReason.ENTERED_IN_ERROR
        state = ServiceState.ENTERED_IN_ERROR if is_error else ServiceState.CANCELLED
        for service_id in service_ids or is_open:
            self.move_service(is_open[service_id], state, Why(actor, cancel=why, note=note), Cancelled(why))
        self.follow_case_manager(None)
        self.update_rights(None)
        if self.case.state is CaseState.INTERVENTION:
            self.update_case_state(CaseAction.SERVED)

    def change_urgency(self, urgency: Urgency, actor: str, note: str) -> None:
        """Changes the urgency and replans the case.

        Lowering it requires a reason (ReasonMissing), and nobody of a suspected agency may (DecisionOutstanding).
        """
        is_lowered = list(Urgency).index(urgency) > list(Urgency).index(self.case.urgency)
        if is_lowered and not note:
            raise ReasonMissing
        if is_lowered:
            self.check_unsuspected()
        self.replan(self.facts, Cause(ReplanReason.URGENCY_CHANGED, actor, note=note), urgency=urgency)

    def exclude_agency_by_hand(self, agency: str, actor: str, note: str) -> None:
        """Excludes an agency that is too close to the suspect.

        Raises AgencyNotEligible, ReasonMissing, DecisionOutstanding.
        """
        if agency not in self.rules.city.agency_codes:
            raise AgencyNotEligible(agency)
        if not note:
            raise ReasonMissing
        self.check_unsuspected()
        self.exclude_agency(agency, Cause(ReplanReason.AGENCY_EXCLUDED, actor, note=note))

    def decide_suggestion(self, agency: str, state: SuggestionState, by: Actor, note: str, version: int) -> None:
        """Decides about a suggested exclusion; repeating a decision changes nothing, whatever the version.

        A confirmed suggestion excludes the agency, a rejected one offers the services that waited. Raises
        CaseChanged, CaseMerged, CaseEnded, ReasonMissing, SuggestionUnknown, and
        SuggestionAlreadyDecided if it was decided the other way.
        """
        facts = self.facts
        suggestion = facts.suggestions.get(agency)
        is_own = is_excluded(by.agency, {agency}, self.rules.agreement)
        if suggestion is None or (is_own and agency in facts.pending):
            # Another answer to the people of a suspected agency would warn them.
            raise SuggestionUnknown
        if suggestion.state is state:
            return
        if suggestion.state is not SuggestionState.PENDING or agency not in facts.pending:
            raise SuggestionAlreadyDecided
        if self.case.merged_into:
            raise CaseMerged(self.case.merged_into)
        self.check_version(version)
        self.check_open()
        if not note:
            raise ReasonMissing
        # Only the note, which is encrypted, names the agency.
        note = f"{agency}: {note}"
        if state is SuggestionState.CONFIRMED:
            self.exclude_agency(agency, Cause(ReplanReason.AGENCY_EXCLUDED, by.code, note=note))
        else:
            facts = facts.decide_suggestion(agency, state, by.code, self.rules.now)
            self._publish_cleared(facts, agency)
            self.replan(facts, Cause(ReplanReason.EXCLUSION_REJECTED, by.code, note=note))

    def publish_cleared(self) -> None:
        """Publishes every agency of which a person decided that it is not too close to the suspect."""
        for agency, one in self.facts.suggestions.items():
            if one.state is SuggestionState.REJECTED:
                self._publish_cleared(self.facts, agency)

    def _publish_cleared(self, facts: CaseFacts, agency: str) -> None:
        """Publishes of each report how often it names an agency that a person cleared.

        So it holds whatever cases are merged later, or erased. An earlier version did not count.
        """
        namings = {UUID(key): one.named.count(agency) for key, one in facts.reports.items()}
        if len(namings) == 1:
            namings = {case_id: count or 1 for case_id, count in namings.items()}
        for case_id, count in namings.items():
            if count:
                self.enqueue(AgencyCleared(case_id, agency, count))

    def change_stage(self, action: CaseAction, actor: str, note: str) -> None:
        """Changes the stage of the case. Raises StageNotAllowed."""
        if (self.case.state, action) not in CASE_TRANSITIONS:
            raise StageNotAllowed
        self.change_state(action, actor, note=note)

    def send_question(self, text: str, actor: str) -> None:
        """Asks the reporting person; what is asked is kept by intake alone, in its vault."""
        self.record_event(CaseEventKind.QUESTION_SENT, actor)
        # A new version, so that the same request is refused when it is sent again.
        self.change_case()
        self.enqueue(QuestionSent(self.rules.new_id(), text))

    def record_mediation(self, by: Actor, note: str) -> MediationRuling:
        """Records a mediation, or the attempt where the agreement forbids it; returns what the agreement says."""
        ruling = self._judge_mediation(by.role)
        if ruling.is_allowed:
            self.record_event(CaseEventKind.MEDIATION_RECORDED, by.code, note=note)
        else:
            refused = RefusedMediation(ruling.agreement.version, ruling.clause_ids)
            self.record_event(CaseEventKind.MEDIATION_REFUSED, by.code, refused, note=note)
        # A new version, so that the same request is refused when it is sent again.
        self.change_case()
        return ruling

    def _judge_mediation(self, role: ActorRole) -> MediationRuling:
        """Judges by the active agreement, and by that of the last decision if only that one locks the case."""
        now = judge_mediation(self.rules.decide(self.facts, self.case.urgency), self.rules.agreement, role)
        if now.is_locked or not self.case.mediation_locked:
            return now
        engines = self.rules.versions.of(self.case.agreement)
        decision = self.rules.decide_by(engines, self.case.decided_at, self.facts, self.case.urgency)
        earlier = judge_mediation(decision, engines.agreement, role)
        clauses = earlier.clauses if earlier.is_locked else ()
        return replace(earlier, is_locked=True, is_allowed=False, clauses=clauses)

    def answer_right(self, right: Right, state: RightState, actor: str, note: str) -> None:
        """Sets the state of a right by hand. Raises ReasonMissing, DecisionOutstanding."""
        if state in NEED_A_REASON and not note:
            raise ReasonMissing
        if state in NEED_A_REASON:
            self.check_unsuspected()
        # States that follow from services are left to the services from now on.
        before, entry = self.case.rights[right], Entry(state, "" if state in BY_SERVICES else BY_HAND)
        self.change_case(rights={**self.case.rights, right: entry})
        self.record_event(CaseEventKind.RIGHT_ANSWERED, actor, AnsweredRight(right, before.state, state), note=note)
        self.enqueue(RightsChanged({right: entry}))

    def record_consent(self, purposes: Collection[Right], terms: ConsentTerms, by: Actor, note: str) -> None:
        """Records a consent for each purpose. Raises GuardianRelationMissing, ConsentFromSuspect."""
        if terms.given_by is ConsentGiver.GUARDIAN and terms.relation is Relation.UNKNOWN:
            raise GuardianRelationMissing
        if not may_consent(terms.given_by, terms.relation, self.facts.situation):
            raise ConsentFromSuspect
        now = self.rules.now
        new = (Consent(purpose, terms, by.code, by.agency, now) for purpose in Right if purpose in purposes)
        facts = replace(self.facts, consents=(*self.facts.consents, *new))
        self.change_case(read_facts=lambda: facts)
        self.record_event(CaseEventKind.CONSENT_RECORDED, by.code, note=note)

    def withdraw_consent(self, actor: str, note: str, purposes: Collection[Right] = ()) -> None:
        """Withdraws the consents for purposes, all by default, and notifies each agency that accepted such services.

        A clock runs for each until it acknowledges that it has stopped processing, also where its services have ended.
        Services that need no consent continue: their agencies are not asked to stop.
        """
        consents = withdraw_consents(self.facts.consents, purposes, actor, self.rules.now)
        ends_consent = consents != self.facts.consents
        facts = replace(self.facts, consents=consents)
        self.change_case(read_facts=lambda: facts)
        right_of = self.rules.versions.of(self.case.agreement).agreement.right_of
        due = self._withdrawal_deadline()
        excluded = self.facts.origin.excluded
        for referral in list(self.referrals.values()):
            is_informed = referral.offered_at is not None and referral.agency not in excluded
            holding = [
                service
                for service in (_list_accepted(referral) if is_informed else ())
                if not purposes or right_of.get(service.service, Right.PROMPT_RESPONSE) in purposes
                if rests_on_consent(service, self.case, self.rules)
            ]
            if holding:
                self.enqueue(ConsentWithdrawn(referral, tuple(holding), due))
            for service in holding:
                running = service.clocks.get(ClockName.WITHDRAWAL)
                # A consent that was given again may be withdrawn again.
                if running is None or not running.is_stopped or ends_consent:
                    clock = ReferralClock(ClockName.WITHDRAWAL, self.rules.now, due)
                    self.set_service(service.with_clocks([clock]))
        self.record_event(CaseEventKind.CONSENT_WITHDRAWN, actor, note=note)

    def _withdrawal_deadline(self) -> datetime:
        decision = self.rules.decide(self.facts, self.case.urgency)
        effects = (clause.effect for clause in decision.effective)
        withins = (e.within for e in effects if isinstance(e, ClockRuns) and e.clock is ClockName.WITHDRAWAL)
        calendar = self.rules.agreement.calendar
        return next(withins, LEGAL_DEADLINE).due(self.rules.now, self.rules.city.zone, calendar)


def _list_accepted(referral: Referral) -> Sequence[ReferralService]:
    """Lists the services for which the agency may hold data of the child."""
    return [service for service in referral.services.values() if service.standing.state not in NOT_ACCEPTED]


def _can_be_settled(service: ReferralService) -> bool:
    """Whether an offer by hand can settle the service: an open manual triage, or one that could not be rerouted."""
    is_triage = service.service is Service.MANUAL_TRIAGE and service.standing.is_open
    return is_triage or service.is_declined


def _settles_outstanding_service(settled: ReferralService, service: Service, role: ReferralRole) -> bool:
    """Whether an offer settles the outstanding service; a manual triage without one is settled by any service."""
    if settled.escalated_service is None and settled.service is Service.MANUAL_TRIAGE:
        return True
    outstanding = settled.outstanding_service
    return service is outstanding.service and (role is ReferralRole.LEAD or outstanding.role is ReferralRole.SUPPORT)
