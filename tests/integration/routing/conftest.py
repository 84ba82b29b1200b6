"""Routing's use cases on a real database with a clock of the test's own; what they announce is kept, not published."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_agreement import Versions
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_routing.consumers import handlers
from simpul_routing.use_cases import (
    DecideExclusions,
    EndCases,
    JudgeReplies,
    KeepAccounts,
    ReferCases,
    ReplanCases,
    SweepClocks,
    TriageCases,
    WithdrawConsent,
)
from simpul_runtime.database import engine_for
from simpul_runtime.held import OutboxRow
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.release import HeldEventRelease
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Event, message_class
from simpul_schema.messages import CaseAmendedV1, CaseReportedV1, ReferralOfferedV1
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.referral import ReferralFacts
from simpul_seal import Directory, KeyRing, PublicKeys, open_section, seal_section
from tests.support.agreements import CITY, signed_city

START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
"""Friday, 22:00 in Kediri."""


class _AtRoomTime(Transactions):
    """Transactions that begin when the test says."""

    def __init__(self, room: "Room") -> None:
        self._room = room

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self._room.transaction() as transaction:
            yield transaction


@dataclass
class Room:
    """Routing without its broker; `now` is what the test says it is."""

    engine: AsyncEngine
    url: str
    keys: Keys
    outbox: Outbox
    versions: Versions
    rings: Mapping[str, KeyRing]
    directory_file: Path
    now: datetime = START
    said: list[dict[str, Any]] = field(default_factory=list)
    """Every event routing announced."""
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every copy of them, with the key it goes by."""
    told: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    """What intake knows of each case."""

    def __post_init__(self) -> None:
        replan_cases = ReplanCases(self.versions, CITY, self.keys)
        transactions = _AtRoomTime(self)
        self.accounts = KeepAccounts(transactions, CITY, self.keys, timedelta(minutes=1))
        self.consent = WithdrawConsent(transactions, replan_cases, self.versions, CITY, self.keys)
        self.handlers = handlers(
            self.keys,
            ReferCases(self.versions, CITY, self.keys),
            replan_cases,
            JudgeReplies(self.versions, self.keys, replan_cases),
            self.accounts,
            self.consent,
        )
        self.release = HeldEventRelease(transactions, self.keys)
        self.release.find_withheld = self.accounts.find_withheld
        self.clocks = SweepClocks(transactions, self.versions, CITY, self.keys)
        self.triage = TriageCases(transactions, replan_cases, self.versions, CITY, self.keys)
        self.decisions = DecideExclusions(transactions, replan_cases, self.versions, self.keys)
        self.end = EndCases(transactions, replan_cases, self.keys)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.engine.begin() as connection:
            transaction = Transaction(connection, self.now, self.outbox)
            yield transaction
            await transaction.flush()
        self.keep(transaction.outgoing)

    def keep(self, rows: Sequence[OutboxRow]) -> None:
        """Remember what was announced, each event once."""
        self.said += {row.event_id: json.loads(row.body) for row in rows}.values()
        self.sent += [(row.routing_key, json.loads(row.body)) for row in rows]

    async def report(self, **facts: Any) -> UUID:
        """A reported case; returns its id."""
        told = {
            "channel": "phone",
            "reporter": "other",
            "violence": ["physical"],
            "place": "other",
            "kelurahan": "Bujel",
        }
        case_id = uuid4()
        self.told[case_id] = told | facts
        await self.receive([self._from_intake(CaseReportedV1, case_id, 1, received_at=self.now)])
        return case_id

    async def amend(self, case_id: UUID, **facts: Any) -> None:
        """New facts about a case; those told before stay."""
        self.told[case_id] |= facts
        await self.receive([self._from_intake(CaseAmendedV1, case_id, 2, amended_at=self.now, revision=2)])

    def _from_intake(self, message: type[Event], case_id: UUID, position: int, **data: Any) -> Event:
        event_id = uuid4()
        sealed = seal_section(
            TriageFacts.model_validate(self.told[case_id]).model_dump_json().encode(),
            self.keys.directory.current("routing", START), event_id=event_id, case_id=case_id, section="triage",
        )  # fmt: skip
        return message.model_validate({
            "id": event_id, "source": "/kediri/intake", "subject": f"case/{case_id}", "time": self.now,
            "sequence": f"{position:010d}", "correlationid": case_id,
            "data": {"case_id": case_id, "sealed": {"triage": sealed}, **data},
        })  # fmt: skip

    async def version(self, case_id: UUID) -> int:
        """Of a case, as it would be read now."""
        query = (
            "SELECT p.version + (SELECT coalesce(sum(version), 0) FROM referral WHERE case_id = $1) AS version"
            " FROM case_plan p WHERE case_id = $1"
        )
        return int((await self.rows(query, case_id))[0]["version"])

    async def reply(self, said: str, referral: dict[str, Any], agency: str = "", **more: Any) -> None:
        """An agency says something about a referral; the addressed one unless another is named."""
        await self.receive([self.reply_of(said, referral, agency, **more)])

    def reply_of(self, said: str, referral: dict[str, Any], agency: str = "", **more: Any) -> Event:
        """The message of such a reply."""
        message = message_class(f"reply.referral.{said}.v1")
        assert message is not None
        by = agency or referral["agency"]
        return message.model_validate({
            "id": uuid4(), "source": f"/kediri/agency/{by}", "subject": f"referral/{referral['referral_id']}",
            "time": self.now, "sequence": "0000000001", "correlationid": referral["case_id"],
            "data": {"referral_id": referral["referral_id"], "agency": by, **more},
        })  # fmt: skip

    async def receive(self, replies: Sequence[Event]) -> None:
        """Messages of one type arrive together."""
        async with self.transaction() as transaction:
            await self.handlers[type(replies[0])](transaction, replies)

    async def sweep_until(self, end: datetime, step: timedelta) -> None:
        """Let the time pass, sweeping as the service does."""
        while self.now < end:
            self.now = min(self.now + step, end)
            await self.sweep()

    async def sweep(self) -> None:
        """Take everything that is due now."""
        taken = 1
        while taken:
            async with self.transaction() as transaction:
                taken = await self.clocks.sweep(transaction, self.now)

    def end_keys(self, *parties: str, at: datetime | None = None) -> None:
        """The keys of these parties count no more."""
        self._write_directory(lambda entry: entry.party in parties, at or self.now)

    def enrol(self, *parties: str) -> None:
        """The keys of these parties, which are those they had, count for a year from now."""
        self._write_directory(lambda entry: entry.party in parties, self.now + timedelta(days=365))

    def _write_directory(self, concerns: Callable[[PublicKeys], bool], end: datetime) -> None:
        entries = Directory.read(self.directory_file).entries
        changed = [replace(entry, not_after=end) if concerns(entry) else entry for entry in entries]
        Directory(changed).write(self.directory_file)

    def sent_to(self, agency: str) -> list[dict[str, Any]]:
        """The events that went to an agency's own queue."""
        prefix = f"referral.{agency}."
        return [event for key, event in self.sent if key.startswith(prefix)]

    def of(self, wire_name: str, **data: Any) -> list[dict[str, Any]]:
        """The data of the events of a type in which these fields have these values."""
        found = [event["data"] for event in self.said if event["type"] == wire_name]
        return [entry for entry in found if all(entry.get(name) == value for name, value in data.items())]

    def offered(self, case_id: UUID, service: str, role: str = "lead") -> dict[str, Any]:
        """The newest referral of a service."""
        return self.of("referral.offered.v1", case_id=str(case_id), service=service, role=role)[-1]

    def open(self, referral: dict[str, Any]) -> ReferralFacts:
        """What the addressed agency reads, opened with its own key."""
        offered = ReferralOfferedV1.model_validate(
            next(e for e in self.said if e["data"].get("referral_id") == referral["referral_id"]
                 and e["type"] == "referral.offered.v1")
        )  # fmt: skip
        opened = open_section(
            offered.data.sealed["facts"].ciphertext, self.rings[offered.data.agency], event_id=offered.id,
            case_id=offered.data.case_id, section="facts",
        )  # fmt: skip
        return ReferralFacts.model_validate_json(opened)

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Look into the database."""
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    name = f"routing_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"routing": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_routing")
    engine = engine_for(url, connections=4)
    versions, keys, rings = signed_city(tmp_path, START)
    yield Room(engine, url, keys, Outbox("kediri", "routing", keys), versions, rings, tmp_path / "directory.json")
    await engine.dispose()
