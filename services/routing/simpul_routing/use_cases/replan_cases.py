"""Replans a case after its facts, urgency or exclusions changed, and publishes what changed."""

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
from simpul_routing.domain.case_lifecycle import CaseAction, CaseState
from simpul_routing.domain.clocks import (
    STOPPED_BY,
    ReferralClock,
    clocks_for_referral,
    continue_clock,
    relax_clocks,
    tighten_clocks,
)
from simpul_routing.domain.exclusions import SuggestionState, find_deciding_agency, hold_back_referrals
from simpul_routing.domain.lifecycle import IMPLIED_REPLIES, ReferralState, ReplyKind
from simpul_routing.domain.referral import NewReferral, StoredReferral, Transition
from simpul_routing.domain.replan import Addition, Replan, carry_over_referrals, combine_urgency, replan_referrals
from simpul_routing.domain.rights import inherit_ledger, mark_awaiting_decision, replan_ledger
from simpul_routing.errors import CaseUnknown
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import (
    ReportedFacts,
    StoredFacts,
    case_context,
    decode_clauses,
    encode_clauses,
    encode_facts,
    referral_context,
)
from simpul_routing.use_cases.cases import (
    ROUTING,
    decrypt_facts,
    find_leads_by_right,
    load_for_update,
    publish_changed_rights,
)
from simpul_routing.use_cases.review_exclusions import ExclusionReviews
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import ReferralCancelledV1, ReferralReroutedV1, ReferralRevokedV1
from simpul_schema.messages.case import CaseAmendedV1, TriageFacts
from simpul_schema.vocabulary import CancelReason, ReferralRole, ReplanReason, RightState, Service, Urgency

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ReplanCause:
    """Why a case is replanned, and by whom."""

    reason: ReplanReason
    by: str
    event_id: UUID | None = None
    note: bytes = b""
    """What a person wrote, encrypted."""


@dataclass(frozen=True, slots=True)
class _NewDecision:
    """A case with its new decision and the cause."""

    case: StoredCase
    cause: ReplanCause
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
    """Replans cases by the active version of the agreement."""

    def __init__(self, versions: Versions, city: City, keys: Keys) -> None:
        self._versions = versions
        self._city = city
        self._keys = keys
        self.reviews = ExclusionReviews(city)

    async def amend_case(self, transaction: Transaction, event: CaseAmendedV1, triage: TriageFacts) -> None:
        """Replans a case with amended facts; reopens it if it had ended, continued it if it was merged.

        Raises CaseUnknown if its report has not been decided.
        """
        case_id = event.data.case_id
        while True:
            cases, referrals = await load_for_update(transaction, [case_id])
            if case_id not in cases:
                raise CaseUnknown
            case = cases[case_id]
            if case.merged_into is None:
                break
            case_id = case.merged_into
        before = decrypt_facts(self._keys, case)
        facts = before.amend_report(event.data.case_id, self._report_facts(triage, event))
        facts = facts.add_suggestions(triage.suggested_exclusions, transaction.now)
        if case.has_ended:
            # New facts about a child must not vanish in a closed case.
            repository.add_case_transition(
                transaction, case_id, case.state.value, CaseState.REOPENED.value, ROUTING,
                ReplanReason.FACTS_AMENDED.value, cause=event.id,
            )  # fmt: skip
            transaction.announce(publisher.case_reopened(case_id, transaction.now))
            case = replace(case, state=CaseState.REOPENED, ended_as=None, ended_at=None)
        new = facts.pending - before.pending
        self.reviews.record_suggestions(transaction, self._keys, case_id, case.state, new, event.id)
        why = ReplanCause(ReplanReason.FACTS_AMENDED, ROUTING, event.id)
        await self.replan_case(transaction, case, referrals, facts, why)

    async def exclude_agency(
        self,
        transaction: Transaction,
        case: StoredCase,
        referrals: Sequence[StoredReferral],
        agency: str,
        cause: ReplanCause,
    ) -> None:
        """Excludes an agency from a case and withdraws all its referrals (R6)."""
        facts = decrypt_facts(self._keys, case)
        if agency in facts.pending:
            facts = facts.decide_suggestion(agency, SuggestionState.CONFIRMED, cause.by, transaction.now)
        facts = facts.exclude_agencies(frozenset({agency}), self._city.kinds[agency])
        await self.replan_case(transaction, case, referrals, facts, cause)

    async def replan_case(
        self,
        transaction: Transaction,
        case: StoredCase,
        referrals: Sequence[StoredReferral],
        facts: StoredFacts,
        cause: ReplanCause,
        *,
        urgency: Urgency | None = None,
        duplicate: StoredCase | None = None,
        joining: Sequence[StoredReferral] = (),
    ) -> None:
        """Decides a case again: offers missing services, withdraws unneeded referrals and amends the others.

        `urgency` overrides the urgency by the facts. `duplicate` is a case that is being merged into this one, and
        `joining` its open referrals; without a duplicate, `joining` are referrals by hand that ended with the case.
        """
        engines = self._versions.active(transaction.now)
        engine = engines.on(transaction.now.astimezone(self._city.zone).date())
        decision = engine.decide(facts.situation, facts.origin)
        from_facts = decision.urgency or Urgency.HIGH
        effective_urgency = urgency or _combine_urgency(case, duplicate, from_facts)
        if effective_urgency is not from_facts:
            decision = engine.decide(facts.situation, facts.origin, by_hand=effective_urgency)
        plan = plan_case(decision, engines.agreement, facts.origin, transaction.now, self._city.zone)
        deciding_agency = find_deciding_agency(engines.agreement, facts.origin, facts.pending)
        held = hold_back_referrals(plan, facts.situation, facts.pending, deciding_agency)
        plan = held.plan
        facts = replace(facts, mediation_locked=plan.mediation_locked)
        decided = _NewDecision(
            case, cause, facts, plan, decision, engines.agreement, transaction.now, self._city.zone
        )  # fmt: skip
        change = replan_referrals(
            plan.referrals, referrals, engines.agreement, facts.origin, joining if duplicate else (), held.waiting
        )
        if joining:
            clauses = {referral.referral_id: self._decrypt_clauses(referral) for referral in joining}
            carried = carry_over_referrals(
                change, clauses, joining, referrals, engines.agreement, facts.origin, held.waiting
            )
            # Referrals that ended with the case get new clocks; those of a duplicate keep theirs.
            carried = carried if duplicate else [replace(addition, continues=None) for addition in carried]
            change = replace(change, added=(*change.added, *carried))
        for agency in sorted(facts.origin.excluded - decrypt_facts(self._keys, case).origin.excluded):
            transaction.announce(publisher.agency_excluded(case.case_id, agency, transaction.now, cause.event_id))
        added = await self._offer_additions(transaction, decided, change.added)
        await self._withdraw_referrals(transaction, decided, change, joining if duplicate else ())
        await self._amend_kept(transaction, decided, change.kept)
        await transaction.flush()
        encrypted_facts = self._keys.lock(encode_facts(facts), place=case_context(case.case_id))
        stored = replace(
            case,
            urgency=plan.urgency,
            urgency_from_facts=from_facts,
            mediation_locked=plan.mediation_locked,
            agreement=plan.agreement,
            agreement_digest=engines.digest,
            situation=encrypted_facts,
        )
        leads = await find_leads_by_right(transaction, self._versions, {case.case_id: stored})
        known = inherit_ledger(case.rights, duplicate.rights) if duplicate else case.rights
        ledger = replan_ledger(known, plan.rights, leads[case.case_id])
        unanswered = frozenset(right for right, entry in ledger.items() if entry.state is RightState.UNANSWERED)
        waiting = held.held_rights({need.service: need.right for need in decision.assignments})
        ledger = mark_awaiting_decision(ledger, waiting & unanswered)
        rights = publish_changed_rights(transaction, case, ledger, cause.event_id)
        await repository.update_case(transaction, replace(stored, rights=rights.get(case.case_id, case.rights)))
        repository.add_case_transition(
            transaction,
            case.case_id,
            case.state.value,
            case.state.value,
            cause.by,
            cause.reason.value,
            cause.note,
            cause.event_id,
        )
        await repository.apply_case_action(transaction, CaseAction.SERVED, _cases_in_intervention(stored), ROUTING)
        await self.reviews.update_review(
            transaction, case.case_id, facts, (plan, decision), engines.agreement, cause.event_id
        )
        transaction.announce(
            publisher.case_replanned(
                case.case_id,
                cause.reason,
                plan,
                added=added,
                withdrawn=change.withdrawn,
                kept=change.kept,
                cause=cause.event_id,
            )
        )

    def _report_facts(self, triage: TriageFacts, event: CaseAmendedV1) -> ReportedFacts:
        ward = self._city.find_kelurahan(triage.kelurahan)
        agreement = self._versions.active(event.data.amended_at).agreement
        situation, origin = situation_from_report(triage, self._city, agreement, event.data.amended_at)
        shared = publisher.referral_facts(triage, ward.kecamatan if ward else "", mediation_locked=True)
        return ReportedFacts(situation, origin, shared)

    def _decrypt_clauses(self, referral: StoredReferral) -> tuple[str, ...]:
        return decode_clauses(self._keys.unlock(referral.clauses, place=referral_context(referral.referral_id)))

    def _compute_clocks(
        self, decided: _NewDecision, service: Service, role: ReferralRole, agency: str
    ) -> list[ReferralClock]:
        """Returns the clocks of a referral offered now; the clock of the police report starts now as well."""
        is_police = self._city.kinds.get(agency) == AgencyKind.POLICE
        return list(
            clocks_for_referral(
                decided.decision.effective, service, role, decided.now, decided.zone, decided.holidays,
                police_since=decided.now if is_police else None,
            )
        )  # fmt: skip

    async def _offer_additions(
        self, transaction: Transaction, decided: _NewDecision, additions: Sequence[Addition]
    ) -> list[NewReferral]:
        continued_ids = [addition.continues.referral_id for addition in additions if addition.continues]
        running = await repository.load_clocks(transaction, continued_ids)
        added = []
        for addition in additions:
            planned, continued = addition.planned, addition.continues
            required = self._compute_clocks(decided, planned.service, planned.role, planned.agency)
            clocks = required
            if continued:
                continued_clocks = {
                    clock.clock: continue_clock(clock, decided.now) for clock in running[continued.referral_id]
                }
                continued_clocks |= {
                    clock.clock: clock for clock in tighten_clocks(continued_clocks.values(), required, frozenset())
                }
                clocks = list(continued_clocks.values())
            referral_id = uuid4()
            referral = NewReferral(
                referral_id=referral_id,
                case_id=decided.case.case_id,
                agency=planned.agency,
                service=planned.service,
                role=planned.role,
                urgency=decided.plan.urgency,
                answer_by=_answer_by(clocks, decided.plan.answer_by),
                agreement=decided.plan.agreement,
                clauses=self._keys.lock(encode_clauses(planned.clauses), place=referral_context(referral_id)),
                clocks=tuple(clocks),
                reroute_count=continued.reroute_count + _is_declined(continued) if continued else 0,
                rerouted_from=continued.referral_id if continued else None,
                escalated_service=addition.escalated_service,
                by_hand=addition.by_hand,
            )
            repository.add_referral(transaction, referral)
            transaction.announce(publisher.referral_offered(referral, decided.facts.shared, decided.cause.event_id))
            if continued and _is_declined(continued):
                await self._reroute_declined(transaction, decided, continued, referral)
            added.append(referral)
        return added

    async def _reroute_declined(
        self, transaction: Transaction, decided: _NewDecision, declined: StoredReferral, rerouted: NewReferral
    ) -> None:
        """Reroutes a referral for which no agency was left when it was declined."""
        transaction.announce(
            publisher.referral_changed(
                ReferralReroutedV1,
                declined,
                decided.cause.event_id,
                informs_agency=declined.standing.agency not in decided.facts.origin.excluded,
                next_referral_id=rerouted.referral_id,
                next_agency=rerouted.agency,
                reroute_count=rerouted.reroute_count,
                is_escalated_to_hub=rerouted.service is Service.MANUAL_TRIAGE,
            )
        )
        cause = decided.cause.event_id or uuid4()
        await repository.apply_transitions(
            transaction,
            [Transition(declined, ReferralState.REROUTED, decided.cause.by, cause, decided.cause.reason.value)],
        )

    async def _withdraw_referrals(
        self, transaction: Transaction, decided: _NewDecision, change: Replan, joining: Sequence[StoredReferral]
    ) -> None:
        cause, reason = decided.cause.event_id or uuid4(), decided.cause.reason.value
        for referral in change.withdrawn:
            transaction.announce(
                publisher.referral_changed(
                    ReferralRevokedV1,
                    referral,
                    decided.cause.event_id,
                    why=decided.cause.reason,
                    revoked_at=decided.now,
                    informs_agency=referral.standing.agency not in decided.facts.origin.excluded,
                )
            )
        for referral in joining:
            transaction.announce(
                publisher.referral_changed(
                    ReferralCancelledV1,
                    referral,
                    decided.cause.event_id,
                    why=CancelReason.CASE_MERGED,
                    cancelled_at=decided.now,
                    informs_agency=referral.standing.agency not in decided.facts.origin.excluded,
                )
            )
        transitions = [
            Transition(referral, ReferralState.REVOKED, decided.cause.by, cause, reason)
            for referral in change.withdrawn
        ]
        transitions += [
            Transition(referral, ReferralState.CANCELLED, decided.cause.by, cause, reason) for referral in joining
        ]
        await repository.apply_transitions(transaction, transitions)
        await repository.stop_clocks(
            transaction,
            [(transition.referral.referral_id, clock) for transition in transitions for clock in STOPPED_BY],
        )

    async def _amend_kept(
        self, transaction: Transaction, decided: _NewDecision, kept: Sequence[StoredReferral]
    ) -> None:
        """Publishes new facts and deadlines to the agencies whose referrals stay."""
        is_lowered = list(Urgency).index(decided.plan.urgency) > list(Urgency).index(decided.case.urgency)
        running = await repository.load_clocks(transaction, [referral.referral_id for referral in kept])
        shared_before = decrypt_facts(self._keys, decided.case).shared
        changed: list[tuple[UUID, ReferralClock]] = []
        amendments: dict[UUID, tuple[Urgency, datetime]] = {}
        for referral in kept:
            if _is_declined(referral):
                continue
            required = self._compute_clocks(decided, referral.service, referral.role, referral.standing.agency)
            clocks = running[referral.referral_id]
            changed_clocks = (
                relax_clocks(clocks, required)
                if is_lowered
                else tighten_clocks(clocks, required, _implied_replies(referral))
            )
            answer_by = _answer_by(changed_clocks, referral.answer_by)
            changed += [(referral.referral_id, clock) for clock in changed_clocks]
            if (answer_by, decided.plan.urgency) != (referral.answer_by, referral.standing.urgency):
                amendments[referral.referral_id] = (decided.plan.urgency, answer_by)
            if referral.referral_id in amendments or shared_before != decided.facts.shared:
                transaction.announce(
                    publisher.referral_amended(
                        referral, decided.facts.shared, decided.plan.urgency, answer_by, decided.cause.event_id
                    )
                )
        await repository.upsert_clocks(transaction, changed)
        await repository.amend_referrals(transaction, amendments)


def _cases_in_intervention(case: StoredCase) -> set[UUID]:
    """The case, if a withdrawal may have ended its last started service."""
    return {case.case_id} if case.state is CaseState.INTERVENTION else set()


def _combine_urgency(case: StoredCase, duplicate: StoredCase | None, from_facts: Urgency) -> Urgency:
    """Returns the urgency after new facts; that of the more urgent case if a duplicate is merged."""
    order = list(Urgency).index
    known = min((case, duplicate), key=lambda c: order(c.urgency_from_facts)) if duplicate else case
    urgency = combine_urgency(case.urgency, known.urgency_from_facts, from_facts)
    return min(urgency, duplicate.urgency, key=order) if duplicate else urgency


def _answer_by(clocks: Sequence[ReferralClock], otherwise: datetime) -> datetime:
    return next((clock.due_at for clock in clocks if clock.clock is ClockName.ANSWER), otherwise)


def _is_declined(referral: StoredReferral) -> bool:
    return referral.standing.state is ReferralState.DECLINED


def _implied_replies(referral: StoredReferral) -> frozenset[ReplyKind]:
    implied = IMPLIED_REPLIES.get(referral.standing.state, frozenset())
    return implied | {ReplyKind.STARTED} if referral.standing.has_begun else implied
