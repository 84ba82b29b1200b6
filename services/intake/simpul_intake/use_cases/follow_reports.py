"""Says what became of a report to the holder of its receipt and to the centre that filed it.

It is no more than is safe if somebody else reads it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import NAMESPACE_OID, UUID, uuid5

from simpul_intake import audit, repository
from simpul_intake.domain import Followed, is_receipt
from simpul_intake.errors import ReceiptUnknown
from simpul_intake.repository import FiledReport
from simpul_intake.use_cases.keep_questions import KeepQuestions
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.use_cases.word_list import read_word_list
from simpul_intake.vault import Vault, WrappedKey, case_key_context
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.names import subject_of_case
from simpul_schema.references import read_code


class FollowReports:
    """Finds the case of a report by its number, and how far it has come."""

    def __init__(
        self, transactions: Transactions, vault: Vault, secrets: VaultSecrets, questions: KeepQuestions,
        list_parts: Callable[[str], Sequence[str]],
    ) -> None:  # fmt: skip
        """`list_parts` lists an agency and those that it is part of."""
        self._transactions = transactions
        self._vault = vault
        self._list_parts = list_parts
        self._questions = questions
        self._secrets = secrets
        self._word_list = read_word_list()

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
            named = await self._find_namings(transaction, [one.case_id for one in found], centre)
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

    async def _find_namings(
        self, transaction: Transaction, case_ids: Sequence[UUID], centre: str
    ) -> dict[UUID, datetime]:
        """Finds the cases whose reports call an agency too close to the suspect, and since when they do."""
        facts = await repository.load_facts(transaction, case_ids)
        wrapped = {one.case_id: WrappedKey(one.key_id, one.wrapped, case_key_context(one.case_id)) for one in facts}
        keys = dict(zip(wrapped, await self._vault.unwrap_all(list(wrapped.values())), strict=True))
        parts, named = frozenset(self._list_parts(centre)), dict[UUID, datetime]()
        count = Counter[UUID]()
        for one in facts:
            content = self._vault.decrypt_section(
                keys[one.case_id], one.ciphertext, one.case_id, "triage", one.revision
            )
            listed = (*content["excluded_agencies"], *content.get("suggested_exclusions", ()))
            count[one.case_id] = sum(code in parts for code in listed)
            if count[one.case_id]:
                named.setdefault(one.case_id, one.stored_at)
        return {
            case_id: since
            for case_id, since in named.items()
            if count[case_id] > await repository.find_cleared_namings(transaction, case_id, centre)
        }

    async def follow(self, case_id: UUID, receipt: str) -> Followed:
        """Finds how far a report has come, and what the case manager asks; raises ReceiptUnknown."""
        secrets = await self._secrets.load()
        async with self._transactions.begin() as transaction:
            found = await repository.find_report_of_case(transaction, case_id)
            if found is None or not is_receipt(
                receipt, found.report_id, found.receipt_number, secrets.receipt_key, self._word_list
            ):
                raise ReceiptUnknown
            progress = await repository.find_progress(transaction, case_id)
            transaction.record(audit.progress_read(case_id, progress))
            return Followed(progress, await self._questions.list_open(transaction, case_id, found))
