"""Indexes cases, and suspects those that may be about the same child."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from simpul_city import City
from simpul_intake import audit, publisher, repository
from simpul_intake.domain import FoundOverlap, Report
from simpul_intake.duplicates import BlindIndex, ChildDescription, find_overlaps
from simpul_intake.repository import EncryptedCase
from simpul_intake.use_cases.decrypt_report import decrypt_report
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.vault import DecryptionFailed, MasterKeyMissing, Vault, WrappedKey, case_key_context
from simpul_runtime.transaction import Transaction, Transactions

POLL_INTERVAL: Final = timedelta(seconds=5)
"""Time after which cases of another process are noticed; those of this process are searched at once."""
RETRY_INTERVAL: Final = timedelta(seconds=15)
BATCH_SIZE: Final = 50
MAX_OVERLAPS: Final = 5
"""Largest number of overlaps that one search publishes, the likeliest first."""

log = structlog.get_logger()


class SuspectOverlaps:
    """Stores the tokens of cases with their reports, and searches them in a loop of its own.

    A search runs after its case is committed, so no report waits for it, and of two cases that are stored at the same
    moment at least the search that comes second sees both.
    """

    def __init__(self, transactions: Transactions, vault: Vault, secrets: VaultSecrets, city: City) -> None:
        self._transactions = transactions
        self._vault = vault
        self._secrets = secrets
        self._city = city
        self._has_new = asyncio.Event()
        self._described: dict[UUID, ChildDescription] = {}
        self._index: BlindIndex | None = None

    async def load_index(self) -> BlindIndex:
        """Returns the blind index under its key, which is loaded once."""
        if self._index is None:
            self._index = BlindIndex((await self._secrets.load()).duplicates_key)
        return self._index

    def describe(self, report: Report) -> ChildDescription:
        """Describes the child of a report."""
        ward = self._city.find_kelurahan(report.kelurahan)
        return report.describe_child(ward.code if ward else "")

    async def index_reports(self, transaction: Transaction, reports: Mapping[UUID, Report]) -> None:
        """Stores or replaces the tokens of cases, which are searched once the transaction is committed."""
        index = await self.load_index()
        described = {case_id: self.describe(report) for case_id, report in sorted(reports.items())}
        tokens = [(case_id, index.make_tokens(case_id, description)) for case_id, description in described.items()]
        await repository.write_indexes(transaction, index.version, tokens)
        transaction.after_commit.append(lambda: self._note_new(described))

    def _note_new(self, described: Mapping[UUID, ChildDescription]) -> None:
        # Whoever has just described a child need not decrypt the report again to search it.
        self._described.update(described)
        self._has_new.set()

    async def run(self) -> None:
        """Indexes what has no tokens yet, then searches what is new, until cancelled."""
        is_indexed = False
        while True:
            self._has_new.clear()
            try:
                if not is_indexed:
                    await self.index_existing()
                    is_indexed = True
                # A case that is still described was stored during the search, or another process has searched it.
                while await self.search_batch() == BATCH_SIZE or self._described:
                    pass
            except Exception as error:
                log.warning("overlap_search_failed", exc_info=error)
                await asyncio.sleep(RETRY_INTERVAL.total_seconds())
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_INTERVAL.total_seconds()):
                    await self._has_new.wait()

    async def index_existing(self) -> int:
        """Indexes the cases that have no tokens of the current rules and key; returns how many."""
        index, after, total = await self.load_index(), UUID(int=0), 0
        while True:
            async with self._transactions.begin() as transaction:
                found = await repository.find_unindexed(transaction, index.version, after, BATCH_SIZE)
            if not found:
                break
            reports = await self._load_reports(found)
            async with self._transactions.begin() as transaction:
                await self.index_reports(transaction, reports)
            after, total = found[-1], total + len(reports)
        if total:
            log.info("cases_indexed", count=total)
        return total

    async def search_batch(self) -> int:
        """Compares some new cases with all others and publishes the overlaps; returns how many were compared."""
        index = await self.load_index()
        async with self._transactions.begin() as transaction:
            found = await repository.find_unsearched(transaction, index.version, BATCH_SIZE)
        if not found:
            # Another process has searched the remaining cases, so nothing in clear may stay in memory for them.
            self._described.clear()
            return 0
        described = {one.case_id: self._described.pop(one.case_id, None) for one in found}
        # After a restart, and for cases that were indexed by another process.
        missing = [case_id for case_id, description in described.items() if description is None]
        described |= {case_id: self.describe(one) for case_id, one in (await self._load_reports(missing)).items()}
        readable = {case_id: description for case_id, description in described.items() if description is not None}
        async with self._transactions.begin() as transaction:
            await self._search(transaction, index, readable)
            await repository.mark_searched(transaction, found)
        return len(found)

    async def _search(
        self, transaction: Transaction, index: BlindIndex, described: Mapping[UUID, ChildDescription]
    ) -> None:
        probes = {case_id: index.make_probe(description) for case_id, description in described.items()}
        candidates = await repository.find_candidates(transaction.connection, index.version, probes)
        for case_id, description in described.items():
            for overlap in find_overlaps(index, description, candidates[case_id])[:MAX_OVERLAPS]:
                found = FoundOverlap(uuid4(), case_id, overlap.case_id, overlap.is_likely)
                overlap_id = await repository.add_overlap(transaction, found)
                if overlap_id is not None:
                    transaction.enqueue_event(publisher.overlap_suspected(found, overlap_id, transaction.now))

    async def _load_reports(self, case_ids: Sequence[UUID]) -> dict[UUID, Report]:
        """Decrypts the reports of cases; one that cannot be decrypted is left out and logged."""
        stored: dict[UUID, tuple[WrappedKey, EncryptedCase]] = {}
        async with self._transactions.begin() as transaction:
            for case_id in case_ids:
                key = await repository.find_report_of_case(transaction, case_id)
                case = await repository.load_case_for_update(transaction, case_id)
                # The identity of an old case may have expired alone.
                if key and case and "identity" in case.sections:
                    transaction.record(audit.sections_read(case_id, case.sections, audit.INTAKE, "duplicates"))
                    stored[case_id] = WrappedKey(key.key_id, key.wrapped, case_key_context(case_id)), case
        reports = {}
        for case_id, (wrapped, case) in stored.items():
            try:
                reports[case_id] = decrypt_report(self._vault, case_id, case, await self._vault.unwrap(wrapped))
            except (DecryptionFailed, MasterKeyMissing) as error:
                log.error("case_not_indexed", case_id=case_id, error=type(error).__name__)
        return reports
