"""Records when cases end, as routing publishes it, and who is excluded from them; retention counts from the end.

Events of one case may arrive in any order: the one with the highest sequence counts.
"""

from collections.abc import Sequence

from simpul_intake import repository
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import CaseAgencyExcludedV1, CaseClosedV1, CaseMergedV1, CaseReopenedV1, CaseVoidedV1


async def record_closed_cases(transaction: Transaction, events: Sequence[CaseClosedV1]) -> None:
    """Records the ends of closed cases."""
    for event in events:
        await repository.record_end(
            transaction.connection, event.data.case_id, event.position, event.data.closed_at, is_ended=True
        )


async def record_voided_cases(transaction: Transaction, events: Sequence[CaseVoidedV1]) -> None:
    """Records the ends of cases that were entered in error."""
    for event in events:
        await repository.record_end(
            transaction.connection, event.data.case_id, event.position, event.data.voided_at, is_ended=True
        )


async def record_reopened_cases(transaction: Transaction, events: Sequence[CaseReopenedV1]) -> None:
    """Records that cases are open again, so that nothing of them expires."""
    for event in events:
        await repository.record_end(
            transaction.connection, event.data.case_id, event.position, event.data.reopened_at, is_ended=False
        )


async def record_merged_cases(transaction: Transaction, events: Sequence[CaseMergedV1]) -> None:
    """Records into which case of the same child a case was merged; it ends with that one.

    Its report is added to the dossier of the case that continues.
    """
    for event in events:
        await repository.record_merge(
            transaction.connection, event.data.case_id, event.position, event.data.into, event.data.merged_at
        )
        await repository.mark_disclosures_due(transaction.connection, event.data.into, transaction.now)


async def record_exclusions(transaction: Transaction, events: Sequence[CaseAgencyExcludedV1]) -> None:
    """Records which agencies people excluded from cases; they learn nothing more of them (R6)."""
    for event in events:
        await repository.record_exclusion(transaction, event.data.case_id, event.data.agency, event.data.excluded_at)
