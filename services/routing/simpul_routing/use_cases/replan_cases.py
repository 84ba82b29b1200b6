"""A case is decided again, because facts, risk or exclusions changed; what changes is said precisely."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import structlog

from simpul_agreement import Versions
from simpul_agreement.engine import Decision
from simpul_agreement.facts import AgencyKind
from simpul_agreement.model import Agreement, ClockName
from simpul_agreement.plan import CasePlan, plan_case
from simpul_agreement.reports import situation_from_report
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.case_life import CaseDeed, CaseState
from simpul_routing.domain.clocks import STOPPED_BY, Running, clocks_of, goes_on, relaxed, tightened
from simpul_routing.domain.exclusions import SuggestionState, deciding_agency, hold_back
from simpul_routing.domain.lifecycle import SAID_BEFORE, ReferralState, Said
from simpul_routing.domain.referral import Move, NewReferral, StoredReferral
from simpul_routing.domain.replan import Addition, Replan, carried, replan, urgency_after
from simpul_routing.domain.rights import awaiting, inherited, replanned
from simpul_routing.errors import CaseUnknown
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import (
    StoredFacts,
    Told,
    place_of,
    place_of_referral,
    read,
    read_clauses,
    written,
    written_clauses,
)
from simpul_routing.use_cases.cases import ROUTING, announce_rights, locked, served_rights
from simpul_routing.use_cases.review_exclusions import ExclusionReviews
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import ReferralCancelledV1, ReferralReroutedV1, ReferralRevokedV1
from simpul_schema.messages.case import CaseAmendedV1, TriageFacts
from simpul_schema.vocabulary import CancelReason, ReferralRole, ReplanReason, RightState, Service, Urgency

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Why:
    """What made routing decide again, and who."""

    reason: ReplanReason
    by: str
    cause: UUID | None = None
    note: bytes = b""
    """What a person wrote, locked."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """A case, what was decided about it now, and why."""

    case: StoredCase
    why: Why
    facts: StoredFacts
    plan: CasePlan
    decision: Decision
    agreement: Agreement
    now: datetime
    zone: ZoneInfo

    @property
    def holidays(self) -> frozenset[date]:
        return self.agreement.holidays


class ReplanCases:
    """Decides cases again by the agreement that is active when it happens."""

    def __init__(self, versions: Versions, city: City, keys: Keys) -> None:
        self._versions = versions
        self._city = city
        self._keys = keys
        self.reviews = ExclusionReviews(city)

    def facts_of(self, case: StoredCase) -> StoredFacts:
        """The facts a case was decided on."""
        return read(self._keys.unlock(case.situation, place=place_of(case.case_id)))

    async def amend(self, transaction: Transaction, event: CaseAmendedV1, triage: TriageFacts) -> None:
        """New facts: the case goes on with them, also when it had ended or was merged into another.

        Raises CaseUnknown when its report was not decided.
        """
        case_id = event.data.case_id
        while True:
            cases, referrals = await locked(transaction, [case_id])
            if case_id not in cases:
                raise CaseUnknown
            case = cases[case_id]
            if case.merged_into is None:
                break
            case_id = case.merged_into
        before = self.facts_of(case)
        facts = before.amended(event.data.case_id, self._told_now(triage, event))
        facts = facts.suggesting(triage.suggested_exclusions, transaction.now)
        if case.has_ended:
            # Somebody tells something new about this child: it must not vanish in a closed case.
            repository.add_case_transition(
                transaction, case_id, case.state.value, CaseState.REOPENED.value, ROUTING,
                ReplanReason.FACTS_AMENDED.value, cause=event.id,
            )  # fmt: skip
            transaction.announce(publisher.case_reopened(case_id, transaction.now))
            case = replace(case, state=CaseState.REOPENED, ended_as=None, ended_at=None)
        new = facts.pending - before.pending
        self.reviews.record_suggestions(transaction, self._keys, case_id, case.state, new, event.id)
        why = Why(ReplanReason.FACTS_AMENDED, ROUTING, event.id)
        await self.decide_again(transaction, case, referrals, facts, why)

    async def exclude(
        self, transaction: Transaction, case: StoredCase, referrals: Sequence[StoredReferral], agency: str, why: Why
    ) -> None:
        """An agency receives nothing any more, whatever it had (R6)."""
        facts = self.facts_of(case)
        if agency in facts.pending:
            facts = facts.decided(agency, SuggestionState.CONFIRMED, why.by, transaction.now)
        facts = facts.without(frozenset({agency}), self._city.kinds[agency])
        await self.decide_again(transaction, case, referrals, facts, why)

    async def decide_again(
        self,
        transaction: Transaction,
        case: StoredCase,
        referrals: Sequence[StoredReferral],
        facts: StoredFacts,
        why: Why,
        *,
        urgency: Urgency | None = None,
        twin: StoredCase | None = None,
        joining: Sequence[StoredReferral] = (),
    ) -> None:
        """Ask what is missing, take back what is no longer needed, tell the others what is known now.

        `urgency` is what a person says it is. `twin` is a case that ends in this one, `joining` what it had open; or,
        without a twin, what a closing cut off although a person had asked for it.
        """
        engines = self._versions.active(transaction.now)
        engine = engines.on(transaction.now.astimezone(self._city.zone).date())
        decision = engine.decide(facts.situation, facts.origin)
        from_facts = decision.urgency or Urgency.HIGH
        decided = urgency or _urgency(case, twin, from_facts)
        if decided is not from_facts:
            decision = engine.decide(facts.situation, facts.origin, by_hand=decided)
        plan = plan_case(decision, engines.agreement, facts.origin, transaction.now, self._city.zone)
        decides = deciding_agency(engines.agreement, facts.origin, facts.pending)
        held = hold_back(plan, facts.situation, facts.pending, decides)
        plan = held.plan
        facts = replace(facts, mediation_locked=plan.mediation_locked)
        made = _Decided(
            case, why, facts, plan, decision, engines.agreement, transaction.now, self._city.zone
        )  # fmt: skip
        change = replan(
            plan.referrals, referrals, engines.agreement, facts.origin, joining if twin else (), held.waiting
        )
        if joining:
            clauses = {referral.referral_id: self._clauses(referral) for referral in joining}
            more = carried(change, clauses, joining, referrals, engines.agreement, facts.origin, held.waiting)
            # What was cut off begins anew; what a twin had goes on under its clocks.
            more = more if twin else [replace(addition, follows=None) for addition in more]
            change = replace(change, added=(*change.added, *more))
        for agency in sorted(facts.origin.excluded - self.facts_of(case).origin.excluded):
            transaction.announce(publisher.agency_excluded(case.case_id, agency, transaction.now, why.cause))
        added = await self._ask(transaction, made, change.added)
        await self._take_back(transaction, made, change, joining if twin else ())
        await self._tell(transaction, made, change.kept)
        await transaction.flush()
        locked_facts = self._keys.lock(written(facts), place=place_of(case.case_id))
        stored = replace(
            case,
            urgency=plan.urgency,
            urgency_from_facts=from_facts,
            mediation_locked=plan.mediation_locked,
            agreement=plan.agreement,
            agreement_digest=engines.digest,
            situation=locked_facts,
        )
        served = await served_rights(transaction, self._versions, {case.case_id: stored})
        known = inherited(case.rights, twin.rights) if twin else case.rights
        ledger = replanned(known, plan.rights, served[case.case_id])
        unasked = frozenset(right for right, entry in ledger.items() if entry.state is RightState.UNANSWERED)
        waiting = held.held_rights({need.service: need.right for need in decision.assignments})
        ledger = awaiting(ledger, waiting & unasked)
        rights = announce_rights(transaction, case, ledger, why.cause)
        await repository.write_case(transaction, replace(stored, rights=rights.get(case.case_id, case.rights)))
        repository.add_case_transition(
            transaction, case.case_id, case.state.value, case.state.value, why.by, why.reason.value, why.note, why.cause
        )
        await repository.move_cases(transaction, CaseDeed.SERVED, _if_begun(stored), ROUTING)
        await self.reviews.update_review(
            transaction, case.case_id, facts, (plan, decision), engines.agreement, why.cause
        )
        transaction.announce(
            publisher.case_replanned(
                case.case_id,
                why.reason,
                plan,
                added=added,
                withdrawn=change.withdrawn,
                kept=change.kept,
                cause=why.cause,
            )
        )

    def _told_now(self, triage: TriageFacts, event: CaseAmendedV1) -> Told:
        ward = self._city.find_kelurahan(triage.kelurahan)
        agreement = self._versions.active(event.data.amended_at).agreement
        situation, origin = situation_from_report(triage, self._city, agreement, event.data.amended_at)
        shared = publisher.referral_facts(triage, ward.kecamatan if ward else "", mediation_locked=True)
        return Told(situation, origin, shared)

    def _clauses(self, referral: StoredReferral) -> tuple[str, ...]:
        return read_clauses(self._keys.unlock(referral.clauses, place=place_of_referral(referral.referral_id)))

    def _wanted(self, made: _Decided, service: Service, role: ReferralRole, agency: str) -> list[Running]:
        """The deadlines of a referral that is asked now; what makes it the police's business is known from now on."""
        is_police = self._city.kinds.get(agency) == AgencyKind.POLICE
        return list(
            clocks_of(
                made.decision.effective, service, role, made.now, made.zone, made.holidays,
                police_since=made.now if is_police else None,
            )
        )  # fmt: skip

    async def _ask(self, transaction: Transaction, made: _Decided, additions: Sequence[Addition]) -> list[NewReferral]:
        followed = [addition.follows.referral_id for addition in additions if addition.follows]
        running = await repository.clocks_of(transaction, followed)
        added = []
        for addition in additions:
            planned, follows = addition.planned, addition.follows
            wanted = self._wanted(made, planned.service, planned.role, planned.agency)
            clocks = wanted
            if follows:
                running_on = {clock.clock: goes_on(clock, made.now) for clock in running[follows.referral_id]}
                running_on |= {clock.clock: clock for clock in tightened(running_on.values(), wanted, frozenset())}
                clocks = list(running_on.values())
            referral_id = uuid4()
            referral = NewReferral(
                referral_id=referral_id,
                case_id=made.case.case_id,
                agency=planned.agency,
                service=planned.service,
                role=planned.role,
                urgency=made.plan.urgency,
                answer_by=_answer_by(clocks, made.plan.answer_by),
                agreement=made.plan.agreement,
                clauses=self._keys.lock(written_clauses(planned.clauses), place=place_of_referral(referral_id)),
                clocks=tuple(clocks),
                reroute_count=follows.reroute_count + _is_stuck(follows) if follows else 0,
                rerouted_from=follows.referral_id if follows else None,
                raised=addition.raised,
                by_hand=addition.by_hand,
            )
            repository.add_referral(transaction, referral)
            transaction.announce(publisher.referral_offered(referral, made.facts.shared, made.why.cause))
            if follows and _is_stuck(follows):
                await self._end_stuck(transaction, made, follows, referral)
            added.append(referral)
        return added

    async def _end_stuck(
        self, transaction: Transaction, made: _Decided, stuck: StoredReferral, following: NewReferral
    ) -> None:
        """Nobody was left to ask when it was declined; now there is somebody."""
        transaction.announce(
            publisher.referral_changed(
                ReferralReroutedV1, stuck, made.why.cause,
                is_told=stuck.standing.agency not in made.facts.origin.excluded,
                next_referral_id=following.referral_id, next_agency=following.agency, reroute_count=following.reroute_count,
                is_escalated_to_hub=following.service is Service.MANUAL_TRIAGE,
            )
        )  # fmt: skip
        cause = made.why.cause or uuid4()
        await repository.move(
            transaction, [Move(stuck, ReferralState.REROUTED, made.why.by, cause, made.why.reason.value)]
        )

    async def _take_back(
        self, transaction: Transaction, made: _Decided, change: Replan, joining: Sequence[StoredReferral]
    ) -> None:
        cause, reason = made.why.cause or uuid4(), made.why.reason.value
        for referral in change.withdrawn:
            transaction.announce(
                publisher.referral_changed(
                    ReferralRevokedV1, referral, made.why.cause, why=made.why.reason, revoked_at=made.now,
                    is_told=referral.standing.agency not in made.facts.origin.excluded,
                )
            )  # fmt: skip
        for referral in joining:
            transaction.announce(
                publisher.referral_changed(
                    ReferralCancelledV1, referral, made.why.cause, why=CancelReason.CASE_MERGED, cancelled_at=made.now,
                    is_told=referral.standing.agency not in made.facts.origin.excluded,
                )
            )  # fmt: skip
        moves = [Move(referral, ReferralState.REVOKED, made.why.by, cause, reason) for referral in change.withdrawn]
        moves += [Move(referral, ReferralState.CANCELLED, made.why.by, cause, reason) for referral in joining]
        await repository.move(transaction, moves)
        await repository.stop_clocks(
            transaction, [(move.referral.referral_id, clock) for move in moves for clock in STOPPED_BY]
        )

    async def _tell(self, transaction: Transaction, made: _Decided, kept: Sequence[StoredReferral]) -> None:
        """Those who stay learn what is known now, and by when they are awaited now."""
        is_lowered = list(Urgency).index(made.plan.urgency) > list(Urgency).index(made.case.urgency)
        running = await repository.clocks_of(transaction, [referral.referral_id for referral in kept])
        knew = self.facts_of(made.case).shared
        changed: list[tuple[UUID, Running]] = []
        amendments: dict[UUID, tuple[Urgency, datetime]] = {}
        for referral in kept:
            if _is_stuck(referral):
                continue
            wanted = self._wanted(made, referral.service, referral.role, referral.standing.agency)
            clocks = running[referral.referral_id]
            moved = relaxed(clocks, wanted) if is_lowered else tightened(clocks, wanted, _said(referral))
            answer_by = _answer_by(moved, referral.answer_by)
            changed += [(referral.referral_id, clock) for clock in moved]
            if (answer_by, made.plan.urgency) != (referral.answer_by, referral.standing.urgency):
                amendments[referral.referral_id] = (made.plan.urgency, answer_by)
            if referral.referral_id in amendments or knew != made.facts.shared:
                transaction.announce(
                    publisher.referral_amended(
                        referral, made.facts.shared, made.plan.urgency, answer_by, made.why.cause
                    )
                )
        await repository.reset(transaction, changed)
        await repository.amend(transaction, amendments)


def _if_begun(case: StoredCase) -> set[UUID]:
    """A case in which services have begun may have come to its end with what was taken back."""
    return {case.case_id} if case.state is CaseState.INTERVENTION else set()


def _urgency(case: StoredCase, twin: StoredCase | None, from_facts: Urgency) -> Urgency:
    """What was decided before, unless the facts say more than they did; of two cases the more urgent."""
    order = list(Urgency).index
    known = min((case, twin), key=lambda c: order(c.urgency_from_facts)) if twin else case
    urgency = urgency_after(case.urgency, known.urgency_from_facts, from_facts)
    return min(urgency, twin.urgency, key=order) if twin else urgency


def _answer_by(clocks: Sequence[Running], otherwise: datetime) -> datetime:
    return next((clock.due_at for clock in clocks if clock.clock is ClockName.ANSWER), otherwise)


def _is_stuck(referral: StoredReferral) -> bool:
    return referral.standing.state is ReferralState.DECLINED


def _said(referral: StoredReferral) -> frozenset[Said]:
    said = SAID_BEFORE.get(referral.standing.state, frozenset())
    return said | {Said.STARTED} if referral.standing.has_begun else said
