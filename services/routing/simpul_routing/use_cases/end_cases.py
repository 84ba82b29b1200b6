"""A case is closed, reopened, and its rights are answered by hand; each with who, why and against which version."""

from dataclasses import replace
from uuid import UUID, uuid4

from simpul_routing import publisher, repository
from simpul_routing.domain.clocks import STOPPED_BY
from simpul_routing.domain.lifecycle import TERMINAL, ReferralState
from simpul_routing.domain.referral import Move
from simpul_routing.domain.rights import NEED_A_REASON, Entry, unanswered
from simpul_routing.errors import CaseChanged, CaseHasEnded, CaseIsOpen, CaseUnknown, ReasonMissing, RightsLacking
from simpul_routing.repository import StoredCase
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import ReferralCancelledV1
from simpul_schema.vocabulary import CaseEnd, Right, RightState


class EndCases:
    """What a case manager does with a case as a whole."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def close(self, case_id: UUID, version: int, end: CaseEnd, *, by: str, reason: str) -> None:
        """Terminate a case; what is still open in it is cancelled.

        As completed only when every right is settled: RightsLacking names the others. Raises CaseUnknown,
        CaseChanged, CaseHasEnded, and ReasonMissing when it is closed or transferred without a reason.
        """
        if end is not CaseEnd.COMPLETED and not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            open_referrals = await repository.open_referrals_of(transaction, case_id)
            # Referrals first, then the case: the order in which replies lock them too.
            referrals = await repository.referrals_for_update(transaction, open_referrals)
            case = await _locked(transaction, case_id, version)
            if case.ended_as is not None:
                raise CaseHasEnded
            if set(await repository.open_referrals_of(transaction, case_id)) - referrals.keys():
                # One was handed over while we waited for it.
                raise CaseChanged
            lacking = unanswered(case.rights)
            if end is CaseEnd.COMPLETED and lacking:
                raise RightsLacking(lacking)
            still_open = [r for r in referrals.values() if r.standing.state not in TERMINAL]
            cause = uuid4()
            moves = [Move(referral, ReferralState.CANCELLED, by, cause, end.value) for referral in still_open]
            for referral in still_open:
                transaction.announce(
                    publisher.referral_changed(ReferralCancelledV1, referral, None, cancelled_at=transaction.now)
                )
            await repository.move(transaction, moves)
            await repository.stop_clocks(
                transaction, [(referral.referral_id, clock) for referral in still_open for clock in STOPPED_BY]
            )
            await repository.write_case(transaction, replace(case, ended_as=end, ended_at=transaction.now))
            repository.add_case_transition(transaction, case_id, "open", end.value, by, reason)
            transaction.announce(publisher.case_closed(case_id, end, transaction.now))

    async def reopen(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Let a terminated case go on. Raises CaseUnknown, CaseChanged, CaseIsOpen, ReasonMissing."""
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case = await _locked(transaction, case_id, version)
            if case.ended_as is None:
                raise CaseIsOpen
            await repository.write_case(transaction, replace(case, ended_as=None, ended_at=None))
            repository.add_case_transition(transaction, case_id, case.ended_as.value, "open", by, reason)
            transaction.announce(publisher.case_reopened(case_id, transaction.now))

    async def answer_right(
        self, case_id: UUID, version: int, right: Right, state: RightState, *, by: str, reason: str
    ) -> None:
        """Say by hand where a right stands. Raises CaseUnknown, CaseChanged, CaseHasEnded, ReasonMissing."""
        if state in NEED_A_REASON and not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            case = await _locked(transaction, case_id, version)
            if case.ended_as is not None:
                raise CaseHasEnded
            before, entry = case.rights[right], Entry(state, reason)
            await repository.write_case(transaction, replace(case, rights={**case.rights, right: entry}))
            names = (f"{right.value}:{before.state.value}", f"{right.value}:{state.value}")
            repository.add_case_transition(transaction, case_id, *names, by, reason)
            transaction.announce(publisher.rights_changed(case_id, {right: entry}, None))


async def _locked(transaction: Transaction, case_id: UUID, version: int) -> StoredCase:
    case = await repository.case_of(transaction.connection, case_id, for_update=True)
    if case is None:
        raise CaseUnknown
    if case.version != version:
        raise CaseChanged
    return case
