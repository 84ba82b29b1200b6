"""Judges the replies of agencies, records and publishes what they change, and reroutes declined referrals at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid4

import structlog

from simpul_agreement import Versions
from simpul_routing import publisher, repository
from simpul_routing.domain.case_lifecycle import CaseAction
from simpul_routing.domain.clocks import STOPPED_BY, continue_clock
from simpul_routing.domain.exclusions import Waiting, find_next_available_agency, protective_services
from simpul_routing.domain.lifecycle import ReferralState, ReplyKind, Unchanged, judge_reply
from simpul_routing.domain.referral import NewReferral, StoredReferral, Transition
from simpul_routing.domain.reroute import NextAgency
from simpul_routing.stored_facts import StoredFacts, decode_clauses, referral_context
from simpul_routing.use_cases.cases import ROUTING, decrypt_facts, load_for_update, update_rights
from simpul_routing.use_cases.replan_cases import ReplanCases, ReplanCause
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema import Event, Producer
from simpul_schema.messages import (
    ReferralAcceptedV1,
    ReferralCompletedV1,
    ReferralDeclinedV1,
    ReferralReroutedV1,
    ReferralStartedV1,
)
from simpul_schema.messages.reply import CompletionData, DeclineData, ReplyData
from simpul_schema.vocabulary import DeclineReason, ReferralRole, ReplanReason, ReplyRefusal, Service

_EVENT_OF_STATE: Final[Mapping[ReferralState, tuple[type[Event], str]]] = MappingProxyType({
    ReferralState.ACCEPTED: (ReferralAcceptedV1, "accepted_at"),
    ReferralState.IN_PROGRESS: (ReferralStartedV1, "started_at"),
    ReferralState.COMPLETED: (ReferralCompletedV1, "completed_at"),
    ReferralState.DECLINED: (ReferralDeclinedV1, "declined_at"),
})  # fmt: skip
"""State -> event that publishes it, and the name of the time in that event."""
_CHANGES_RIGHTS: Final = frozenset({ReferralState.IN_PROGRESS, ReferralState.COMPLETED, ReferralState.DECLINED})
_CASE_ACTIONS: Final = (
    (ReferralState.ACCEPTED, CaseAction.ACCEPTED), (ReferralState.IN_PROGRESS, CaseAction.BEGUN),
    (ReferralState.COMPLETED, CaseAction.SERVED),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of an agency about a referral."""

    event: Event
    data: ReplyData

    @property
    def agency(self) -> str:
        """The agency that signed the reply."""
        return Producer.of(self.event.source).party


@dataclass(frozen=True, slots=True)
class _Declined:
    referral: StoredReferral
    reply: Reply

    @property
    def is_conflict(self) -> bool:
        """Whether the agency declares a conflict of interest, so that it must not learn who is next."""
        data = self.reply.data
        return isinstance(data, DeclineData) and data.reason is DeclineReason.CONFLICT_OF_INTEREST


log = structlog.get_logger()


class JudgeReplies:
    """Judges replies of one kind that arrived together."""

    def __init__(self, versions: Versions, keys: Keys, replan_cases: ReplanCases) -> None:
        self._versions = versions
        self._keys = keys
        self._replan_cases = replan_cases

    async def judge_replies(self, transaction: Transaction, kind: ReplyKind, replies: Sequence[Reply]) -> None:
        """Changes the state of each referral, or refuses the reply with a reason."""
        ids = {reply.data.referral_id for reply in replies}
        await self._lock_conflicts(transaction, replies)
        known = await repository.load_referrals_for_update(transaction, ids)
        transitions: list[Transition] = []
        overtaken: list[UUID] = []
        for reply in replies:
            referral = known.get(reply.data.referral_id)
            reason = reply.data.reason if isinstance(reply.data, DeclineData) else None
            outcome = judge_reply(referral.standing if referral else None, reply.agency, kind, reason)
            if isinstance(outcome, ReplyRefusal) or referral is None:
                refusal = outcome if isinstance(outcome, ReplyRefusal) else ReplyRefusal.UNKNOWN_REFERRAL
                self._refuse_reply(transaction, reply, refusal)
            elif isinstance(outcome, Unchanged):
                overtaken += [referral.referral_id] if kind is ReplyKind.DELIVERED else []
            else:
                ended = reply.data.outcome if isinstance(reply.data, CompletionData) else None
                why = reason.value if reason else ""
                transitions.append(Transition(referral, outcome, reply.agency, reply.event.id, why, ended))
                self._publish_change(transaction, referral, outcome, reply)
                # The next reply about it in this batch is judged by the new state.
                known[referral.referral_id] = _with_state(referral, outcome)
        await repository.record_late_receipts(transaction, overtaken)
        declined = [transition for transition in transitions if transition.after is ReferralState.DECLINED]
        by_id = {reply.event.id: reply for reply in replies}
        declines = [_Declined(transition.referral, by_id[transition.cause]) for transition in declined]
        transitions += await self._reroute_declined(transaction, declines)
        await repository.apply_transitions(transaction, transitions)
        if declined:
            # The rights depend on the new referrals.
            await transaction.flush()
        await self._update_cases(transaction, transitions)
        await repository.stop_clocks(
            transaction,
            [
                (transition.referral.referral_id, clock)
                for transition in transitions
                for clock, stops in STOPPED_BY.items()
                if kind in stops
            ],
        )
        for transition in declined:
            if transition.reason == DeclineReason.CONFLICT_OF_INTEREST.value:
                await self._exclude_agency(transaction, transition)

    def _refuse_reply(self, transaction: Transaction, reply: Reply, reason: ReplyRefusal) -> None:
        referral_id = reply.data.referral_id
        repository.add_refused_reply(transaction, reply.event.id, referral_id, reply.agency, reason)
        transaction.announce(publisher.reply_refused(reply.event, reply.agency, referral_id, reason))

    def _publish_change(
        self, transaction: Transaction, referral: StoredReferral, after: ReferralState, reply: Reply
    ) -> None:
        if after not in _EVENT_OF_STATE:
            return
        message, moment = _EVENT_OF_STATE[after]
        data: dict[str, Any] = {moment: transaction.now}
        match reply.data:
            case CompletionData(outcome=outcome):
                data["outcome"] = outcome
            case DeclineData(reason=reason):
                data["reason"] = reason
            case _:
                pass
        transaction.announce(publisher.referral_changed(message, referral, reply.event.id, **data))

    async def _reroute_declined(self, transaction: Transaction, declined: Sequence[_Declined]) -> list[Transition]:
        """Offers each declined referral to the next agency under the running clocks; returns the final transitions."""
        if not declined:
            return []
        cases = {entry.referral.case_id for entry in declined}
        excluded: dict[UUID, set[str]] = {case_id: set() for case_id in cases}
        for entry in declined:
            # Excluded first: an agency that declares a conflict is offered no other service of the case either.
            excluded[entry.referral.case_id] |= {entry.referral.standing.agency} if entry.is_conflict else set()
        plans = await repository.load_cases_for_update(transaction, cases)
        tried = await repository.find_tried_agencies(transaction, cases)
        clocks = await repository.load_clocks(transaction, [entry.referral.referral_id for entry in declined])
        transitions = []
        for entry in declined:
            referral, cause = entry.referral, entry.reply.event.id
            plan = plans[referral.case_id]
            facts = decrypt_facts(self._keys, plan)
            facts = replace(facts, excluded=facts.excluded | excluded[referral.case_id])
            if plan.has_ended:
                transitions.append(
                    Transition(_with_state(referral, ReferralState.DECLINED), ReferralState.CANCELLED, ROUTING, cause)
                )
                continue
            declined_triage = tried.setdefault((referral.case_id, Service.MANUAL_TRIAGE), set())
            declined_triage |= {referral.standing.agency} if referral.service is Service.MANUAL_TRIAGE else set()
            tried_agencies = tried.setdefault((referral.case_id, referral.service), set())
            clauses = self._keys.unlock(referral.clauses, place=referral_context(referral.referral_id))
            next_agency = self._find_next_agency(
                referral, decode_clauses(clauses), facts, tried_agencies, declined_triage
            )
            if next_agency is None:
                # It stays declined, which is not a final state: every agency of the city is excluded from this case.
                log.error("no_agency_left", referral_id=referral.referral_id, case_id=referral.case_id)
                continue
            if next_agency.service is not Service.MANUAL_TRIAGE:
                tried.setdefault((referral.case_id, next_agency.service), set()).add(next_agency.agency)
            referral_id = uuid4()
            rerouted = NewReferral(
                referral_id=referral_id,
                case_id=referral.case_id,
                agency=next_agency.agency,
                service=next_agency.service,
                role=next_agency.role,
                urgency=referral.standing.urgency,
                answer_by=referral.answer_by,
                agreement=referral.agreement,
                clauses=self._keys.lock(clauses, place=referral_context(referral_id)),
                reroute_count=next_agency.reroute_count,
                rerouted_from=referral.referral_id,
                escalated_service=referral.outstanding_service
                if next_agency.service is not referral.outstanding_service.service
                else None,
                by_hand=referral.by_hand,
                clocks=tuple(continue_clock(clock, transaction.now) for clock in clocks[referral.referral_id]),
            )
            self._offer_rerouted(transaction, entry, rerouted, next_agency, facts)
            transitions.append(
                Transition(
                    _with_state(referral, ReferralState.DECLINED),
                    ReferralState.REROUTED,
                    ROUTING,
                    cause,
                    next_agency.agency,
                )
            )
        return transitions

    async def _update_cases(self, transaction: Transaction, transitions: Sequence[Transition]) -> None:
        """Updates the states and the rights of cases after transitions of their referrals."""
        for state, action in _CASE_ACTIONS:
            cases = {transition.referral.case_id for transition in transitions if transition.after is state}
            await repository.apply_case_action(transaction, action, cases, ROUTING)
        leading = {
            transition.referral.case_id: transition.cause
            for transition in transitions
            if transition.after in _CHANGES_RIGHTS and transition.referral.outstanding_service.role is ReferralRole.LEAD
        }
        if leading:
            await update_rights(transaction, self._versions, leading)

    async def _lock_conflicts(self, transaction: Transaction, replies: Sequence[Reply]) -> None:
        """Locks all referrals of cases with a declared conflict, because the agency loses all of them."""
        conflicts = {
            reply.data.referral_id
            for reply in replies
            if isinstance(reply.data, DeclineData) and reply.data.reason is DeclineReason.CONFLICT_OF_INTEREST
        }
        if conflicts:
            cases = await repository.find_cases_of_referrals(transaction, conflicts)
            await repository.load_referrals_of_cases_for_update(transaction, cases)

    async def _exclude_agency(self, transaction: Transaction, transition: Transition) -> None:
        """Excludes an agency that declared a conflict of interest from the whole case (R6)."""
        case_id, agency = transition.referral.case_id, transition.actor
        cases, referrals = await load_for_update(transaction, [case_id])
        if not cases[case_id].has_ended:
            cause = ReplanCause(ReplanReason.AGENCY_EXCLUDED, agency, transition.cause)
            await self._replan_cases.exclude_agency(transaction, cases[case_id], referrals, agency, cause)

    def _find_next_agency(
        self,
        referral: StoredReferral,
        clauses: tuple[str, ...],
        facts: StoredFacts,
        tried: set[str],
        declined_triage: set[str],
    ) -> NextAgency | None:
        agreement = self._versions.of(referral.agreement).agreement
        waiting = Waiting(facts.pending, protective_services(facts.situation, referral.standing.urgency))
        return find_next_available_agency(
            waiting, agreement, clauses, referral.service, referral.role, facts.origin, tried=tried,
            declined_triage=declined_triage,
            reroute_count=referral.reroute_count,
        )  # fmt: skip

    def _offer_rerouted(
        self,
        transaction: Transaction,
        entry: _Declined,
        rerouted: NewReferral,
        next_agency: NextAgency,
        facts: StoredFacts,
    ) -> None:
        repository.add_referral(transaction, rerouted)
        cause, informs_agency = entry.reply.event.id, entry.referral.standing.agency not in facts.origin.excluded
        transaction.announce(
            publisher.referral_changed(
                ReferralReroutedV1,
                entry.referral,
                cause,
                informs_agency=informs_agency,
                next_referral_id=rerouted.referral_id,
                next_agency=rerouted.agency,
                reroute_count=next_agency.reroute_count,
                is_escalated_to_hub=next_agency.is_escalated_to_hub,
            )
        )
        transaction.announce(publisher.referral_offered(rerouted, facts.shared, cause))


def _with_state(referral: StoredReferral, state: ReferralState) -> StoredReferral:
    begun = referral.standing.has_first_aid or state is ReferralState.IN_PROGRESS
    return replace(referral, standing=replace(referral.standing, state=state, has_first_aid=begun))
