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

from simpul_dev.backends import Backends
from simpul_routing.consumers import handlers
from simpul_routing.domain.rules import AgreementVersions
from simpul_routing.repository import CaseFiles
from simpul_routing.use_cases import (
    AgencyQuestions,
    AmendCases,
    CaseChanges,
    CaseNotes,
    ConfirmPlans,
    DecideEarlierDisclosures,
    DismissOverlaps,
    EndCases,
    ForwardDossiers,
    JudgeReplies,
    PublishManifests,
    ReferCases,
    SeeCases,
    StateCapacities,
    SweepClocks,
    TriageCases,
)
from simpul_runtime.database import create_engine
from simpul_runtime.held_event_release import HeldEventRelease
from simpul_runtime.outbox import Outbox
from simpul_runtime.outbox_message import OutboxMessage
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Event, message_class
from simpul_schema.messages import CaseAmendedV1, CaseReportedV1, ReferralAmendedV1, ReferralOfferedV1
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import CancelReason
from simpul_seal import Directory, KeyRing, PublicKeys, open_section, seal_section
from tests.support.actors import UPTD
from tests.support.agreements import CITY, OneWave, signed_city
from tests.support.databases import create_migrated

START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
"""Friday, 22:00 in Kediri."""


_VIEW = """
    CREATE VIEW service AS
    SELECT s.*, r.case_id, r.agency FROM referral_service s JOIN referral r USING (referral_id)
"""
"""For the queries of tests: each service with its case and its agency."""


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
    versions: AgreementVersions
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
        transactions = _AtRoomTime(self)
        files = CaseFiles(self.versions, CITY, self.keys)
        self.manifests = PublishManifests(transactions, CITY, self.keys, timedelta(minutes=1))
        self.notes = CaseNotes(transactions, files, self.keys)
        self.see = SeeCases(files, self.keys)
        self.questions = AgencyQuestions(transactions, files, self.keys, self.see)
        self.capacities = StateCapacities(transactions, files)
        self.handlers = handlers(
            self.keys,
            ReferCases(files),
            AmendCases(files),
            JudgeReplies(files),
            self.manifests,
            ForwardDossiers(self.manifests.find_closed_cases),
            self.notes,
            self.questions,
            self.capacities,
        )
        self.release = HeldEventRelease(transactions, self.keys)
        self.release.find_withheld = self.manifests.find_withheld
        self.clocks = SweepClocks(transactions, files)
        self.earlier_disclosures = DecideEarlierDisclosures(transactions, files)
        changes = CaseChanges(transactions, files)
        self.triage = TriageCases(changes)
        self.end = EndCases(changes)
        self.plans = ConfirmPlans(changes)
        self.overlaps = DismissOverlaps(transactions, self.keys, self.see)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.engine.begin() as connection:
            transaction = Transaction(connection, self.now, self.outbox)
            yield transaction
            await transaction.flush()
            await transaction.write_audit()
        self.keep_rows(transaction.outgoing)
        for call in transaction.after_commit:
            call()

    def keep_rows(self, rows: Sequence[OutboxMessage]) -> None:
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
            self.keys.directory.current("routing", START),
            event_id=event_id,
            case_id=case_id,
            section="triage",
        )
        return message.model_validate(
            {
                "id": event_id,
                "source": "/kediri/intake",
                "subject": f"case/{case_id}",
                "time": self.now,
                "sequence": f"{position:010d}",
                "correlationid": case_id,
                "data": {"case_id": case_id, "sealed": {"triage": sealed}, **data},
            }
        )

    async def version(self, case_id: UUID) -> int:
        """Returns the version of a case as the API shows it."""
        query = (
            "SELECT p.version + (SELECT coalesce(sum(version), 0) FROM service WHERE case_id = $1) AS version"
            " FROM case_plan p WHERE case_id = $1"
        )
        return int((await self.rows(query, case_id))[0]["version"])

    async def reply(self, kind: str, about: Mapping[str, Any], agency: str = "", **more: Any) -> None:
        """Handles a reply about a service, by default from the addressed agency."""
        await self.receive([self.build_reply(kind, about, agency, **more)])

    def build_reply(self, kind: str, about: Mapping[str, Any], agency: str = "", **more: Any) -> Event:
        """Builds a reply about a service, by default from the addressed agency; receipts are about its referral."""
        message = message_class(f"reply.referral.{kind}.v1")
        assert message is not None
        by = agency or about["agency"]
        if "service_id" in about and kind not in ("delivered", "seen"):
            more = {"service_ids": [about["service_id"]], **more}
        return message.read(
            {
                "id": uuid4(),
                "source": f"/kediri/agency/{by}",
                "subject": f"referral/{about['referral_id']}",
                "time": self.now,
                "sequence": "0000000001",
                "correlationid": about["case_id"],
                "data": {"referral_id": about["referral_id"], "agency": by, **more},
            }
        )

    def build_own_reply(self, wire_name: str, agency: str, **data: Any) -> Event:
        """Builds a reply of an agency about no referral."""
        message = message_class(wire_name)
        assert message is not None
        return message.read(
            {
                "id": uuid4(),
                "source": f"/kediri/agency/{agency}",
                "subject": f"agency/{agency}",
                "time": self.now,
                "sequence": "0000000001",
                "correlationid": uuid4(),
                "data": {"agency": agency, **data},
            }
        )

    async def cancel(self, offer: Mapping[str, Any], why: CancelReason, reason: str = "x") -> None:
        """Cancels one service of a referral by hand."""
        case, services = UUID(offer["case_id"]), [UUID(offer["service_id"])]
        await self.triage.cancel_services(
            case,
            await self.version(case),
            UUID(offer["referral_id"]),
            why,
            by=UPTD,
            reason=reason,
            service_ids=services,
        )

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
        prefixes = f"referral.{agency}.", f"agency.{agency}."
        return [event for key, event in self.sent if key.startswith(prefixes)]

    def find_data(self, wire_name: str, **data: Any) -> list[dict[str, Any]]:
        """Finds the data of the events of a type whose fields have these values."""
        found = [event["data"] for event in self.events if event["type"] == wire_name]
        return [entry for entry in found if all(entry.get(name) == value for name, value in data.items())]

    def find_services(self, wire_name: str, **data: Any) -> list[dict[str, Any]]:
        """Finds the services that events of a type are about, each with the data of its event."""
        found = [
            {**event["data"], **service}
            for event in self.events
            if event["type"] == wire_name
            for service in event["data"]["services"]
        ]
        return [entry for entry in found if all(entry.get(name) == value for name, value in data.items())]

    def find_offers(self, **data: Any) -> list[dict[str, Any]]:
        """Finds offered services, those that were added to a referral later included, each with the data of its event.

        The one that was offered first is at the front.
        """
        offers = [
            {**event["data"], **service}
            for event in self.events
            if event["type"] in ("referral.offered.v1", "referral.amended.v1")
            for service in event["data"]["services"]
            if service["service_id"] in event["data"].get("added", [service["service_id"]])
        ]
        return [entry for entry in offers if all(entry.get(name) == value for name, value in data.items())]

    def find_offer(self, case_id: UUID, service: str, role: str = "lead") -> dict[str, Any]:
        """Finds the newest offer of a service in a case."""
        return self.find_offers(case_id=str(case_id), service=service, role=role)[-1]

    def open_facts(self, offer: Mapping[str, Any]) -> ReferralFacts:
        """Opens the sealed facts of an offer with the key of the addressed agency."""
        event = next(
            event
            for event in self.events
            if event["type"] in ("referral.offered.v1", "referral.amended.v1")
            and offer["service_id"] in [service["service_id"] for service in event["data"]["services"]]
        )
        offered = (ReferralOfferedV1 if event["type"] == "referral.offered.v1" else ReferralAmendedV1).read(event)
        opened = open_section(
            offered.data.sealed["facts"].ciphertext,
            self.rings[offered.data.agency],
            event_id=offered.id,
            case_id=offered.data.case_id,
            section="facts",
        )
        return ReferralFacts.model_validate_json(opened)

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Runs a statement on the database and returns its rows."""
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()


@asynccontextmanager
async def open_room(backends: Backends, folder: Path, *, has_plans: bool) -> AsyncIterator[Room]:
    """Opens a room; without plans, every service is offered at once."""
    url = await create_migrated(backends, "routing", f"routing_{uuid4().hex[:8]}")
    engine = create_engine(url, connections=4)
    signed, keys, rings = signed_city(folder, START)
    versions = signed if has_plans else OneWave(signed)
    room = Room(engine, url, keys, Outbox("kediri", "routing", keys), versions, rings, folder / "directory.json")
    await room.rows(_VIEW)
    yield room
    await engine.dispose()


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    """A room in which every service is offered at once."""
    async with open_room(backends, tmp_path, has_plans=False) as opened:
        yield opened


@pytest.fixture
async def planning_room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    """A room with Kediri's agreement as it is: what is not needed at once awaits the service plan."""
    async with open_room(backends, tmp_path, has_plans=True) as opened:
        yield opened
