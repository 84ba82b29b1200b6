"""What intake does."""

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
from simpul_intake.domain import Amendment, Report, amended, receipt_words, report_of
from simpul_intake.errors import AmendmentIdReused, ReceiptUnknown, ReportIdReused
from simpul_intake.repository import StoredReport, Vaulted
from simpul_intake.vault import Vault
from simpul_runtime.batching import Batcher
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.references import case_reference

STORE_TIMEOUT = timedelta(seconds=8)
"""How long a reporting person waits for the database; then they are told, and may send the same report again."""
_CONTENT = tuple(
    field.name for field in fields(Report) if field.name not in ("report_id", "received_at", "suggested_exclusions")
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the reporting person gets."""

    case_id: UUID
    case_reference: str
    words: str


class TakeReports:
    """Takes reports; those that arrive together are stored in one transaction."""

    def __init__(self, transactions: Transactions, vault: Vault, city: City) -> None:
        self._transactions = transactions
        self._vault = vault
        self._city = city
        self._words = word_list()
        self._batcher: Batcher[Report, Receipt] = Batcher("reports", self._take, attempts=4)
        self.run = self._batcher.run

    async def take(self, report: Report) -> Receipt:
        """Store a report and announce its case; the same report again gives the same receipt.

        Raises ReportIdReused when the id was used for other content, and TimeoutError when it is not known in time
        whether the report is stored.
        """
        async with asyncio.timeout(STORE_TIMEOUT.total_seconds()):
            return await self._batcher.submit(report)

    async def _take(self, reports: Sequence[Report]) -> Sequence[Receipt | Exception]:
        firsts = {report.report_id: report for report in reversed(reports)}
        async with self._transactions.begin() as transaction:
            stored = await self._store(transaction, firsts)
        return [self._answer(report, stored[report.report_id]) for report in reports]

    async def _store(self, transaction: Transaction, reports: dict[UUID, Report]) -> dict[UUID, StoredReport]:
        # Sorted, so that two processes that get the same retries never wait for each other in a circle.
        proposed = {
            report_id: StoredReport(report_id, uuid4(), self._mac(report), report.received_at)
            for report_id, report in sorted(reports.items())
        }
        new = await repository.add_reports(transaction, list(proposed.values()))
        for report_id in new:
            self._open_case(transaction, reports[report_id], proposed[report_id].case_id)
        known = [report_id for report_id in reports if report_id not in new]
        return proposed | (await repository.reports_of(transaction, known) if known else {})

    def _open_case(self, transaction: Transaction, report: Report, case_id: UUID) -> None:
        key, wrapped = self._vault.new_case_key(case_id)
        sealed = {name: self._vault.seal(key, case_id, name, 1, content) for name, content in report.sections().items()}
        repository.add_sections(transaction, case_id, wrapped, sealed)
        ward = self._city.find_kelurahan(report.kelurahan)
        transaction.announce(publisher.case_reported(report, case_id, ward.code if ward else ""))

    def _answer(self, report: Report, stored: StoredReport) -> Receipt | Exception:
        if stored.content_mac != self._mac(report):
            return ReportIdReused("report_id sudah dipakai untuk laporan lain; buat yang baru / make a new report_id")
        words = receipt_words(report.report_id, self._vault.receipt_key, self._words)
        return Receipt(stored.case_id, case_reference(stored.case_id), words)

    def _mac(self, report: Report) -> bytes:
        # A retry may be sent later than the first attempt, so the moment is no part of the content.
        content = {name: getattr(report, name) for name in _CONTENT} | {"report_id": str(report.report_id)}
        # Neither is whether the sender showed a token: only one of the two holds agencies.
        content["excluded_agencies"] = report.excluded_agencies + report.suggested_exclusions
        return self._vault.mac(json.dumps(content, sort_keys=True).encode())


class AmendReports:
    """Adds facts to a report, or corrects them, for whoever holds its receipt."""

    def __init__(self, transactions: Transactions, vault: Vault, city: City) -> None:
        self._transactions = transactions
        self._vault = vault
        self._city = city
        self._words = word_list()

    async def amend(self, amendment: Amendment) -> int:
        """Store new revisions and announce all facts as they stand now; returns the revision of the facts.

        The same amendment again changes nothing. Raises ReceiptUnknown and AmendmentIdReused.
        """
        mac = self._mac(amendment)
        async with self._transactions.begin() as transaction:
            vaulted = await repository.vaulted_for_update(transaction, amendment.case_id)
            if vaulted is None or not self._is_receipt(amendment.receipt, vaulted.report_id):
                raise ReceiptUnknown
            known = await repository.amendment_of(transaction, amendment.amendment_id)
            if known:
                if known.content_mac != mac:
                    raise AmendmentIdReused
                return known.revision
            key = self._vault.case_key(amendment.case_id, vaulted.wrapped_key)
            before = self._report(amendment.case_id, vaulted, key)
            report = amended(before, amendment)
            revision = vaulted.sections["triage"][0] + 1
            kept = before.sections()
            for name, content in report.sections().items():
                # The facts get a revision each time, for its number is what routing hears.
                if name == "triage" or content != kept[name]:
                    number = vaulted.sections[name][0] + 1
                    sealed = self._vault.seal(key, amendment.case_id, name, number, content)
                    repository.add_revision(transaction, amendment.case_id, name, number, sealed)
            repository.add_amendment(transaction, amendment.amendment_id, amendment.case_id, mac, revision)
            ward = self._city.find_kelurahan(report.kelurahan)
            transaction.announce(
                publisher.case_amended(report, amendment.case_id, ward.code if ward else "", revision, transaction.now)
            )
        return revision

    def _report(self, case_id: UUID, vaulted: Vaulted, key: bytes) -> Report:
        sections = {
            name: self._vault.open(key, ciphertext, case_id, name, revision)
            for name, (revision, ciphertext) in vaulted.sections.items()
        }
        return report_of(vaulted.report_id, vaulted.received_at, sections)

    def _is_receipt(self, words: str, report_id: UUID) -> bool:
        right = receipt_words(report_id, self._vault.receipt_key, self._words)
        return hmac.compare_digest(" ".join(words.casefold().split()).encode(), right.encode())

    def _mac(self, amendment: Amendment) -> bytes:
        content = {
            "case": str(amendment.case_id), "facts": dict(amendment.facts),
            "identity": dict(amendment.identity), "narrative": dict(amendment.narrative),
        }  # fmt: skip
        return self._vault.mac(json.dumps(content, sort_keys=True).encode())


def word_list() -> list[str]:
    """The words of receipts."""
    return (files("simpul_intake") / "words.txt").read_text().split()
