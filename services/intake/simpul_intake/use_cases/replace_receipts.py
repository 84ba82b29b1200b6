"""Replaces a lost receipt for the complaint centre that filed the report, and for nobody else."""

from uuid import UUID

from simpul_intake import audit, repository
from simpul_intake.domain import receipt_phrase
from simpul_intake.errors import ReceiptReplacedBefore, ReportNotOfCentre
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.use_cases.word_list import read_word_list
from simpul_runtime.transaction import Transactions
from simpul_schema.names import subject_of_case


class ReplaceReceipts:
    """Makes new receipts.

    The words before are no longer valid, unless the centre could cut off somebody who accuses it: it must not notice,
    so nothing here depends on that, and whoever checks a receipt decides.
    """

    def __init__(self, transactions: Transactions, secrets: VaultSecrets) -> None:
        self._transactions = transactions
        self._secrets = secrets
        self._word_list = read_word_list()

    async def replace_receipt(self, case_id: UUID, centre: str, number: int | None = None) -> str:
        """Returns the new words of the receipt.

        With `number`, only if the receipt was replaced that often: so the same request makes new words once. Raises
        ReportNotOfCentre, and ReceiptReplacedBefore for a repeated request.
        """
        secrets = await self._secrets.load()
        async with self._transactions.begin() as transaction:
            replaced = await repository.replace_receipt(
                transaction, case_id, subject_of_case(case_id), centre, audit.CENTRE, number
            )
            if replaced is None:
                found = await repository.find_report_of_case(transaction, case_id)
                was_replaced = number is not None and found is not None and found.receipt_number > number
                raise ReceiptReplacedBefore if was_replaced else ReportNotOfCentre
            report_id, number = replaced
            transaction.record(audit.receipt_replaced(case_id, centre, number))
        return receipt_phrase(report_id, number, secrets.receipt_key, self._word_list)
