"""Finds the report whose receipt somebody holds."""

from datetime import datetime
from uuid import UUID

from simpul_intake import repository
from simpul_intake.domain import is_receipt
from simpul_intake.errors import ReceiptUnknown
from simpul_intake.repository import ReportOfCase
from simpul_intake.use_cases.find_accusations import FindAccusations
from simpul_intake.use_cases.word_list import read_word_list
from simpul_intake.vault import Secrets
from simpul_runtime.transaction import Transaction
from simpul_schema.names import subject_of_case


class CheckReceipts:
    """Takes the newest receipt of a report, and former ones while a centre could cut somebody off with new ones."""

    def __init__(self, accusations: FindAccusations) -> None:
        self._accusations = accusations
        self._word_list = read_word_list()

    async def find_report(
        self, transaction: Transaction, case_id: UUID, receipt: str, secrets: Secrets
    ) -> ReportOfCase:
        """Finds the report of a case for the holder of its receipt; raises ReceiptUnknown.

        While its centre is, or may have to be, kept away from the case, the receipt that was valid at the start of
        that time stays valid like the newest one, as do those between them.
        """
        found = await repository.find_report_of_case(transaction, case_id)
        if found is None:
            raise ReceiptUnknown
        newest = found.receipt_number
        if self._is_receipt(receipt, found, range(newest, newest + 1), secrets):
            return found
        since = await self._accusations.find_since(transaction, case_id) if newest else None
        if since is None or not self._is_receipt(
            receipt, found, range(await self._number_at(transaction, case_id, since), newest), secrets
        ):
            raise ReceiptUnknown
        return found

    async def _number_at(self, transaction: Transaction, case_id: UUID, moment: datetime) -> int:
        return await repository.count_replaced_receipts(transaction, subject_of_case(case_id), moment)

    def _is_receipt(self, receipt: str, found: ReportOfCase, numbers: range, secrets: Secrets) -> bool:
        return is_receipt(receipt, found.report_id, numbers, secrets.receipt_key, self._word_list)
