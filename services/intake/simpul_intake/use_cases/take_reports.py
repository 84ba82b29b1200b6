"""Stores reports and publishes their cases."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final
from uuid import UUID

from simpul_city import City
from simpul_intake import audit, publisher, repository
from simpul_intake.domain import Report, receipt_phrase
from simpul_intake.errors import ReportIdReused
from simpul_intake.repository import StoredReport
from simpul_intake.use_cases.suspect_overlaps import SuspectOverlaps
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.use_cases.word_list import read_word_list
from simpul_intake.vault import NewCaseKey, Secrets, Vault
from simpul_runtime.batching import Batcher
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.references import case_reference
from simpul_schema.tracing import current_traceparent
from simpul_schema.vocabulary import Answer, Relation

STORE_TIMEOUT = timedelta(seconds=8)
"""How long a request waits until its report is stored; afterwards the client may send the same report again."""
_COMPARED_FIELDS = tuple(
    field.name
    for field in fields(Report)
    if field.name not in ("report_id", "received_at", "suggested_exclusions", "authenticated_centre")
)
_NEW_FACTS: Final[Mapping[str, object]] = {
    "happened_at": "",
    "event_kelurahan": "",
    "guardian_relation": Relation.UNKNOWN,
    "guardian_is_suspect": Answer.UNKNOWN,
    "suspect_has_phone": Answer.UNKNOWN,
}
"""Facts of a report since 2026-11-27, with the value that stands for not known."""
_NEW_IDENTITY: Final = frozenset({"safe_hours"})
"""Fields of the identity that an older version did not know."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof for the reporting person that the report was stored."""

    case_id: UUID
    case_reference: str
    phrase: str
    """Words that identify the reporting person later; empty where the centre has had them replaced since."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A report to store, and the trace of the request that brought it."""

    report: Report
    traceparent: str


class TakeReports:
    """Stores reports; reports that arrive together share one transaction."""

    def __init__(
        self, transactions: Transactions, vault: Vault, secrets: VaultSecrets, city: City, overlaps: SuspectOverlaps
    ) -> None:
        self._transactions = transactions
        self._overlaps = overlaps
        self._vault = vault
        self._secrets = secrets
        self._city = city
        self._word_list = read_word_list()
        self._batcher: Batcher[_Request, Receipt] = Batcher("reports", self._take_batch, attempts=4)
        self.run = self._batcher.run

    async def take_report(self, report: Report) -> Receipt:
        """Stores a report and publishes its case; a repeated report gets the same receipt.

        Raises ReportIdReused when the id belongs to different content, and TimeoutError when the outcome is unknown
        after STORE_TIMEOUT.
        """
        async with asyncio.timeout(STORE_TIMEOUT.total_seconds()):
            return await self._batcher.submit(_Request(report, current_traceparent()))

    async def _take_batch(self, requests: Sequence[_Request]) -> Sequence[Receipt | Exception]:
        secrets = await self._secrets.load()
        reports = [request.report for request in requests]
        firsts = {request.report.report_id: request for request in reversed(requests)}
        # Before the transaction, because a key service may be slow.
        keys = await self._vault.create_case_keys(len(firsts))
        # Sorted, so that two processes that store the same retries cannot deadlock.
        cases = {report_id: (firsts[report_id], key) for report_id, key in zip(sorted(firsts), keys, strict=True)}
        async with self._transactions.begin() as transaction:
            stored = await self._store_reports(transaction, cases, secrets)
        return [self._receipt_or_refusal(report, stored[report.report_id], secrets) for report in reports]

    async def _store_reports(
        self, transaction: Transaction, cases: Mapping[UUID, tuple[_Request, NewCaseKey]], secrets: Secrets
    ) -> dict[UUID, StoredReport]:
        proposed = {
            report_id: StoredReport(
                report_id, key.case_id, _content_mac(request.report, secrets), request.report.received_at
            )
            for report_id, (request, key) in cases.items()
        }
        new = await repository.add_reports(transaction, list(proposed.values()))
        for report_id in new:
            self._open_case(transaction, *cases[report_id])
        # The index refers to the case's key.
        await transaction.flush()
        await self._overlaps.index_reports(
            transaction, {cases[report_id][1].case_id: cases[report_id][0].report for report_id in new}
        )
        known = [report_id for report_id in cases if report_id not in new]
        return proposed | (await repository.find_reports(transaction, known) if known else {})

    def _open_case(self, transaction: Transaction, request: _Request, key: NewCaseKey) -> None:
        report = request.report
        encrypted = {
            name: self._vault.encrypt_section(key.key, key.case_id, name, 1, content)
            for name, content in report.sections().items()
        }
        repository.add_sections(transaction, key.case_id, key.wrapped.key_id, key.wrapped.ciphertext, encrypted)
        transaction.record(audit.report_stored(key.case_id, report))
        transaction.enqueue_event(publisher.case_reported(report, key.case_id, self._city, request.traceparent))

    def _receipt_or_refusal(self, report: Report, stored: StoredReport, secrets: Secrets) -> Receipt | Exception:
        if stored.content_mac != _content_mac(report, secrets):
            return ReportIdReused()
        # Whoever sends a report again learns no receipt that a centre had made since: only the centre does.
        is_replaced = stored.receipt_number > 0
        phrase = "" if is_replaced else receipt_phrase(report.report_id, 0, secrets.receipt_key, self._word_list)
        return Receipt(stored.case_id, case_reference(stored.case_id), phrase)


def _content_mac(report: Report, secrets: Secrets) -> bytes:
    # The time is left out, because a retry may carry a later one than the first attempt.
    content = {name: getattr(report, name) for name in _COMPARED_FIELDS} | {"report_id": str(report.report_id)}
    # Without the facts that an older version did not know, so that a retry matches a report that it stored.
    content = {name: value for name, value in content.items() if value != _NEW_FACTS.get(name)}
    content["identity"] = {name: text for name, text in report.identity.items() if text or name not in _NEW_IDENTITY}
    content["answers"] = {name: answer for name, answer in report.answers.items() if answer != _NEW_FACTS.get(name)}
    # A retry with a token must match the same report sent without one, so both lists count as one.
    content["excluded_agencies"] = report.excluded_agencies + report.suggested_exclusions
    return secrets.compute_mac(json.dumps(content, sort_keys=True).encode())
