"""Routing's use cases on a real database with a clock that tests set; published events are kept in memory."""

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
    PublishManifests,
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
    """Transactions that begin at the room's time."""

    def __init__(self, room: "Room") -> None:
        self._room = room

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self._room.transaction() as transaction:
            yield transaction


@dataclass
class Room:
    """Routing without a broker, at the time `now`."""

    engine: AsyncEngine
    url: str
    keys: Keys
    outbox: Outbox
    versions: Versions
    rings: Mapping[str, KeyRing]
    directory_file: Path
    now: datetime = START
    events: list[dict[str, Any]] = field(default_factory=list)
    """Every published event."""
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every copy of the events with its routing key."""
    facts: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    """The reported facts of each case."""

    def __post_init__(self) -> None:
        replan_cases = ReplanCases(self.versions, CITY, self.keys)
        transactions = _AtRoomTime(self)
        self.manifests = PublishManifests(transactions, CITY, self.keys, timedelta(minutes=1))
        self.consent = WithdrawConsent(transactions, self.versions, CITY, self.keys)
        self.handlers = handlers(
            self.keys,
            ReferCases(self.versions, CITY, self.keys),
            replan_cases,
            JudgeReplies(self.versions, self.keys, replan_cases),
            self.manifests,
            self.consent,
        )
        self.release = HeldEventRelease(transactions, self.keys)
        self.release.find_withheld = self.manifests.find_withheld
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
        self.keep_rows(transaction.outgoing)
        for call in transaction.after_commit:
            call()

    def keep_rows(self, rows: Sequence[OutboxRow]) -> None:
        """Keeps published rows, and each event once."""
        self.events += {row.event_id: json.loads(row.body) for row in rows}.values()
        self.sent += [(row.routing_key, json.loads(row.body)) for row in rows]

    async def report(self, **facts: Any) -> UUID:
        """Reports a case; returns its id."""
        defaults = {
            "channel": "phone",
            "reporter": "other",
            "violence": ["physical"],
            "place": "other",
            "kelurahan": "Bujel",
        }
        case_id = uuid4()
        self.facts[case_id] = defaults | facts
        await self.receive([self._from_intake(CaseReportedV1, case_id, 1, received_at=self.now)])
        return case_id

    async def amend(self, case_id: UUID, **facts: Any) -> None:
        """Amends the facts of a case; other facts stay."""
        self.facts[case_id] |= facts
        await self.receive([self._from_intake(CaseAmendedV1, case_id, 2, amended_at=self.now, revision=2)])

    def _from_intake(self, message: type[Event], case_id: UUID, position: int, **data: Any) -> Event:
        event_id = uuid4()
        sealed = seal_section(
            TriageFacts.model_validate(self.facts[case_id]).model_dump_json().encode(),
            self.keys.directory.current("routing", START), event_id=event_id, case_id=case_id, section="triage",
        )  # fmt: skip
        return message.model_validate({
            "id": event_id, "source": "/kediri/intake", "subject": f"case/{case_id}", "time": self.now,
            "sequence": f"{position:010d}", "correlationid": case_id,
            "data": {"case_id": case_id, "sealed": {"triage": sealed}, **data},
        })  # fmt: skip

    async def version(self, case_id: UUID) -> int:
        """Returns the version of a case as the API shows it."""
        query = (
            "SELECT p.version + (SELECT coalesce(sum(version), 0) FROM referral WHERE case_id = $1) AS version"
            " FROM case_plan p WHERE case_id = $1"
        )
        return int((await self.rows(query, case_id))[0]["version"])

    async def reply(self, kind: str, referral: dict[str, Any], agency: str = "", **more: Any) -> None:
        """Handles a reply about a referral, by default from the addressed agency."""
        await self.receive([self.build_reply(kind, referral, agency, **more)])

    def build_reply(self, kind: str, referral: dict[str, Any], agency: str = "", **more: Any) -> Event:
        """Builds a reply about a referral, by default from the addressed agency."""
        message = message_class(f"reply.referral.{kind}.v1")
        assert message is not None
        by = agency or referral["agency"]
        return message.model_validate({
            "id": uuid4(), "source": f"/kediri/agency/{by}", "subject": f"referral/{referral['referral_id']}",
            "time": self.now, "sequence": "0000000001", "correlationid": referral["case_id"],
            "data": {"referral_id": referral["referral_id"], "agency": by, **more},
        })  # fmt: skip

    async def receive(self, replies: Sequence[Event]) -> None:
        """Handles messages of one type that arrive together."""
        async with self.transaction() as transaction:
            await self.handlers[type(replies[0])](transaction, replies)

    async def sweep_until(self, end: datetime, step: timedelta) -> None:
        """Advances the time in steps and takes the due clock steps at each."""
        while self.now < end:
            self.now = min(self.now + step, end)
            await self.take_due_steps()

    async def take_due_steps(self) -> None:
        """Takes all clock steps that are due now."""
        taken = 1
        while taken:
            async with self.transaction() as transaction:
                taken = await self.clocks.sweep_clocks(transaction, self.now)

    def end_keys(self, *parties: str, at: datetime | None = None) -> None:
        """Ends the validity of the keys of parties."""
        self._write_directory(lambda entry: entry.party in parties, at or self.now)

    def enrol(self, *parties: str) -> None:
        """Extends the validity of the present keys of parties by a year from now."""
        self._write_directory(lambda entry: entry.party in parties, self.now + timedelta(days=365))

    def _write_directory(self, concerns: Callable[[PublicKeys], bool], end: datetime) -> None:
        entries = Directory.read(self.directory_file).entries
        changed = [replace(entry, not_after=end) if concerns(entry) else entry for entry in entries]
        Directory(changed).write(self.directory_file)

    def find_events_sent_to(self, agency: str) -> list[dict[str, Any]]:
        """Finds the events that were sent to an agency's own queue."""
        prefix = f"referral.{agency}."
        return [event for key, event in self.sent if key.startswith(prefix)]

    def find_data(self, wire_name: str, **data: Any) -> list[dict[str, Any]]:
        """Finds the data of the events of a type whose fields have these values."""
        found = [event["data"] for event in self.events if event["type"] == wire_name]
        return [entry for entry in found if all(entry.get(name) == value for name, value in data.items())]

    def find_offer(self, case_id: UUID, service: str, role: str = "lead") -> dict[str, Any]:
        """Finds the newest offer of a service in a case."""
        return self.find_data("referral.offered.v1", case_id=str(case_id), service=service, role=role)[-1]

    def open_facts(self, referral: dict[str, Any]) -> ReferralFacts:
        """Opens the sealed facts of an offer with the key of the addressed agency."""
        offered = ReferralOfferedV1.model_validate(
            next(e for e in self.events if e["data"].get("referral_id") == referral["referral_id"]
                 and e["type"] == "referral.offered.v1")
        )  # fmt: skip
        opened = open_section(
            offered.data.sealed["facts"].ciphertext, self.rings[offered.data.agency], event_id=offered.id,
            case_id=offered.data.case_id, section="facts",
        )  # fmt: skip
        return ReferralFacts.model_validate_json(opened)

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Runs a statement on the database and returns its rows."""
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
