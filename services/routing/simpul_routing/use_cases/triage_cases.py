"""Actions of the case manager on an open case: referrals, urgency, exclusions, stages and mediation."""

from dataclasses import replace
from uuid import UUID, uuid4

import structlog

from simpul_agreement import Versions
from simpul_agreement.facts import AgencyKind
from simpul_agreement.model import Agreement, ClockName
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.case_lifecycle import CASE_TRANSITIONS, CaseAction, CaseState
from simpul_routing.domain.clocks import STOPPED_BY, ReferralClock, clocks_for_referral, continue_clock
from simpul_routing.domain.exclusions import Waiting, protective_services
from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.domain.referral import NewReferral, StoredReferral, Transition
from simpul_routing.errors import (
    AgencyExcluded,
    AgencyNotEligible,
    AlreadyServed,
    ExclusionUndecided,
    MediationLocked,
    OtherServiceOutstanding,
    ReasonMissing,
    ReferralUnknown,
    StageNotAllowed,
)
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts, encode_clauses, referral_context
from simpul_routing.use_cases.cases import ROUTING, decrypt_facts, encrypt_note, load_open_case, update_rights
from simpul_routing.use_cases.replan_cases import ReplanCases, ReplanCause
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import ReferralCancelledV1, ReferralCompletedV1, ReferralReroutedV1
from simpul_schema.vocabulary import CancelReason, ReferralOutcome, ReferralRole, ReplanReason, Service, Urgency

BY_HAND = "by_hand"

log = structlog.get_logger()


class TriageCases:
    """Actions on an open case; all raise CaseUnknown, CaseChanged, CaseMerged and CaseEnded."""

    def __init__(
        self, transactions: Transactions, replan_cases: ReplanCases, versions: Versions, city: City, keys: Keys
    ) -> None:
        self._transactions = transactions
        self._replan_cases = replan_cases
        self._versions = versions
        self._city = city
        self._keys = keys

    async def offer_referral(
        self,
        case_id: UUID,
        version: int,
        service: Service,
        agency: str,
        role: ReferralRole,
        *,
        by: str,
        reason: str,
        settles: UUID | None = None,
    ) -> UUID:
        """Offers a service to an agency by hand; returns the id of the new referral.

        `settles` is the referral that the offer settles: a manual triage, or a declined one that could not be
        rerouted. An outstanding service keeps its clocks. Raises AgencyNotEligible, AgencyExcluded, ReferralUnknown,
        OtherServiceOutstanding if the settled referral is about another service, ExclusionUndecided if the agency
        waits, and AlreadyServed if the child has an open lead of this service and no reason is given.
        """
        async with self._transactions.begin() as transaction:
            case, referrals = await load_open_case(transaction, case_id, version)
            agreement = self._versions.active(transaction.now).agreement
            facts = decrypt_facts(self._keys, case)
            if service not in _find_mandate(agreement, agency, self._city):
                raise AgencyNotEligible
            if agency in facts.origin.excluded:
                raise AgencyExcluded
            waiting = Waiting(facts.pending, protective_services(facts.situation, case.urgency))
            if waiting.holds_back(service, agency):
                raise ExclusionUndecided
            settled = _find_settled_referral(referrals, settles)
            if settled and not _matches_outstanding_service(settled, service, role):
                raise OtherServiceOutstanding(settled.outstanding_service.service)
            _refuse_overlap(referrals, service, agency, role, settled, reason)
            running = await repository.load_clocks(transaction, [settled.referral_id] if settled else [])
            is_outstanding = settled and (settled.escalated_service or settled.standing.state is ReferralState.DECLINED)
            kept = running[settled.referral_id] if settled and is_outstanding else []
            clocks = [continue_clock(clock, transaction.now) for clock in kept]
            clocks = clocks or self._compute_clocks(transaction, case, facts, service, role, agency)
            referral_id = uuid4()
            referral = NewReferral(
                referral_id=referral_id,
                case_id=case_id,
                agency=agency,
                service=service,
                role=role,
                urgency=case.urgency,
                answer_by=next((c.due_at for c in clocks if c.clock is ClockName.ANSWER), transaction.now),
                agreement=agreement.version,
                clauses=self._keys.lock(encode_clauses(()), place=referral_context(referral_id)),
                clocks=tuple(clocks),
                reroute_count=settled.reroute_count if settled else 0,
                rerouted_from=settled.referral_id if settled else None,
                by_hand=True,
            )
            repository.add_referral(transaction, referral)
            transaction.announce(publisher.referral_offered(referral, facts.shared, None))
            repository.add_case_transition(
                transaction,
                case_id,
                case.state.value,
                case.state.value,
                by,
                BY_HAND,
                encrypt_note(self._keys, case_id, reason),
            )
            await self._settle_referral(transaction, settled, referral, facts, by)
            await transaction.flush()
            await update_rights(transaction, self._versions, {case_id: None})
        return referral_id

    async def cancel_referral(
        self, case_id: UUID, version: int, referral_id: UUID, why: CancelReason, *, by: str, reason: str
    ) -> None:
        """Cancels a referral, by decision of the case manager or because it was entered in error.

        Raises ReasonMissing, ReferralUnknown.
        """
        if not reason:
            raise ReasonMissing
        is_error = why is CancelReason.ENTERED_IN_ERROR
        state = ReferralState.ENTERED_IN_ERROR if is_error else ReferralState.CANCELLED
        async with self._transactions.begin() as transaction:
            case, referrals = await load_open_case(transaction, case_id, version)
            own = (r for r in referrals if r.referral_id == referral_id and r.standing.is_open)
            referral = next(own, None)
            if referral is None:
                raise ReferralUnknown
            note = encrypt_note(self._keys, case_id, reason)
            await repository.apply_transitions(
                transaction, [Transition(referral, state, by, uuid4(), why.value, note=note)]
            )
            await repository.stop_clocks(transaction, [(referral_id, clock) for clock in STOPPED_BY])
            transaction.announce(
                publisher.referral_changed(ReferralCancelledV1, referral, None, cancelled_at=transaction.now, why=why)
            )
            await update_rights(transaction, self._versions, {case_id: None})
            if case.state is CaseState.INTERVENTION:
                await repository.apply_case_action(transaction, CaseAction.SERVED, [case_id], ROUTING)

    async def change_urgency(self, case_id: UUID, version: int, urgency: Urgency, *, by: str, reason: str) -> None:
        """Changes the urgency and replans the case; lowering it requires a reason (ReasonMissing)."""
        async with self._transactions.begin() as transaction:
            case, referrals = await load_open_case(transaction, case_id, version)
            is_lowered = list(Urgency).index(urgency) > list(Urgency).index(case.urgency)
            if is_lowered and not reason:
                raise ReasonMissing
            cause = ReplanCause(ReplanReason.URGENCY_CHANGED, by, note=encrypt_note(self._keys, case_id, reason))
            facts = decrypt_facts(self._keys, case)
            await self._replan_cases.replan_case(transaction, case, referrals, facts, cause, urgency=urgency)

    async def exclude_agency(self, case_id: UUID, version: int, agency: str, *, by: str, reason: str) -> None:
        """Excludes an agency that is too close to the suspect. Raises AgencyNotEligible, ReasonMissing."""
        if agency not in self._city.agency_codes:
            raise AgencyNotEligible
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, referrals = await load_open_case(transaction, case_id, version)
            cause = ReplanCause(ReplanReason.AGENCY_EXCLUDED, by, note=encrypt_note(self._keys, case_id, reason))
            await self._replan_cases.exclude_agency(transaction, case, referrals, agency, cause)

    async def change_stage(self, case_id: UUID, version: int, action: CaseAction, *, by: str, reason: str) -> None:
        """Changes the stage of a case. Raises StageNotAllowed."""
        async with self._transactions.begin() as transaction:
            case, _ = await load_open_case(transaction, case_id, version)
            after = CASE_TRANSITIONS.get((case.state, action))
            if after is None:
                raise StageNotAllowed
            await repository.update_case(transaction, replace(case, state=after))
            repository.add_case_transition(
                transaction,
                case_id,
                case.state.value,
                after.value,
                by,
                action.value,
                encrypt_note(self._keys, case_id, reason),
            )

    async def record_mediation(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Records a mediation. Where the law forbids it, records the attempt and raises MediationLocked."""
        async with self._transactions.begin() as transaction:
            case, _ = await load_open_case(transaction, case_id, version)
            reason_code = "mediation_refused" if case.mediation_locked else "mediation_recorded"
            repository.add_case_transition(
                transaction,
                case_id,
                case.state.value,
                case.state.value,
                by,
                reason_code,
                encrypt_note(self._keys, case_id, reason),
            )
        if case.mediation_locked:
            log.warning("mediation_refused", case_id=case_id, actor=by)
            raise MediationLocked

    def _compute_clocks(
        self,
        transaction: Transaction,
        case: StoredCase,
        facts: StoredFacts,
        service: Service,
        role: ReferralRole,
        agency: str,
    ) -> list[ReferralClock]:
        engines = self._versions.active(transaction.now)
        engine = engines.on(transaction.now.astimezone(self._city.zone).date())
        decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
        holidays = engines.agreement.holidays
        is_police = self._city.kinds[agency] == AgencyKind.POLICE
        return list(
            clocks_for_referral(
                decision.effective, service, role, transaction.now, self._city.zone, holidays,
                police_since=transaction.now if is_police else None,
            )
        )  # fmt: skip

    async def _settle_referral(
        self,
        transaction: Transaction,
        settled: StoredReferral | None,
        offered: NewReferral,
        facts: StoredFacts,
        by: str,
    ) -> None:
        if settled is None:
            return
        informs_agency = settled.standing.agency not in facts.origin.excluded
        if settled.escalated_service or settled.standing.state is ReferralState.DECLINED:
            after, outcome = ReferralState.REROUTED, None
            event = publisher.referral_changed(
                ReferralReroutedV1, settled, None, informs_agency=informs_agency, next_referral_id=offered.referral_id,
                next_agency=offered.agency, reroute_count=settled.reroute_count + 1, is_escalated_to_hub=False,
            )  # fmt: skip
        else:
            after, outcome = ReferralState.COMPLETED, ReferralOutcome.SERVED
            event = publisher.referral_changed(
                ReferralCompletedV1,
                settled,
                None,
                informs_agency=informs_agency,
                outcome=outcome,
                completed_at=transaction.now,
            )
        transaction.announce(event)
        await repository.apply_transitions(transaction, [Transition(settled, after, by, uuid4(), BY_HAND, outcome)])
        await repository.stop_clocks(transaction, [(settled.referral_id, clock) for clock in STOPPED_BY])


def _find_mandate(agreement: Agreement, agency: str, city: City) -> frozenset[Service]:
    party = agreement.party_of.get(agency) or agreement.of_kind.get(city.kinds.get(agency, ""))
    return party.services if party and agency in city.agency_codes else frozenset()


def _find_settled_referral(referrals: list[StoredReferral], settles: UUID | None) -> StoredReferral | None:
    if settles is None:
        return None
    for referral in referrals:
        is_triage = referral.service is Service.MANUAL_TRIAGE and referral.standing.is_open
        if referral.referral_id == settles and (is_triage or referral.standing.state is ReferralState.DECLINED):
            return referral
    raise ReferralUnknown


def _matches_outstanding_service(settled: StoredReferral, service: Service, role: ReferralRole) -> bool:
    """Whether an offer settles the outstanding service; a manual triage without one is settled by any service."""
    if settled.escalated_service is None and settled.service is Service.MANUAL_TRIAGE:
        return True
    outstanding = settled.outstanding_service
    return service is outstanding.service and (role is ReferralRole.LEAD or outstanding.role is ReferralRole.SUPPORT)


def _refuse_overlap(
    referrals: list[StoredReferral],
    service: Service,
    agency: str,
    role: ReferralRole,
    settled: StoredReferral | None,
    reason: str,
) -> None:
    """Raises AlreadyServed, which links the open referral for the same service; a reason overrides it (R8)."""
    for referral in referrals:
        is_same = (
            referral.outstanding_service.service is service and referral is not settled and referral.standing.is_open
        )
        both_lead = role is referral.outstanding_service.role is ReferralRole.LEAD
        if is_same and not reason and (both_lead or referral.standing.agency == agency):
            raise AlreadyServed(referral.referral_id)
