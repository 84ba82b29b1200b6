"""Events that cannot be sealed yet are held, raise an alarm once, and are released once they can be sealed."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from simpul_cli.keys import create_keys, directory_file, key_file, rotate_keys
from simpul_dev.backends import Backends
from simpul_intake import publisher
from simpul_intake.api import ReportIn
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.held_event_release import HeldEventRelease
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.outbox import Outbox
from simpul_runtime.outbox_message import OutboxMessage
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema.messages import CaseAmendedV1, CaseReportedV1
from simpul_schema.messages.case import TriageFacts
from simpul_seal import Directory, KeyRing, VerifiedEvent, WatchedDirectory, WatchedKeyRing
from tests.support.agreements import CITY
from tests.support.databases import create_migrated
from tests.support.reports import a_report


@dataclass
class Room:
    """Intake's messages without its web pages and without a broker."""

    folder: Path
    url: str
    transactions: Transactions
    release: HeldEventRelease
    published: list[OutboxMessage] = field(default_factory=list)

    async def report(self, case_id: UUID) -> None:
        report = ReportIn.model_validate(a_report()).to_report(utc_now())
        async with self.transactions.begin() as transaction:
            transaction.enqueue_event(publisher.case_reported(report, case_id, CITY))

    async def amend(self, case_id: UUID) -> None:
        report = ReportIn.model_validate(a_report()).to_report(utc_now())
        async with self.transactions.begin() as transaction:
            transaction.enqueue_event(publisher.case_amended(report, case_id, CITY, 2, transaction.now))

    def end_keys(self, party: str) -> None:
        """Makes the party's keys expire now."""
        self._set_end(party, utc_now())

    def enrol(self, party: str) -> None:
        """Makes the party's keys valid again."""
        self._set_end(party, utc_now() + timedelta(days=365))

    def _set_end(self, party: str, end: Any) -> None:
        path = directory_file(self.folder)
        entries = Directory.read(path).entries
        Directory([replace(e, not_after=end) if e.party == party else e for e in entries]).write(path)

    async def count(self, table: str) -> int:
        connection = await asyncpg.connect(self.url)
        try:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
        finally:
            await connection.close()

    def as_routing(self) -> Keys:
        """Returns routing's keys."""
        return Keys(KeyRing.read(key_file(self.folder, "routing")), Directory.read(directory_file(self.folder)))


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    url = await create_migrated(backends, "intake", f"release_{uuid4().hex[:8]}")
    engine = create_engine(url, connections=3)
    create_keys(tmp_path, ("intake", "routing"), utc_now())
    keys = Keys(WatchedKeyRing(key_file(tmp_path, "intake")), WatchedDirectory(directory_file(tmp_path)))
    published: list[OutboxMessage] = []

    def publish_soon(rows: Sequence[OutboxMessage]) -> None:
        published.extend(rows)

    transactions = Transactions(engine, Outbox("kediri", "intake", keys), publish_soon)
    yield Room(tmp_path, url, transactions, HeldEventRelease(transactions, keys), published)
    await engine.dispose()


def metric(name: str, party: str) -> float:
    start = f'{name}{{party="{party}"}} '
    [line] = [line for line in generate_latest(REGISTRY).decode().splitlines() if line.startswith(start)]
    return float(line.rpartition(" ")[2])


async def test_a_report_is_held_while_routing_has_no_key_and_released_with_the_key(room: Room) -> None:
    case_id = uuid4()
    room.end_keys("routing")
    await room.report(case_id)
    await room.amend(case_id)
    assert (await room.count("outbox"), await room.count("held_event"), room.published) == (0, 2, [])

    room.enrol("routing")
    await room.release.release_events()

    reported, amended = (json.loads(row.body) for row in room.published)
    assert (await room.count("outbox"), await room.count("held_event")) == (2, 0)
    assert (reported["sequence"], amended["sequence"]) == ("0000000001", "0000000002")
    opened = room.as_routing().open_section(CaseReportedV1.model_validate(reported), "triage", TriageFacts)
    assert opened.kelurahan == "35.71.01.1001"
    assert room.as_routing().open_section(CaseAmendedV1.model_validate(amended), "triage", TriageFacts)


async def test_later_events_of_a_held_stream_wait_and_other_cases_do_not(room: Room) -> None:
    first, second = uuid4(), uuid4()
    room.end_keys("routing")
    await room.report(first)
    room.enrol("routing")

    await room.amend(first)
    await room.report(second)

    assert [row.correlation_id for row in room.published] == [second]
    await room.release.release_events()
    assert [row.correlation_id for row in room.published] == [second, first, first]
    assert [json.loads(row.body)["sequence"] for row in room.published[1:]] == ["0000000001", "0000000002"]


async def test_a_report_that_intake_cannot_sign_is_held_until_the_rotation(room: Room) -> None:
    case_id = uuid4()
    room.end_keys("intake")
    await room.report(case_id)
    assert room.published == []

    rotate_keys(room.folder, ["intake"], directory_file(room.folder), utc_now(), overlap=timedelta(days=30))
    await room.release.release_events()

    [row] = room.published
    assert isinstance(room.as_routing().verify(row.body, row.signature, utc_now()), VerifiedEvent)


async def test_two_processes_release_each_event_once(room: Room) -> None:
    room.end_keys("routing")
    for _ in range(3):
        await room.report(uuid4())
    room.enrol("routing")

    async with room.transactions.begin() as transaction:
        await transaction.connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7135713)")
        assert await room.release.release_events() == 0
    assert await room.release.release_events() == 3
    assert await room.release.release_events() == 0

    assert len({row.event_id for row in room.published}) == 3


async def test_more_than_one_page_is_released_at_once(room: Room) -> None:
    cases = [uuid4() for _ in range(120)]
    room.end_keys("routing")
    for case_id in cases:
        await room.report(case_id)
    await room.amend(cases[0])
    room.enrol("routing")

    assert await room.release.release_events() == 121

    assert [row.correlation_id for row in room.published if row.correlation_id != cases[0]] == cases[1:]


async def test_the_alarm_is_raised_once_and_the_metric_names_the_party(room: Room) -> None:
    room.end_keys("routing")
    await room.report(uuid4())
    await room.report(uuid4())

    with capture_logs() as logs:
        for _ in range(3):
            await room.release.release_events()
    assert [(entry["event"], entry["log_level"], entry["party"]) for entry in logs] == [
        ("events_wait_for_key", "error", "routing")
    ]
    assert metric("simpul_held_events", "routing") == 2
    assert metric("simpul_held_oldest_seconds", "routing") > 0
    assert room.release.held["routing"][0] == 2

    room.enrol("routing")
    await room.release.release_events()
    assert metric("simpul_held_events", "routing") == 0
    assert metric("simpul_held_oldest_seconds", "routing") == 0
    assert room.release.held == {}
