"""What an agency says about a referral is judged, recorded and announced; a decline is handed over at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid4

import structlog

from simpul_agreement import Versions
from simpul_routing import publisher, repository
from simpul_routing.domain.case_life import CaseDeed
from simpul_routing.domain.clocks import STOPPED_BY, goes_on
from simpul_routing.domain.exclusions import Waiting, protective_services, successor_beside
from simpul_routing.domain.hand_over import Successor
from simpul_routing.domain.lifecycle import ReferralState, Said, Unchanged, judge_reply
from simpul_routing.domain.referral import Move, NewReferral, StoredReferral
from simpul_routing.stored_facts import StoredFacts, place_of, place_of_referral, read, read_clauses
from simpul_routing.use_cases.cases import ROUTING, locked, rights_follow
from simpul_routing.use_cases.replan_cases import ReplanCases, Why
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

_ANNOUNCED: Final[Mapping[ReferralState, tuple[type[Event], str]]] = MappingProxyType({
    ReferralState.ACCEPTED: (ReferralAcceptedV1, "accepted_at"),
    ReferralState.IN_PROGRESS: (ReferralStartedV1, "started_at"),
    ReferralState.COMPLETED: (ReferralCompletedV1, "completed_at"),
    ReferralState.DECLINED: (ReferralDeclinedV1, "declined_at"),
})  # fmt: skip
"""State -> what everybody hears of it, and what the moment is called there."""
_MOVES_RIGHTS: Final = frozenset({ReferralState.IN_PROGRESS, ReferralState.COMPLETED, ReferralState.DECLINED})
_MOVES_CASES: Final = (
    (ReferralState.ACCEPTED, CaseDeed.ACCEPTED), (ReferralState.IN_PROGRESS, CaseDeed.BEGUN),
    (ReferralState.COMPLETED, CaseDeed.SERVED),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """What an agency said about a referral."""

    event: Event
    data: ReplyData

    @property
    def agency(self) -> str:
        """Who said it, as the signature proves."""
        return Producer.of(self.event.source).party


@dataclass(frozen=True, slots=True)
class _Declined:
    referral: StoredReferral
    reply: Reply

    @property
    def is_conflict(self) -> bool:
        """Whether the agency may not even learn who follows it."""
        data = self.reply.data
        return isinstance(data, DeclineData) and data.reason is DeclineReason.CONFLICT_OF_INTEREST


log = structlog.get_logger()


class JudgeReplies:
    """Judges the replies of one kind that arrived together."""

    def __init__(self, versions: Versions, keys: Keys, replan_cases: ReplanCases) -> None:
        self._versions = versions
        self._keys = keys
        self._replan_cases = replan_cases

    async def judge(self, transaction: Transaction, said: Said, replies: Sequence[Reply]) -> None:
        """Move each referral, or tell the agency why its reply changes nothing."""
        ids = {reply.data.referral_id for reply in replies}
        await self._lock_conflicts(transaction, replies)
        known = await repository.referrals_for_update(transaction, ids)
        moves: list[Move] = []
        overtaken: list[UUID] = []
        for reply in replies:
            referral = known.get(reply.data.referral_id)
            reason = reply.data.reason if isinstance(reply.data, DeclineData) else None
            outcome = judge_reply(referral.standing if referral else None, reply.agency, said, reason)
            if isinstance(outcome, ReplyRefusal) or referral is None:
                refusal = outcome if isinstance(outcome, ReplyRefusal) else ReplyRefusal.UNKNOWN_REFERRAL
                self._refuse(transaction, reply, refusal)
            elif isinstance(outcome, Unchanged):
                overtaken += [referral.referral_id] if said is Said.DELIVERED else []
            else:
                ended = reply.data.outcome if isinstance(reply.data, CompletionData) else None
                why = reason.value if reason else ""
                moves.append(Move(referral, outcome, reply.agency, reply.event.id, why, ended))
                self._announce(transaction, referral, outcome, reply)
                # Another reply about it in this batch is judged by where it stands now.
                known[referral.referral_id] = _moved(referral, outcome)
        await repository.note_delivered(transaction, overtaken)
        declined = [move for move in moves if move.after is ReferralState.DECLINED]
        by_id = {reply.event.id: reply for reply in replies}
        reroute_count = [_Declined(move.referral, by_id[move.cause]) for move in declined]
        moves += await self._hand_over(transaction, reroute_count)
        await repository.move(transaction, moves)
        if declined:
            # Rights are moved by what was offered instead.
            await transaction.flush()
        await self._move_cases(transaction, moves)
        await repository.stop_clocks(transaction, [
            (move.referral.referral_id, clock) for move in moves for clock, stops in STOPPED_BY.items() if said in stops
        ])  # fmt: skip
        for move in declined:
            if move.reason == DeclineReason.CONFLICT_OF_INTEREST.value:
                await self._exclude(transaction, move)

    def _refuse(self, transaction: Transaction, reply: Reply, reason: ReplyRefusal) -> None:
        referral_id = reply.data.referral_id
        repository.add_refusal(transaction, reply.event.id, referral_id, reply.agency, reason)
        transaction.announce(publisher.reply_refused(reply.event, reply.agency, referral_id, reason))

    def _announce(self, transaction: Transaction, referral: StoredReferral, after: ReferralState, reply: Reply) -> None:
        if after not in _ANNOUNCED:
            return
        message, moment = _ANNOUNCED[after]
        more: dict[str, Any] = {moment: transaction.now}
        match reply.data:
            case CompletionData(outcome=outcome):
                more["outcome"] = outcome
            case DeclineData(reason=reason):
                more["reason"] = reason
            case _:
                pass
        transaction.announce(publisher.referral_changed(message, referral, reply.event.id, **more))

    async def _hand_over(self, transaction: Transaction, declined: Sequence[_Declined]) -> list[Move]:
        """A successor for each declined referral, under the clocks that already run; returns how the old ones end."""
        if not declined:
            return []
        cases = {entry.referral.case_id for entry in declined}
        excluded: dict[UUID, set[str]] = {case_id: set() for case_id in cases}
        for entry in declined:
            # Before anybody is asked: who declares a conflict is asked for nothing else either.
            excluded[entry.referral.case_id] |= {entry.referral.standing.agency} if entry.is_conflict else set()
        plans = await repository.cases_for_update(transaction, cases)
        asked = await repository.agencies_asked(transaction, cases)
        clocks = await repository.clocks_of(transaction, [entry.referral.referral_id for entry in declined])
        moves = []
        for entry in declined:
            referral, cause = entry.referral, entry.reply.event.id
            plan = plans[referral.case_id]
            facts = read(self._keys.unlock(plan.situation, place=place_of(referral.case_id)))
            facts = replace(facts, excluded=facts.excluded | excluded[referral.case_id])
            if plan.has_ended:
                moves.append(Move(_moved(referral, ReferralState.DECLINED), ReferralState.CANCELLED, ROUTING, cause))
                continue
            triaging = asked.setdefault((referral.case_id, Service.MANUAL_TRIAGE), set())
            triaging |= {referral.standing.agency} if referral.service is Service.MANUAL_TRIAGE else set()
            already = asked.setdefault((referral.case_id, referral.service), set())
            clauses = self._keys.unlock(referral.clauses, place=place_of_referral(referral.referral_id))
            follows = self._successor(referral, read_clauses(clauses), facts, already, triaging)
            if follows is None:
                # It stays declined, which is no end: every agency of the city is excluded from this case.
                log.error("nobody_is_left_to_ask", referral_id=referral.referral_id, case_id=referral.case_id)
                continue
            if follows.service is not Service.MANUAL_TRIAGE:
                asked.setdefault((referral.case_id, follows.service), set()).add(follows.agency)
            following_id = uuid4()
            following = NewReferral(
                referral_id=following_id,
                case_id=referral.case_id,
                agency=follows.agency,
                service=follows.service,
                role=follows.role,
                urgency=referral.standing.urgency,
                answer_by=referral.answer_by,
                agreement=referral.agreement,
                clauses=self._keys.lock(clauses, place=place_of_referral(following_id)),
                reroute_count=follows.reroute_count,
                rerouted_from=referral.referral_id,
                raised=referral.owed if follows.service is not referral.owed.service else None,
                by_hand=referral.by_hand,
                clocks=tuple(goes_on(clock, transaction.now) for clock in clocks[referral.referral_id]),
            )
            self._offer(transaction, entry, following, follows, facts)
            moves.append(
                Move(_moved(referral, ReferralState.DECLINED), ReferralState.REROUTED, ROUTING, cause, follows.agency)
            )
        return moves

    async def _move_cases(self, transaction: Transaction, moves: Sequence[Move]) -> None:
        """A case and its rights follow its referrals."""
        for state, deed in _MOVES_CASES:
            cases = {move.referral.case_id for move in moves if move.after is state}
            await repository.move_cases(transaction, deed, cases, ROUTING)
        leading = {
            move.referral.case_id: move.cause
            for move in moves
            if move.after in _MOVES_RIGHTS and move.referral.owed.role is ReferralRole.LEAD
        }
        if leading:
            await rights_follow(transaction, self._versions, leading)

    async def _lock_conflicts(self, transaction: Transaction, replies: Sequence[Reply]) -> None:
        """Who declares a conflict loses all referrals of the case, so they are all locked before any case is."""
        conflicts = {
            reply.data.referral_id
            for reply in replies
            if isinstance(reply.data, DeclineData) and reply.data.reason is DeclineReason.CONFLICT_OF_INTEREST
        }
        if conflicts:
            cases = await repository.cases_of_referrals(transaction, conflicts)
            await repository.referrals_of_cases_for_update(transaction, cases)

    async def _exclude(self, transaction: Transaction, move: Move) -> None:
        """Who declares a conflict of interest in one service receives nothing of the case any more (R6)."""
        case_id, agency = move.referral.case_id, move.actor
        cases, referrals = await locked(transaction, [case_id])
        if not cases[case_id].has_ended:
            why = Why(ReplanReason.AGENCY_EXCLUDED, agency, move.cause)
            await self._replan_cases.exclude(transaction, cases[case_id], referrals, agency, why)

    def _successor(
        self,
        referral: StoredReferral,
        clauses: tuple[str, ...],
        facts: StoredFacts,
        asked: set[str],
        triaging: set[str],
    ) -> Successor | None:
        agreement = self._versions.of(referral.agreement).agreement
        waiting = Waiting(facts.pending, protective_services(facts.situation, referral.standing.urgency))
        return successor_beside(
            waiting, agreement, clauses, referral.service, referral.role, facts.origin, asked=asked,
            triaging=triaging,
            reroute_count=referral.reroute_count,
        )  # fmt: skip

    def _offer(
        self, transaction: Transaction, entry: _Declined, following: NewReferral, follows: Successor, facts: StoredFacts
    ) -> None:
        repository.add_referral(transaction, following)
        cause, is_told = entry.reply.event.id, entry.referral.standing.agency not in facts.origin.excluded
        transaction.announce(
            publisher.referral_changed(
                ReferralReroutedV1, entry.referral, cause, is_told=is_told,
                next_referral_id=following.referral_id,
                next_agency=following.agency, reroute_count=follows.reroute_count, is_escalated_to_hub=follows.is_escalated_to_hub,
            )
        )  # fmt: skip
        transaction.announce(publisher.referral_offered(following, facts.shared, cause))


def _moved(referral: StoredReferral, state: ReferralState) -> StoredReferral:
    begun = referral.standing.has_first_aid or state is ReferralState.IN_PROGRESS
    return replace(referral, standing=replace(referral.standing, state=state, has_first_aid=begun))
