"""A case manager closes, voids, reopens or merges cases, and answers rights by hand."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from simpul_agreement.rights import Entry
from simpul_routing import publisher, repository
from simpul_routing.domain.case_lifecycle import CaseAction, CaseState, state_after
from simpul_routing.domain.clocks import STOPPED_BY
from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.domain.referral import StoredReferral, Transition
from simpul_routing.domain.rights import BY_HAND, BY_REFERRALS, NEED_A_REASON, list_unsettled_rights
from simpul_routing.errors import (
    CaseEnded,
    CaseMerged,
    CaseNotEnded,
    CaseUnknown,
    ExclusionUndecided,
    ReasonMissing,
    RightsUnsettled,
)
from simpul_routing.repository import StoredCase
from simpul_routing.use_cases.cases import (
    check_version,
    decrypt_facts,
    encrypt_note,
    load_for_update,
    load_open_case,
    load_version_for_update,
)
from simpul_routing.use_cases.replan_cases import ReplanCases, ReplanCause
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import ReferralCancelledV1
from simpul_schema.vocabulary import CancelReason, CaseEnd, ReplanReason, Right, RightState

_ENDED_BY_CASE = (ReferralState.CANCELLED, ReferralState.ENTERED_IN_ERROR)


class EndCases:
    """Actions of the case manager on a case as a whole.

    All raise CaseUnknown and CaseChanged. Those on an open case raise CaseEnded and CaseMerged, and those that need a
    reason raise ReasonMissing.
    """

    def __init__(self, transactions: Transactions, replan_cases: ReplanCases, keys: Keys) -> None:
        self._transactions = transactions
        self._replan_cases = replan_cases
        self._keys = keys

    async def close_case(self, case_id: UUID, version: int, end: CaseEnd, *, by: str, reason: str) -> None:
        """Terminates a case and cancels its open referrals.

        A case cannot be closed as completed while a right is unsettled (RightsUnsettled) or a suggested exclusion is
        undecided (ExclusionUndecided).
        """
        if end is not CaseEnd.COMPLETED and not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, referrals = await load_open_case(transaction, case_id, version)
            if end is CaseEnd.COMPLETED and decrypt_facts(self._keys, case).pending:
                raise ExclusionUndecided
            unsettled = list_unsettled_rights(case.rights)
            if end is CaseEnd.COMPLETED and unsettled:
                raise RightsUnsettled(unsettled)
            await _cancel_open_referrals(transaction, referrals, ReferralState.CANCELLED, CancelReason.CASE_ENDED, by)
            await self._replan_cases.reviews.end_review(transaction, case)
            ended = replace(case, state=state_after(CaseAction.CLOSED), ended_as=end, ended_at=transaction.now)
            await self._record_change(transaction, case, ended, by, end.value, reason)
            transaction.announce(publisher.case_closed(case_id, end, transaction.now))

    async def void_case(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Marks a case and its open referrals as entered in error."""
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, referrals = await load_open_case(transaction, case_id, version)
            await _cancel_open_referrals(
                transaction, referrals, ReferralState.ENTERED_IN_ERROR, CancelReason.ENTERED_IN_ERROR, by
            )
            await self._replan_cases.reviews.end_review(transaction, case)
            ended = replace(case, state=state_after(CaseAction.VOIDED), ended_at=transaction.now)
            await self._record_change(transaction, case, ended, by, CancelReason.ENTERED_IN_ERROR.value, reason)
            transaction.announce(publisher.case_voided(case_id, transaction.now))

    async def reopen_case(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Reopens a case and offers again the referrals that ended with it. Raises CaseNotEnded."""
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, referrals = await load_version_for_update(transaction, case_id, version)
            if case.merged_into:
                raise CaseMerged(case.merged_into)
            if not case.has_ended:
                raise CaseNotEnded
            note = encrypt_note(self._keys, case_id, reason)
            repository.add_case_transition(
                transaction, case_id, case.state.value, CaseState.REOPENED.value, by, CaseAction.REOPENED.value, note
            )
            transaction.announce(publisher.case_reopened(case_id, transaction.now))
            reopened = replace(case, state=CaseState.REOPENED, ended_as=None, ended_at=None)
            ended_with_case = [r for r in referrals if r.by_hand and r.case_id == case_id and _ended_with_case(r, case)]
            await self._replan_cases.replan_case(
                transaction,
                reopened,
                referrals,
                decrypt_facts(self._keys, case),
                ReplanCause(ReplanReason.CASE_REOPENED, by),
                joining=ended_with_case,
            )

    async def merge_cases(self, case_id: UUID, version: int, into: UUID, *, by: str, reason: str) -> None:
        """Merges a duplicate into another case of the same child, which takes over its facts and exclusions.

        Open referrals that the other case lacks are offered there to the same agencies, under the same clocks.
        """
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            cases, referrals = await load_for_update(transaction, [case_id, into])
            duplicate, case = _check_mergeable(cases.get(case_id), cases.get(into))
            check_version(duplicate, referrals, version)
            joining = [r for r in referrals if r.case_id == case_id and r.standing.is_open]
            others = [referral for referral in referrals if referral not in joining]
            facts = decrypt_facts(self._keys, case).merge_duplicate(decrypt_facts(self._keys, duplicate))
            # Ended first, so that its referrals count in the other case.
            ended = replace(duplicate, state=state_after(CaseAction.MERGED), ended_at=transaction.now, merged_into=into)
            await self._record_change(transaction, duplicate, ended, by, CaseAction.MERGED.value, reason)
            await repository.redirect_merged_cases(transaction, case_id, into)
            await self._replan_cases.reviews.end_review(transaction, duplicate)
            cause = ReplanCause(ReplanReason.DUPLICATE_MERGED, by, note=encrypt_note(self._keys, into, reason))
            await self._replan_cases.replan_case(
                transaction, case, others, facts, cause, duplicate=duplicate, joining=joining
            )
            transaction.announce(publisher.case_merged(case_id, into, transaction.now))

    async def answer_right(
        self, case_id: UUID, version: int, right: Right, state: RightState, *, by: str, reason: str
    ) -> None:
        """Sets the state of a right by hand."""
        if state in NEED_A_REASON and not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case, _ = await load_open_case(transaction, case_id, version)
            # States that follow from referrals are left to the referrals from now on.
            before, entry = case.rights[right], Entry(state, "" if state in BY_REFERRALS else BY_HAND)
            await repository.update_case(transaction, replace(case, rights={**case.rights, right: entry}))
            names = (f"{right.value}:{before.state.value}", f"{right.value}:{state.value}")
            repository.add_case_transition(
                transaction, case_id, *names, by, BY_HAND, encrypt_note(self._keys, case_id, reason)
            )
            transaction.announce(publisher.rights_changed(case_id, {right: entry}, None))

    async def _record_change(
        self, transaction: Transaction, before: StoredCase, after: StoredCase, by: str, code: str, reason: str
    ) -> None:
        await repository.update_case(transaction, after)
        repository.add_case_transition(
            transaction,
            after.case_id,
            before.state.value,
            after.state.value,
            by,
            code,
            encrypt_note(self._keys, after.case_id, reason),
        )


async def _cancel_open_referrals(
    transaction: Transaction, referrals: Sequence[StoredReferral], state: ReferralState, why: CancelReason, by: str
) -> None:
    """Cancels the open referrals and stops their clocks."""
    still_open = [referral for referral in referrals if referral.standing.is_open]
    cause = uuid4()
    for referral in still_open:
        transaction.announce(
            publisher.referral_changed(ReferralCancelledV1, referral, None, cancelled_at=transaction.now, why=why)
        )
    await repository.apply_transitions(
        transaction, [Transition(referral, state, by, cause, why.value) for referral in still_open]
    )
    await repository.stop_clocks(
        transaction, [(referral.referral_id, clock) for referral in still_open for clock in STOPPED_BY]
    )


def _ended_with_case(referral: StoredReferral, case: StoredCase) -> bool:
    """Whether a referral ended because its case ended."""
    return referral.standing.state in _ENDED_BY_CASE and referral.ended_at == case.ended_at


def _check_mergeable(duplicate: StoredCase | None, case: StoredCase | None) -> tuple[StoredCase, StoredCase]:
    if duplicate is None or case is None or duplicate.case_id == case.case_id:
        raise CaseUnknown
    for one in (duplicate, case):
        if one.merged_into:
            raise CaseMerged(one.merged_into)
        if one.has_ended:
            raise CaseEnded
    return duplicate, case
