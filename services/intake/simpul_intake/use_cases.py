"""Use cases of intake: take reports, amend reports."""

import asyncio
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from importlib.resources import files
from uuid import UUID, uuid4

from simpul_city import City
from simpul_intake import publisher, repository
from simpul_intake.domain import Amendment, Report, apply_amendment, receipt_phrase, report_from_sections
from simpul_intake.errors import AmendmentIdReused, ReceiptUnknown, ReportIdReused
from simpul_intake.repository import EncryptedCase, StoredReport
from simpul_intake.vault import Vault
from simpul_runtime.batching import Batcher
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.references import case_reference

STORE_TIMEOUT = timedelta(seconds=8)
"""How long a request waits until its report is stored; afterwards the client may send the same report again."""
_COMPARED_FIELDS = tuple(
    field.name for field in fields(Report) if field.name not in ("report_id", "received_at", "suggested_exclusions")
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof for the reporting person that the report was stored."""

    case_id: UUID
    case_reference: str
    phrase: str
    """Words that identify the reporting person later."""


class TakeReports:
    """Stores reports; reports that arrive together share one transaction."""

    def __init__(self, transactions: Transactions, vault: Vault, city: City) -> None:
        self._transactions = transactions
        self._vault = vault
        self._city = city
        self._receipt_words = read_receipt_words()
        self._batcher: Batcher[Report, Receipt] = Batcher("reports", self._take_batch, attempts=4)
        self.run = self._batcher.run

    async def take_report(self, report: Report) -> Receipt:
        """Stores a report and publishes its case; a repeated report gets the same receipt.

        Raises ReportIdReused when the id belongs to different content, and TimeoutError when the outcome is unknown
        after STORE_TIMEOUT.
        """
        async with asyncio.timeout(STORE_TIMEOUT.total_seconds()):
            return await self._batcher.submit(report)

    async def _take_batch(self, reports: Sequence[Report]) -> Sequence[Receipt | Exception]:
        firsts = {report.report_id: report for report in reversed(reports)}
        async with self._transactions.begin() as transaction:
            stored = await self._store_reports(transaction, firsts)
        return [self._receipt_or_refusal(report, stored[report.report_id]) for report in reports]

    async def _store_reports(self, transaction: Transaction, reports: dict[UUID, Report]) -> dict[UUID, StoredReport]:
        # Sorted, so that two processes that store the same retries cannot deadlock.
        proposed = {
            report_id: StoredReport(report_id, uuid4(), self._content_mac(report), report.received_at)
            for report_id, report in sorted(reports.items())
        }
        new = await repository.add_reports(transaction, list(proposed.values()))
        for report_id in new:
            self._open_case(transaction, reports[report_id], proposed[report_id].case_id)
        known = [report_id for report_id in reports if report_id not in new]
        return proposed | (await repository.find_reports(transaction, known) if known else {})

    def _open_case(self, transaction: Transaction, report: Report, case_id: UUID) -> None:
        key, wrapped = self._vault.create_case_key(case_id)
        sealed = {
            name: self._vault.encrypt_section(key, case_id, name, 1, content)
            for name, content in report.sections().items()
        }
        repository.add_sections(transaction, case_id, wrapped, sealed)
        ward = self._city.find_kelurahan(report.kelurahan)
        transaction.announce(publisher.case_reported(report, case_id, ward.code if ward else ""))

    def _receipt_or_refusal(self, report: Report, stored: StoredReport) -> Receipt | Exception:
        if stored.content_mac != self._content_mac(report):
            return ReportIdReused()
        phrase = receipt_phrase(report.report_id, self._vault.receipt_key, self._receipt_words)
        return Receipt(stored.case_id, case_reference(stored.case_id), phrase)

    def _content_mac(self, report: Report) -> bytes:
        # The time is left out, because a retry may carry a later one than the first attempt.
        content = {name: getattr(report, name) for name in _COMPARED_FIELDS} | {"report_id": str(report.report_id)}
        # A retry with a token must match the same report sent without one, so both lists count as one.
        content["excluded_agencies"] = report.excluded_agencies + report.suggested_exclusions
        return self._vault.compute_mac(json.dumps(content, sort_keys=True).encode())


class AmendReports:
    """Adds facts to a report, or corrects them, for the holder of its receipt."""

    def __init__(self, transactions: Transactions, vault: Vault, city: City) -> None:
        self._transactions = transactions
        self._vault = vault
        self._city = city
        self._receipt_words = read_receipt_words()

    async def amend_report(self, amendment: Amendment) -> int:
        """Stores new revisions and publishes the complete facts; returns the revision of the facts.

        A repeated amendment changes nothing. Raises ReceiptUnknown and AmendmentIdReused.
        """
        mac = self._content_mac(amendment)
        async with self._transactions.begin() as transaction:
            stored = await repository.load_case_for_update(transaction, amendment.case_id)
            if stored is None or not self._matches_receipt(amendment.receipt, stored.report_id):
                raise ReceiptUnknown
            known = await repository.find_amendment(transaction, amendment.amendment_id)
            if known:
                if known.content_mac != mac:
                    raise AmendmentIdReused
                return known.revision
            key = self._vault.unwrap_case_key(amendment.case_id, stored.wrapped_key)
            before = self._decrypt_report(amendment.case_id, stored, key)
            report = apply_amendment(before, amendment)
            revision = stored.sections["triage"][0] + 1
            unchanged = before.sections()
            for name, content in report.sections().items():
                # The facts always get a new revision, because the published event carries its number.
                if name == "triage" or content != unchanged[name]:
                    number = stored.sections[name][0] + 1
                    sealed = self._vault.encrypt_section(key, amendment.case_id, name, number, content)
                    repository.add_revision(transaction, amendment.case_id, name, number, sealed)
            repository.add_amendment(transaction, amendment.amendment_id, amendment.case_id, mac, revision)
            ward = self._city.find_kelurahan(report.kelurahan)
            transaction.announce(
                publisher.case_amended(report, amendment.case_id, ward.code if ward else "", revision, transaction.now)
            )
        return revision

    def _decrypt_report(self, case_id: UUID, stored: EncryptedCase, key: bytes) -> Report:
        sections = {
            name: self._vault.decrypt_section(key, ciphertext, case_id, name, revision)
            for name, (revision, ciphertext) in stored.sections.items()
        }
        return report_from_sections(stored.report_id, stored.received_at, sections)

    def _matches_receipt(self, receipt: str, report_id: UUID) -> bool:
        expected = receipt_phrase(report_id, self._vault.receipt_key, self._receipt_words)
        return hmac.compare_digest(" ".join(receipt.casefold().split()).encode(), expected.encode())

    def _content_mac(self, amendment: Amendment) -> bytes:
        content = {
            "case": str(amendment.case_id), "facts": dict(amendment.facts),
            "identity": dict(amendment.identity), "narrative": dict(amendment.narrative),
        }  # fmt: skip
        return self._vault.compute_mac(json.dumps(content, sort_keys=True).encode())


def read_receipt_words() -> list[str]:
    """Reads the word list from which receipts are made."""
    return (files("simpul_intake") / "receipt_words.txt").read_text().split()
