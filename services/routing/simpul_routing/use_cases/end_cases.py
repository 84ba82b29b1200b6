"""A case ends, goes on or is merged, and its rights are answered by hand; each with who, why and which version."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from simpul_agreement.rights import Entry
from simpul_routing import publisher, repository
from simpul_routing.domain.case_life import CaseDeed, CaseState, state_after
from simpul_routing.domain.clocks import STOPPED_BY
from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.domain.referral import Move, StoredReferral
from simpul_routing.domain.rights import BY_HAND, BY_REFERRALS, NEED_A_REASON, unanswered
from simpul_routing.errors import (
    CaseHasEnded,
    CaseIsOpen,
    CaseMerged,
    CaseUnknown,
    ExclusionUndecided,
    ReasonMissing,
    RightsLacking,
)
from simpul_routing.repository import StoredCase
from simpul_routing.use_cases.cases import check_version, locked, locked_at, note_of, open_at
from simpul_routing.use_cases.replan_cases import ReplanCases, Why
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import ReferralCancelledV1
from simpul_schema.vocabulary import CancelReason, CaseEnd, ReplanReason, Right, RightState

_CUT_OFF = (ReferralState.CANCELLED, ReferralState.ENTERED_IN_ERROR)


class EndCases:
    """What a case manager does with a case as a whole.

    Everything raises CaseUnknown and CaseChanged, what needs an open case also CaseHasEnded and CaseMerged, and what
    takes something from the child ReasonMissing without a reason.
    """

    def __init__(self, transactions: Transactions, replan_cases: ReplanCases, keys: Keys) -> None:
        self._transactions = transactions
        self._replan_cases = replan_cases
        self._keys = keys

    async def close(self, case_id: UUID, version: int, end: CaseEnd, *, by: str, reason: str) -> None:
        """Terminate a case; what is still open in it is cancelled.

        As completed only when every right is settled, RightsLacking names the others, and nobody waits for a decision
        (ExclusionUndecided).
        """
        if end is not CaseEnd.COMPLETED and not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, referrals = await open_at(transaction, case_id, version)
            if end is CaseEnd.COMPLETED and self._replan_cases.facts_of(case).pending:
                raise ExclusionUndecided
            lacking = unanswered(case.rights)
            if end is CaseEnd.COMPLETED and lacking:
                raise RightsLacking(lacking)
            await _cancel(transaction, referrals, ReferralState.CANCELLED, CancelReason.CASE_ENDED, by)
            await self._replan_cases.reviews.end_review(transaction, case)
            ended = replace(case, state=state_after(CaseDeed.CLOSED), ended_as=end, ended_at=transaction.now)
            await self._write(transaction, case, ended, by, end.value, reason)
            transaction.announce(publisher.case_closed(case_id, end, transaction.now))

    async def void(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Mark a case as entered in error, with everything that was asked in it."""
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, referrals = await open_at(transaction, case_id, version)
            await _cancel(transaction, referrals, ReferralState.ENTERED_IN_ERROR, CancelReason.ENTERED_IN_ERROR, by)
            await self._replan_cases.reviews.end_review(transaction, case)
            ended = replace(case, state=state_after(CaseDeed.VOIDED), ended_at=transaction.now)
            await self._write(transaction, case, ended, by, CancelReason.ENTERED_IN_ERROR.value, reason)
            transaction.announce(publisher.case_voided(case_id, transaction.now))

    async def reopen(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Let a case go on that has ended; services that were cut off are asked again. Raises CaseIsOpen."""
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, referrals = await locked_at(transaction, case_id, version)
            if case.merged_into:
                raise CaseMerged(case.merged_into)
            if not case.has_ended:
                raise CaseIsOpen
            note = note_of(self._keys, case_id, reason)
            repository.add_case_transition(
                transaction, case_id, case.state.value, CaseState.REOPENED.value, by, CaseDeed.REOPENED.value, note
            )
            transaction.announce(publisher.case_reopened(case_id, transaction.now))
            opened = replace(case, state=CaseState.REOPENED, ended_as=None, ended_at=None)
            cut_off = [r for r in referrals if r.by_hand and r.case_id == case_id and _was_cut_off(r, case)]
            await self._replan_cases.decide_again(
                transaction, opened, referrals, self._replan_cases.facts_of(case), Why(ReplanReason.CASE_REOPENED, by),
                joining=cut_off,
            )  # fmt: skip

    async def merge(self, case_id: UUID, version: int, into: UUID, *, by: str, reason: str) -> None:
        """Two cases are one child's: this one ends, the other goes on with the facts and exclusions of both.

        What this one had open and the other lacks is asked in the other of the same agencies, under the same clocks.
        """
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            cases, referrals = await locked(transaction, [case_id, into])
            twin, case = _pair(cases.get(case_id), cases.get(into))
            check_version(twin, referrals, version)
            joining = [r for r in referrals if r.case_id == case_id and r.standing.is_open]
            others = [referral for referral in referrals if referral not in joining]
            facts = self._replan_cases.facts_of(case).with_twin(self._replan_cases.facts_of(twin))
            # Ended first: what was done in it then counts in the other case.
            ended = replace(twin, state=state_after(CaseDeed.MERGED), ended_at=transaction.now, merged_into=into)
            await self._write(transaction, twin, ended, by, CaseDeed.MERGED.value, reason)
            await repository.follow_merged(transaction, case_id, into)
            await self._replan_cases.reviews.end_review(transaction, twin)
            why = Why(ReplanReason.DUPLICATE_MERGED, by, note=note_of(self._keys, into, reason))
            await self._replan_cases.decide_again(transaction, case, others, facts, why, twin=twin, joining=joining)
            transaction.announce(publisher.case_merged(case_id, into, transaction.now))

    async def answer_right(
        self, case_id: UUID, version: int, right: Right, state: RightState, *, by: str, reason: str
    ) -> None:
        """Say by hand where a right stands."""
        if state in NEED_A_REASON and not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, _ = await open_at(transaction, case_id, version)
            # Unanswered again, or in the hands of an agency, is what referrals say from now on.
            before, entry = case.rights[right], Entry(state, "" if state in BY_REFERRALS else BY_HAND)
            await repository.write_case(transaction, replace(case, rights={**case.rights, right: entry}))
            names = (f"{right.value}:{before.state.value}", f"{right.value}:{state.value}")
            repository.add_case_transition(
                transaction, case_id, *names, by, BY_HAND, note_of(self._keys, case_id, reason)
            )
            transaction.announce(publisher.rights_changed(case_id, {right: entry}, None))

    async def _write(
        self, transaction: Transaction, before: StoredCase, after: StoredCase, by: str, code: str, reason: str
    ) -> None:
        await repository.write_case(transaction, after)
        repository.add_case_transition(
            transaction,
            after.case_id,
            before.state.value,
            after.state.value,
            by,
            code,
            note_of(self._keys, after.case_id, reason),
        )


async def _cancel(
    transaction: Transaction, referrals: Sequence[StoredReferral], state: ReferralState, why: CancelReason, by: str
) -> None:
    """End everything that is open, and its clocks."""
    still_open = [referral for referral in referrals if referral.standing.is_open]
    cause = uuid4()
    for referral in still_open:
        transaction.announce(
            publisher.referral_changed(ReferralCancelledV1, referral, None, cancelled_at=transaction.now, why=why)
        )
    await repository.move(transaction, [Move(referral, state, by, cause, why.value) for referral in still_open])
    await repository.stop_clocks(
        transaction, [(referral.referral_id, clock) for referral in still_open for clock in STOPPED_BY]
    )


def _was_cut_off(referral: StoredReferral, case: StoredCase) -> bool:
    """Whether the end of its case ended it."""
    return referral.standing.state in _CUT_OFF and referral.ended_at == case.ended_at


def _pair(twin: StoredCase | None, case: StoredCase | None) -> tuple[StoredCase, StoredCase]:
    if twin is None or case is None or twin.case_id == case.case_id:
        raise CaseUnknown
    for one in (twin, case):
        if one.merged_into:
            raise CaseMerged(one.merged_into)
        if one.has_ended:
            raise CaseHasEnded
    return twin, case
