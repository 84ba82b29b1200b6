"""What a person decides in a case that goes on: who is asked, how urgent it is, who may know nothing of it."""

from dataclasses import replace
from uuid import UUID, uuid4

import structlog

from simpul_agreement import Versions
from simpul_agreement.facts import AgencyKind
from simpul_agreement.model import Agreement, ClockName
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.case_life import CASE_TRANSITIONS, CaseDeed, CaseState
from simpul_routing.domain.clocks import STOPPED_BY, Running, clocks_of, goes_on
from simpul_routing.domain.exclusions import Waiting, protective_services
from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.domain.referral import Move, NewReferral, StoredReferral
from simpul_routing.errors import (
    AgencyExcluded,
    AgencyUnable,
    ExclusionUndecided,
    MediationLocked,
    NotFromHere,
    OtherServiceOwed,
    ReasonMissing,
    ReferralUnknown,
    StillServed,
)
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts, place_of_referral, written_clauses
from simpul_routing.use_cases.cases import ROUTING, note_of, open_at, rights_follow
from simpul_routing.use_cases.replan_cases import ReplanCases, Why
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import ReferralCancelledV1, ReferralCompletedV1, ReferralReroutedV1
from simpul_schema.vocabulary import CancelReason, ReferralOutcome, ReferralRole, ReplanReason, Service, Urgency

BY_HAND = "by_hand"

log = structlog.get_logger()


class TriageCases:
    """Everything raises CaseUnknown, CaseChanged, CaseMerged and CaseHasEnded."""

    def __init__(
        self, transactions: Transactions, replan_cases: ReplanCases, versions: Versions, city: City, keys: Keys
    ) -> None:
        self._transactions = transactions
        self._replan_cases = replan_cases
        self._versions = versions
        self._city = city
        self._keys = keys

    async def ask(
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
        """Ask an agency by hand; returns the new referral.

        `settles` is the referral that is answered so: a manual triage, or a declined one that nobody took over. What
        was handed over keeps its clocks. Raises AgencyUnable, AgencyExcluded, ReferralUnknown, OtherServiceOwed when
        what it settles was raised for another service, ExclusionUndecided where the agency waits, and StillServed when
        the child has an open lead of this service and no reason is given.
        """
        async with self._transactions.begin() as transaction:
            case, referrals = await open_at(transaction, case_id, version)
            agreement = self._versions.active(transaction.now).agreement
            facts = self._replan_cases.facts_of(case)
            if service not in _mandate(agreement, agency, self._city):
                raise AgencyUnable
            if agency in facts.origin.excluded:
                raise AgencyExcluded
            waiting = Waiting(facts.pending, protective_services(facts.situation, case.urgency))
            if waiting.holds_back(service, agency):
                raise ExclusionUndecided
            settled = _settled(referrals, settles)
            if settled and not _is_what_is_owed(settled, service, role):
                raise OtherServiceOwed(settled.owed.service)
            _refuse_overlap(referrals, service, agency, role, settled, reason)
            running = await repository.clocks_of(transaction, [settled.referral_id] if settled else [])
            was_handed_over = settled and (settled.raised or settled.standing.state is ReferralState.DECLINED)
            kept = running[settled.referral_id] if settled and was_handed_over else []
            clocks = [goes_on(clock, transaction.now) for clock in kept]
            clocks = clocks or self._new_clocks(transaction, case, facts, service, role, agency)
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
                clauses=self._keys.lock(written_clauses(()), place=place_of_referral(referral_id)),
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
                note_of(self._keys, case_id, reason),
            )
            await self._settle(transaction, settled, referral, facts, by)
            await transaction.flush()
            await rights_follow(transaction, self._versions, {case_id: None})
        return referral_id

    async def take_back(
        self, case_id: UUID, version: int, referral_id: UUID, why: CancelReason, *, by: str, reason: str
    ) -> None:
        """Ask an agency no longer, because the case manager says so or because it was entered in error.

        Raises ReasonMissing, ReferralUnknown.
        """
        if not reason:
            raise ReasonMissing
        is_error = why is CancelReason.ENTERED_IN_ERROR
        state = ReferralState.ENTERED_IN_ERROR if is_error else ReferralState.CANCELLED
        async with self._transactions.begin() as transaction:
            case, referrals = await open_at(transaction, case_id, version)
            own = (r for r in referrals if r.referral_id == referral_id and r.standing.is_open)
            referral = next(own, None)
            if referral is None:
                raise ReferralUnknown
            note = note_of(self._keys, case_id, reason)
            await repository.move(transaction, [Move(referral, state, by, uuid4(), why.value, note=note)])
            await repository.stop_clocks(transaction, [(referral_id, clock) for clock in STOPPED_BY])
            transaction.announce(
                publisher.referral_changed(ReferralCancelledV1, referral, None, cancelled_at=transaction.now, why=why)
            )
            await rights_follow(transaction, self._versions, {case_id: None})
            if case.state is CaseState.INTERVENTION:
                await repository.move_cases(transaction, CaseDeed.SERVED, [case_id], ROUTING)

    async def change_urgency(self, case_id: UUID, version: int, urgency: Urgency, *, by: str, reason: str) -> None:
        """Raise the risk at any time, or lower it with a reason (ReasonMissing); the case is decided again."""
        async with self._transactions.begin() as transaction:
            case, referrals = await open_at(transaction, case_id, version)
            is_lowered = list(Urgency).index(urgency) > list(Urgency).index(case.urgency)
            if is_lowered and not reason:
                raise ReasonMissing
            why = Why(ReplanReason.URGENCY_CHANGED, by, note=note_of(self._keys, case_id, reason))
            facts = self._replan_cases.facts_of(case)
            await self._replan_cases.decide_again(transaction, case, referrals, facts, why, urgency=urgency)

    async def exclude(self, case_id: UUID, version: int, agency: str, *, by: str, reason: str) -> None:
        """An agency that is too close to the suspect receives nothing any more. Raises AgencyUnable, ReasonMissing."""
        if agency not in self._city.agency_codes:
            raise AgencyUnable
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, referrals = await open_at(transaction, case_id, version)
            why = Why(ReplanReason.AGENCY_EXCLUDED, by, note=note_of(self._keys, case_id, reason))
            await self._replan_cases.exclude(transaction, case, referrals, agency, why)

    async def move_on(self, case_id: UUID, version: int, deed: CaseDeed, *, by: str, reason: str) -> None:
        """The case manager says that the case has come to its next stage. Raises NotFromHere."""
        async with self._transactions.begin() as transaction:
            case, _ = await open_at(transaction, case_id, version)
            after = CASE_TRANSITIONS.get((case.state, deed))
            if after is None:
                raise NotFromHere
            await repository.write_case(transaction, replace(case, state=after))
            repository.add_case_transition(
                transaction,
                case_id,
                case.state.value,
                after.value,
                by,
                deed.value,
                note_of(self._keys, case_id, reason),
            )

    async def mediate(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Somebody wants to mediate. MediationLocked where nobody may, and that somebody tried is kept."""
        async with self._transactions.begin() as transaction:
            case, _ = await open_at(transaction, case_id, version)
            said = "mediation_refused" if case.mediation_locked else "mediation_recorded"
            repository.add_case_transition(
                transaction, case_id, case.state.value, case.state.value, by, said, note_of(self._keys, case_id, reason)
            )
        if case.mediation_locked:
            log.warning("mediation_refused", case_id=case_id, actor=by)
            raise MediationLocked

    def _new_clocks(
        self,
        transaction: Transaction,
        case: StoredCase,
        facts: StoredFacts,
        service: Service,
        role: ReferralRole,
        agency: str,
    ) -> list[Running]:
        engines = self._versions.active(transaction.now)
        engine = engines.on(transaction.now.astimezone(self._city.zone).date())
        decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
        holidays = engines.agreement.holidays
        is_police = self._city.kinds[agency] == AgencyKind.POLICE
        return list(
            clocks_of(
                decision.effective, service, role, transaction.now, self._city.zone, holidays,
                police_since=transaction.now if is_police else None,
            )
        )  # fmt: skip

    async def _settle(
        self,
        transaction: Transaction,
        settled: StoredReferral | None,
        following: NewReferral,
        facts: StoredFacts,
        by: str,
    ) -> None:
        if settled is None:
            return
        is_told = settled.standing.agency not in facts.origin.excluded
        if settled.raised or settled.standing.state is ReferralState.DECLINED:
            after, outcome = ReferralState.REROUTED, None
            announced = publisher.referral_changed(
                ReferralReroutedV1, settled, None, is_told=is_told, next_referral_id=following.referral_id,
                next_agency=following.agency, reroute_count=settled.reroute_count + 1, is_escalated_to_hub=False,
            )  # fmt: skip
        else:
            after, outcome = ReferralState.COMPLETED, ReferralOutcome.SERVED
            announced = publisher.referral_changed(
                ReferralCompletedV1, settled, None, is_told=is_told, outcome=outcome, completed_at=transaction.now
            )
        transaction.announce(announced)
        await repository.move(transaction, [Move(settled, after, by, uuid4(), BY_HAND, outcome)])
        await repository.stop_clocks(transaction, [(settled.referral_id, clock) for clock in STOPPED_BY])


def _mandate(agreement: Agreement, agency: str, city: City) -> frozenset[Service]:
    party = agreement.party_of.get(agency) or agreement.of_kind.get(city.kinds.get(agency, ""))
    return party.services if party and agency in city.agency_codes else frozenset()


def _settled(referrals: list[StoredReferral], settles: UUID | None) -> StoredReferral | None:
    if settles is None:
        return None
    for referral in referrals:
        is_triage = referral.service is Service.MANUAL_TRIAGE and referral.standing.is_open
        if referral.referral_id == settles and (is_triage or referral.standing.state is ReferralState.DECLINED):
            return referral
    raise ReferralUnknown


def _is_what_is_owed(settled: StoredReferral, service: Service, role: ReferralRole) -> bool:
    """Whether this answers what was raised with a manual triage, or was declined; a first triage owes nothing yet."""
    if settled.raised is None and settled.service is Service.MANUAL_TRIAGE:
        return True
    owed = settled.owed
    return service is owed.service and (role is ReferralRole.LEAD or owed.role is ReferralRole.SUPPORT)


def _refuse_overlap(
    referrals: list[StoredReferral],
    service: Service,
    agency: str,
    role: ReferralRole,
    settled: StoredReferral | None,
    reason: str,
) -> None:
    """R8: the same service still open is said and linked; a reason overrides it."""
    for referral in referrals:
        is_same = referral.owed.service is service and referral is not settled and referral.standing.is_open
        both_lead = role is referral.owed.role is ReferralRole.LEAD
        if is_same and not reason and (both_lead or referral.standing.agency == agency):
            raise StillServed(referral.referral_id)
