"""Adds facts to a report, or corrects them."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from simpul_city import City
from simpul_intake import audit, publisher, repository
from simpul_intake.domain import Amendment, Report, apply_amendment, check_event_time
from simpul_intake.errors import AmendmentIdReused, QuestionUnknown, ReceiptUnknown, TooManyAmendments
from simpul_intake.use_cases.check_receipts import CheckReceipts
from simpul_intake.use_cases.decrypt_report import decrypt_report
from simpul_intake.use_cases.keep_questions import KeepQuestions
from simpul_intake.use_cases.suspect_overlaps import SuspectOverlaps
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.vault import Secrets, Vault, WrappedKey, case_key_context
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.translations import gettext_noop, load_translations

PERIOD: Final = timedelta(hours=1)
MAX_AMENDMENTS: Final = 30
"""Amendments of one report in an hour; each decrypts the report, decides again and alerts. Whoever answers every open
question one by one needs twenty."""
_ANSWER: Final = gettext_noop("Question to the reporting person: {question}\nAnswer: {answer}")
"""How an answer stands in the chronology, in the language of the agencies."""


class AmendReports:
    """Adds facts to a report, or corrects them, for the holder of its receipt."""

    def __init__(
        self,
        transactions: Transactions,
        vault: Vault,
        secrets: VaultSecrets,
        city: City,
        receipts: CheckReceipts,
        overlaps: SuspectOverlaps,
        questions: KeepQuestions,
        request_release: Callable[[], None],
    ) -> None:
        """`request_release` has what changed released to the agencies that hold it."""
        self._transactions = transactions
        self._request_release = request_release
        self._overlaps = overlaps
        self._questions = questions
        self._vault = vault
        self._secrets = secrets
        self._city = city
        self._receipts = receipts

    async def amend_report(self, amendment: Amendment) -> int:
        """Stores new revisions and publishes the complete facts; returns the revision of the facts.

        A repeated amendment changes nothing. Raises ReceiptUnknown, AmendmentIdReused, QuestionUnknown,
        EventTimeImpossible, and TooManyAmendments unless the child may be in danger.
        """
        secrets = await self._secrets.load()
        mac = _content_mac(amendment, secrets)
        # Before the transaction, because a key service may be slow.
        key = await self._unwrap_key(amendment, secrets)
        async with self._transactions.begin() as transaction:
            stored = await repository.load_case_for_update(transaction, amendment.case_id)
            if stored is None:
                raise ReceiptUnknown
            known = await repository.find_amendment(transaction, amendment.amendment_id)
            if known:
                if known.content_mac != mac:
                    raise AmendmentIdReused
                return known.revision
            transaction.record(
                audit.sections_read(amendment.case_id, stored.sections, audit.RECEIPT_HOLDER, "amendment")
            )
            before = decrypt_report(self._vault, amendment.case_id, stored, key)
            addition = await self._quote_answers(transaction, amendment, key)
            report = apply_amendment(before, replace(amendment, addition=addition))
            await self._check_number(transaction, amendment, report)
            # It may have happened again after the report.
            check_event_time(report, transaction.now, self._city.zone)
            revision = stored.sections["triage"][0] + 1
            unchanged = before.sections()
            for name, content in report.sections().items():
                # The facts always get a new revision, because the published event carries its number.
                if name == "triage" or content != unchanged[name]:
                    number = stored.sections[name][0] + 1 if name in stored.sections else 1
                    sealed = self._vault.encrypt_section(key, amendment.case_id, name, number, content)
                    repository.add_revision(transaction, amendment.case_id, name, number, sealed)
            await self._overlaps.index_reports(transaction, {amendment.case_id: report})
            transaction.record(audit.report_amended(amendment.case_id, revision, len(amendment.answers)))
            await repository.mark_disclosures_due(transaction.connection, amendment.case_id, transaction.now)
            transaction.after_commit.append(self._request_release)
            repository.add_amendment(transaction, amendment.amendment_id, amendment.case_id, mac, revision)
            transaction.enqueue_event(
                publisher.case_amended(report, amendment.case_id, self._city, revision, transaction.now)
            )
        return revision

    async def _check_number(self, transaction: Transaction, amendment: Amendment, report: Report) -> None:
        """Raises TooManyAmendments for a report that can wait as it is amended: danger is never refused."""
        if not report.may_wait:
            return
        count = await repository.count_amendments(transaction, amendment.case_id, transaction.now - PERIOD)
        if count >= MAX_AMENDMENTS:
            raise TooManyAmendments(PERIOD)

    async def _quote_answers(self, transaction: Transaction, amendment: Amendment, key: bytes) -> str:
        """Marks questions as answered; returns them with their answers and whatever else is added."""
        if not amendment.answers:
            return amendment.addition
        ids = list(amendment.answers)
        found = await self._questions.find(transaction, amendment.case_id, ids, key)
        if len(found) < len(ids):
            raise QuestionUnknown
        await repository.mark_answered(transaction, amendment.case_id, ids)
        translate = load_translations("simpul_intake")["id"].gettext
        quoted = [
            translate(_ANSWER).format(question=one.text, answer=amendment.answers[one.question_id])
            for one in found.values()
        ]
        return "\n\n".join(filter(None, (*quoted, amendment.addition)))

    async def _unwrap_key(self, amendment: Amendment, secrets: Secrets) -> bytes:
        """Unwraps the case's data key for the holder of its receipt; raises ReceiptUnknown."""
        async with self._transactions.begin() as transaction:
            found = await self._receipts.find_report(transaction, amendment.case_id, amendment.receipt, secrets)
        return await self._vault.unwrap(WrappedKey(found.key_id, found.wrapped, case_key_context(amendment.case_id)))


def _content_mac(amendment: Amendment, secrets: Secrets) -> bytes:
    content: dict[str, object] = {
        "case": str(amendment.case_id),
        "facts": dict(amendment.facts),
        "identity": dict(amendment.identity),
        "narrative": dict(amendment.narrative),
    }
    if amendment.addition:
        content["addition"] = amendment.addition
    if amendment.answers:
        content["answers"] = {str(question_id): answer for question_id, answer in amendment.answers.items()}
    return secrets.compute_mac(json.dumps(content, sort_keys=True).encode())
