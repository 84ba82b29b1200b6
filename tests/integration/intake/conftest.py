"""Intake on a real database, without its broker and its web server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_intake.api import AmendmentIn, ReportIn
from simpul_intake.use_cases import (
    AmendReports,
    CheckReceipts,
    FindAccusations,
    FollowReports,
    KeepFiles,
    KeepNotes,
    KeepQuestions,
    Receipt,
    ReleaseDossiers,
    ReplaceReceipts,
    RewrapKeys,
    SearchDuplicates,
    SuspectOverlaps,
    TakeReports,
    VaultSecrets,
)
from simpul_intake.vault import KeyFile, KeyWrapper, Vault, create_master_key
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_seal import Directory, generate
from tests.support.agreements import CITY
from tests.support.databases import create_migrated
from tests.support.reports import a_report

FIRST_DAY, LAST_DAY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


@dataclass
class Room:
    """Intake's use cases on a database of their own."""

    url: str
    key_path: Path
    engine: AsyncEngine = field(init=False)
    wholes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Unit -> the agencies that it is part of."""

    def __post_init__(self) -> None:
        self.engine = create_engine(self.url, connections=5)
        intake, intake_public = generate("intake", not_before=FIRST_DAY, not_after=LAST_DAY)
        _, routing_public = generate("routing", not_before=FIRST_DAY, not_after=LAST_DAY)
        self.keys = Keys(intake, Directory([intake_public, routing_public]))
        self.transactions = Transactions(self.engine, Outbox("kediri", "intake", self.keys), lambda _: None)

    def use_cases(self, *wrappers: KeyWrapper) -> "IntakeProcess":
        """A process of intake; with the key file as it is now where no wrapper is named."""
        return IntakeProcess(self, wrappers)

    def key_file(self) -> KeyFile:
        return KeyFile(self.key_path)

    async def fetch(self, statement: str, *parameters: Any) -> list[Any]:
        connection = await asyncpg.connect(self.url)
        try:
            return list(await connection.fetch(statement, *parameters))
        finally:
            await connection.close()


class IntakeProcess:
    """What one process of intake holds in memory."""

    def __init__(self, room: Room, wrappers: Sequence[KeyWrapper]) -> None:
        key_file = KeyFile(room.key_path) if room.key_path.exists() else None
        if not wrappers:
            assert key_file
            wrappers = [key_file]
        self.vault = Vault(*wrappers)
        self.secrets = VaultSecrets(room.engine, self.vault, key_file)
        self.rewrap = RewrapKeys(room.engine, self.vault, self.secrets)
        self.overlaps = SuspectOverlaps(room.transactions, self.vault, self.secrets, CITY)
        self.search_duplicates = SearchDuplicates(
            room.transactions, self.overlaps, CITY, searches_per_day=3, list_parts=lambda agency: (agency,)
        )
        self._take_reports = TakeReports(room.transactions, self.vault, self.secrets, CITY, self.overlaps)
        self.dossiers = ReleaseDossiers(
            room.transactions, self.vault, self.secrets, room.keys, lambda agency: (agency,)
        )
        self.questions = KeepQuestions(self.vault, room.keys)
        self.notes = KeepNotes(self.vault, room.keys, self.dossiers.request_release)
        self.accusations = accusations = FindAccusations(
            self.vault, room.keys, lambda agency: (agency, *room.wholes.get(agency, ()))
        )
        receipts = CheckReceipts(accusations)
        self._amend_reports = AmendReports(
            room.transactions,
            self.vault,
            self.secrets,
            CITY,
            receipts,
            self.overlaps,
            self.questions,
            self.dossiers.request_release,
        )
        self.files = KeepFiles(
            room.transactions, self.vault, self.secrets, room.keys, receipts, accusations, self.dossiers.request_release
        )
        self.replace_receipts = ReplaceReceipts(room.transactions, self.secrets)
        self.follow_reports = FollowReports(room.transactions, self.secrets, receipts, self.questions, accusations)

    async def take_report(self, **changes: Any) -> Receipt:
        report = ReportIn.model_validate(a_report(**changes)).to_report(utc_now(), "uptd-ppa")
        running = asyncio.create_task(self._take_reports.run())
        try:
            return await self._take_reports.take_report(report)
        finally:
            running.cancel()

    async def amend_report(self, case_id: UUID, receipt: str, **changes: Any) -> int:
        body = {"amendment_id": str(uuid4()), "receipt": receipt, "injured": "yes"} | changes
        return await self._amend_reports.amend_report(AmendmentIn.model_validate(body).to_amendment(case_id))


async def an_empty_database(backends: Backends) -> str:
    name = f"vault_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"intake": name})
    return backends.database_url(name)


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    url = await create_migrated(backends, "intake", f"vault_{uuid4().hex[:8]}")
    create_master_key(tmp_path / "vault.key")
    found = Room(url, tmp_path / "vault.key")
    yield found
    await found.engine.dispose()
