"""Says what became of a report to the holder of its receipt and to the centre that filed it.

It is no more than is safe if somebody else reads it.
"""

from dataclasses import replace
from uuid import NAMESPACE_OID, UUID, uuid5

from simpul_intake import audit, repository
from simpul_intake.domain import Followed
from simpul_intake.repository import FiledReport
from simpul_intake.use_cases.check_receipts import CheckReceipts
from simpul_intake.use_cases.find_accusations import FindAccusations
from simpul_intake.use_cases.keep_questions import KeepQuestions
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_runtime.transaction import Transactions
from simpul_schema.names import subject_of_case
from simpul_schema.references import read_code


class FollowReports:
    """Finds the case of a report by its number, and how far it has come."""

    def __init__(
        self,
        transactions: Transactions,
        secrets: VaultSecrets,
        receipts: CheckReceipts,
        questions: KeepQuestions,
        accusations: FindAccusations,
    ) -> None:
        self._transactions = transactions
        self._accusations = accusations
        self._questions = questions
        self._secrets = secrets
        self._receipts = receipts

    async def find_case(self, number: str) -> UUID:
        """Finds the case of a report number as a person writes it; a made-up id where no report has this number.

        So guesses at a number that does not exist are counted and locked out like others.
        """
        code = read_code(number)
        if code is None or code.kind != "case":
            return uuid5(NAMESPACE_OID, number)
        async with self._transactions.begin() as transaction:
            found = await repository.find_case_in_range(transaction, code.first, code.last)
        return found or uuid5(NAMESPACE_OID, number)

    async def list_filed(self, centre: str, *, before: UUID | None, limit: int) -> list[FiledReport]:
        """Lists the reports that a complaint centre filed, the newest first, and how far each has come.

        `before` is the last case of the page before. Where a report says that the centre is too close to the suspect,
        its people see how far the report had come until then: what follows could warn somebody.
        """
        last = subject_of_case(before) if before else ""
        async with self._transactions.begin() as transaction:
            found = await repository.list_filed(transaction, centre, audit.CENTRE, before=last, limit=limit)
            named = await self._accusations.find(transaction, [one.case_id for one in found], centre)
            shown = [
                replace(
                    one,
                    progress=await repository.find_progress_before(
                        transaction, one.case_id, subject_of_case(one.case_id), named[one.case_id]
                    ),
                )
                if one.case_id in named
                else one
                for one in found
            ]
            transaction.record(audit.filed_reports_read(centre, len(found)))
        return shown

    async def follow(self, case_id: UUID, receipt: str) -> Followed:
        """Finds how far a report has come, and what the case manager asks; raises ReceiptUnknown.

        Where the centre that gave out the receipt is too close to the suspect, or a report says so, both are as they
        were before: the centre may have kept the words.
        """
        secrets = await self._secrets.load()
        async with self._transactions.begin() as transaction:
            found = await self._receipts.find_report(transaction, case_id, receipt, secrets)
            progress, since = await self._accusations.find_progress(transaction, case_id)
            transaction.record(audit.progress_read(case_id, progress))
            return Followed(progress, await self._questions.list_open(transaction, case_id, found, since))
