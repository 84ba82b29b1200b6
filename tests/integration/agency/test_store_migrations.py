"""A store of an earlier version is upgraded without losing a row, and work continues where it stood.

`stores/` has a store as the version of 24 November 2026 left it, and one as the last version before a referral had
several services left it, with invented data: a row in every table and state.
"""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import simpul_agency.migrations
from simpul_agency import ReceivedEvent, Reply
from simpul_agency.drivers import driver_for
from simpul_agency.records import HandlerResult, IncomingEvent, ReplyDraft, SignedBody
from simpul_agency.referral_view import view_referral
from simpul_agency.store import Store, StoreNewer
from simpul_agency.store.tables import METADATA, InboxState
from simpul_agency.store.version import NEWEST, REVISIONS
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_schema import Event
from simpul_schema.messages import ReferralAmendedV1, ReferralOfferedV1, ReferralRemindedV1
from simpul_schema.vocabulary import ReferralOutcome
from tests.integration.agency.conftest import Town
from tests.support.ledger import eventually

STORES = Path(__file__).with_name("stores")
BEFORE_SERVICES = "20261126_signatures"
SOURCE = "/kediri/routing"
NOW = 1_760_000_000.0
NOW_BEFORE_SERVICES = 1_764_150_000.0
RENAMED = {
    "received": "inbox_message",
    "unreadable": "parked_message",
    "reply": "outbox_message",
    "stream": "outbox_stream",
    "account": "manifest_entry",
    "city": "delivery_manifest",
}
SIGNED = ("received", "unreadable", "reply")
REASONS = {"not_json": "malformed", "altered": "id_reused"}
STATES = {2: "retrying", 3: "received", 11: "waiting_for_predecessor", 41: "waiting_for_predecessor"}
"""Of the events that wait for their handler."""


def uid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def referral(number: int) -> str:
    return f"referral/{uid(1000 + number)}"


async def execute(url: str, script: str) -> None:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
            database.executescript(script)
        database.close()
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


async def rows(url: str, table: str) -> list[tuple[Any, ...]]:
    query = f"SELECT * FROM {table} ORDER BY 1, 2"
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
            found = database.execute(query).fetchall()
        database.close()
        return found
    connection = await asyncpg.connect(url)
    found = [tuple(row) for row in await connection.fetch(query)]
    await connection.close()
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be made."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'agency.db'}"
    backends: Backends = request.getfixturevalue("backends")
    name = f"agency_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"agency": name})
    return backends.database_url(name)


@pytest.fixture
async def old(empty: str) -> str:
    """A store of the first version."""
    await fill(empty)
    return empty


@pytest.fixture
async def before_services(empty: str) -> str:
    """A store of the last version before a referral had several services."""
    await fill(empty, BEFORE_SERVICES)
    return empty


async def fill(url: str, revision: str = REVISIONS[0]) -> None:
    await execute(url, (STORES / f"{revision}.{url.partition(':')[0]}.sql").read_text())


async def opened(url: str) -> Store:
    store = Store(driver_for(url))
    await store.open()
    return store


def a_draft(subject: str) -> ReplyDraft:
    return ReplyDraft(
        subject,
        "reply.referral.accepted.v1",
        str(uuid4()),
        str(uuid4()),
        lambda number: SignedBody(b"%d" % number, "s"),
    )


def refuse_report(reason: str, digest: str, event_id: str | None) -> ReplyDraft:
    raise AssertionError(reason)


async def test_every_row_is_kept(old: str) -> None:
    before = {table: await rows(old, table) for table in RENAMED}
    assert all(before.values())
    assert {row[7] for row in before["received"]} == {"new", "done", "parked"}

    await (await opened(old)).close()

    after = {table: await rows(old, new) for table, new in RENAMED.items()}
    # Each has a place for a signature now, at its end; reasons have the names that services use.
    for table in SIGNED:
        assert {row[-1] for row in after[table]} == {""}
        after[table] = [row[:-1] for row in after[table]]
    parked = [(*row[:2], REASONS.get(row[2], row[2]), *row[3:]) for row in before["unreadable"]]
    states = {uid(number): state for number, state in STATES.items()}
    expected = [(*row[:7], states.get(row[1], row[7]), *row[8:]) for row in before["received"]]
    assert after == {**before, "received": expected, "unreadable": parked}


async def test_work_continues_where_it_stood(old: str) -> None:
    store = await opened(old)

    assert await store.count_backlog() == (4, 5, 4)
    # What waits for its handler, with its attempts; the first that is due is the first to be called.
    due, waiting, _ = await store.find_due(NOW + 2000, 60.0, 10)
    assert [(one.event_id, one.attempts) for one in due] == [(uid(3), 0), (uid(41), 0), (uid(11), 0), (uid(2), 2)]
    assert [one.event_id for one in (await store.find_due(NOW + 10, 60.0, 10))[0]] == [uid(3)]
    assert waiting == 4
    # What is missing in a stream, and in the manifests.
    gaps, _ = await store.find_gaps(NOW + 10)
    assert {(gap.subject, gap.sequence, gap.previous_body is None) for gap in gaps} == {
        (referral(1), 3, False),
        (referral(4), 2, True),
    }
    [city] = await store.compare_manifests()
    assert (city.last_number, city.settled_number, city.missing_ranges) == (9, 4, ((5, 5), (8, 9)))
    # Replies in their order, and the next ones behind them.
    unpublished = await store.find_unpublished(10)
    assert [reply.event_id for reply in unpublished] == [uid(number) for number in (501, 502, 503, 504, 105)]
    [reply] = await store.record_results([HandlerResult(SOURCE, uid(2), (a_draft(referral(2)),))])
    assert reply.body == b"2"
    assert (await store.find_unpublished(10))[-1] == reply
    await store.mark_published([*unpublished, reply], NOW + 2000)
    assert await store.find_unpublished(10) == []
    # What is parked can be read again.
    parked = {entry.reason: entry.name for entry in await store.list_parked()}
    assert parked.keys() == {"cannot_open", "malformed", "unknown_type", "id_reused"}
    aside = await store.find_parked(parked["cannot_open"])
    assert aside is not None
    # It was verified when it came, by a version that stored no signature.
    assert (aside.was_verified, aside.signature) == (True, "")
    usable = IncomingEvent(SOURCE, uid(5), referral(5), 1, "referral.offered.v1", aside.body)
    ready, _ = await store.add_messages([usable], NOW + 2000, refuse_report, replaces=parked["cannot_open"])
    assert [one.event_id for one in ready] == [uid(5)]
    # An event that came before the upgrade is known.
    [first] = await store.find_streams(10, referral(1))
    again = IncomingEvent(SOURCE, uid(1), referral(1), 1, "referral.offered.v1", first.events[0][1])
    assert await store.add_messages([again], NOW + 2000, refuse_report) == ([], [])
    names = ("delivered", "accepted", "started")
    assert [name for name, _ in first.replies] == [f"reply.referral.{name}.v1" for name in names]
    await store.close()


async def test_every_row_of_a_store_before_services_is_kept_as_it_was(before_services: str) -> None:
    before = {table: await rows(before_services, table) for table in RENAMED.values()}
    assert all(before.values())
    assert {row[7] for row in before["inbox_message"]} == {state.value for state in InboxState}

    store = await opened(before_services)

    assert {table: await rows(before_services, table) for table in RENAMED.values()} == before
    assert await store.count_backlog() == (3, 5, 3)
    due, _, _ = await store.find_due(NOW_BEFORE_SERVICES + 3000, 60.0, 10)
    assert [(one.event_id, one.attempts) for one in due] == [(uid(3), 0), (uid(41), 0), (uid(21), 1)]
    await store.close()


async def test_a_stored_referral_of_before_services_is_shown_with_its_service(before_services: str) -> None:
    store = await opened(before_services)

    views = {view.referral_id: view for view in map(view_referral, await store.find_streams(10))}

    found = {
        number: [(one.requested.service.value, one.requested.urgency.value, one.state) for one in view.services]
        for number in (1, 2, 3, 6)
        if (view := views.pop(UUID(uid(2000 + number))))
    }
    assert found == {
        1: [("shelter", "high", "referral.accepted.v1")],
        # Its amendment made it urgent, and its reply was refused.
        2: [("counselling", "high", "referral.offered.v1")],
        3: [("shelter", "high", "referral.offered.v1")],
        6: [("legal_aid", "high", "referral.cancelled.v1")],
    }
    assert not views
    await store.close()


async def test_a_consumer_handles_and_answers_what_came_before_services(town: Town) -> None:
    with sqlite3.connect(town.folder / "agency.db") as database:
        database.executescript((STORES / f"{BEFORE_SERVICES}.sqlite.sql").read_text())
    database.close()
    agency, calls = town.agency(), []

    @agency.on(ReferralOfferedV1)
    @agency.on(ReferralAmendedV1)
    @agency.on(ReferralRemindedV1)
    async def receive(referral: ReceivedEvent[Event], reply: Reply) -> None:
        calls.append((referral.event.type, [str(one.service_id) for one in referral.data.services]))
        reply.accept()

    await agency.start()

    async def all_are_handled() -> bool:
        return (await agency.store.count_backlog())[0] == 0

    await eventually(all_are_handled)
    async with agency.reply(UUID(uid(2001))) as reply:
        reply.complete(ReferralOutcome.SERVED)

    async def is_published() -> bool:
        return [event["type"] for event in town.received].count("reply.referral.completed.v1") == 1

    await eventually(is_published)
    bundle = await agency.export_fhir(UUID(uid(2001)))
    await agency.stop()
    assert sorted(calls) == [
        ("referral.amended.v1", [uid(2002)]),
        ("referral.offered.v1", [uid(2003)]),
        ("referral.reminded.v1", [uid(2004)]),
    ]
    accepted = [event["data"] for event in town.received if event["type"] == "reply.referral.accepted.v1"]
    assert {data["referral_id"]: data["service_ids"] for data in accepted}[uid(2003)] == [uid(2003)]
    assert bundle["entry"][0]["resource"]["status"] == "completed"


@pytest.mark.parametrize("is_new", [True, False])
async def test_the_tables_are_those_that_the_program_declares(empty: str, is_new: bool) -> None:
    if not is_new:
        await fill(empty)
    store = await opened(empty)

    def differences(connection: Connection) -> list[Any]:
        is_sqlite = connection.dialect.name == "sqlite"
        options = {
            "include_name": lambda name, kind, _: kind != "table" or name in METADATA.tables,
            # SQLite calls every double REAL, and lets a text key be NULL.
            "compare_type": not is_sqlite,
        }
        found = compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)
        return [one for one in found if not (is_sqlite and one[0][0] == "modify_nullable" and one[0][-1] is False)]

    assert await driver_for(empty).run_exclusively(differences) == []
    assert await store.read_version() == NEWEST
    await store.close()


async def test_a_migration_that_fails_leaves_the_store_as_it_was(old: str) -> None:
    # A table of the agency's own has the name that one of the last steps needs.
    await execute(old, "CREATE TABLE delivery_manifest (of_the_agency integer)")
    before = {table: await rows(old, table) for table in RENAMED}

    with pytest.raises(Exception, match="delivery_manifest"):
        await opened(old)

    assert {table: await rows(old, table) for table in RENAMED} == before
    await execute(old, "DROP TABLE delivery_manifest")
    store = await opened(old)
    assert await store.count_backlog() == (4, 5, 4)
    await store.close()


async def test_a_dry_run_changes_nothing(old: str) -> None:
    before = {table: await rows(old, table) for table in RENAMED}
    store = Store(driver_for(old))
    await store.connect()

    steps = await store.upgrade(dry_run=True)

    assert [step.revision for step in steps] == list(REVISIONS[1:])
    assert await store.read_version() == REVISIONS[0]
    assert {table: await rows(old, table) for table in RENAMED} == before
    await store.close()


async def test_a_store_of_a_newer_version_is_refused_with_what_to_do(old: str) -> None:
    await (await opened(old)).close()
    await execute(old, "UPDATE simpul_store_version SET version_num = '20991231_later'")
    before = {table: await rows(old, table) for table in RENAMED.values()}

    with pytest.raises(StoreNewer, match=r"20991231_later.*pip install --upgrade simpul-agency"):
        await opened(old)

    assert {table: await rows(old, table) for table in RENAMED.values()} == before


async def test_an_older_program_cannot_use_an_upgraded_store(old: str) -> None:
    await (await opened(old)).close()

    # The first things it does when it opens a store.
    await execute(old, "CREATE TABLE IF NOT EXISTS received (due_at double precision, state text)")
    with pytest.raises((sqlite3.OperationalError, asyncpg.PostgresError)):
        await execute(old, "CREATE INDEX IF NOT EXISTS received_due ON received (due_at) WHERE state = 'new'")


OPEN = """
import asyncio, os, sys
from simpul_agency.drivers import driver_for
from simpul_agency.migrations import upgrade
from simpul_agency.store import Store

async def main(url, dies):
    store = Store(driver_for(url))
    if dies:
        await store.connect()
        await driver_for(url).run_exclusively(lambda connection: upgrade(connection) and os._exit(9))
    await store.open()
    print(tuple(await store.count_backlog()))
    await store.close()

asyncio.run(main(sys.argv[1], len(sys.argv) > 2))
"""


async def run_apart(url: str, *more: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OPEN, url, *more, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode().strip()


@pytest.mark.parametrize("is_new", [True, False])
async def test_processes_that_open_a_store_at_once_wait_for_one_another(empty: str, is_new: bool) -> None:
    if not is_new:
        await fill(empty)

    assert (
        await asyncio.gather(*(run_apart(empty) for _ in range(4))) == [(0, "(0, 0, 0)" if is_new else "(4, 5, 4)")] * 4
    )


async def test_a_process_that_dies_in_a_migration_leaves_the_store_as_it_was(old: str) -> None:
    before = {table: await rows(old, table) for table in RENAMED}

    assert await run_apart(old, "dies") == (9, "")

    assert {table: await rows(old, table) for table in RENAMED} == before
    assert await run_apart(old) == (0, "(4, 5, 4)")


async def test_stores_of_one_process_can_be_opened_at_once(old: str, tmp_path: Path) -> None:
    urls = [old, *(f"sqlite:///{tmp_path / str(number)}.db" for number in range(3))]

    stores = await asyncio.gather(*map(opened, urls))

    assert [await store.read_version() for store in stores] == [NEWEST] * 4
    assert [await store.count_backlog() for store in stores] == [(4, 5, 4), *[(0, 0, 0)] * 3]
    await asyncio.gather(*(store.close() for store in stores))


def test_the_program_knows_exactly_the_migrations_that_it_brings() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(simpul_agency.migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)

    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(REVISIONS)


async def test_a_consumer_continues_with_an_upgraded_store(town: Town) -> None:
    path = town.folder / "agency.db"
    with sqlite3.connect(path) as database:
        database.executescript((STORES / f"{REVISIONS[0]}.sqlite.sql").read_text())
        for event_id, body in database.execute("SELECT event_id, body FROM reply").fetchall():
            # As that version signed: inside the body.
            inside = json.dumps(json.loads(body) | {"keyid": town.rings["ylpa"].keyid, "signature": "A" * 86})
            database.execute("UPDATE reply SET body = ? WHERE event_id = ?", (inside.encode(), event_id))
    database.close()
    agency = town.agency()
    await agency.start()

    unpublished = [uid(number) for number in (501, 502, 503, 504, 105)]

    async def are_published() -> bool:
        return {*unpublished} <= {event["id"] for event in town.received}

    await eventually(are_published)

    async def missing_is_requested() -> bool:
        return 5 in [request.get("first_manifest_number") for request in town.resend_requests()]

    await eventually(missing_is_requested)

    async def all_are_handled() -> bool:
        return (await agency.store.count_backlog())[0] == 0

    await eventually(all_are_handled)
    parked = await agency.store.list_parked()
    assert [await agency.replay_parked(one.name) for one in parked] == [True] * 4
    await agency.stop()
    # Published once each; the published ones of before are not sent again.
    ids = [event["id"] for event in town.received]
    assert all(ids.count(event_id) == 1 for event_id in unpublished)
    assert not any({"keyid", "signature"} & event.keys() for event in town.received)
    assert not {uid(number) for number in (101, 102, 103, 104)} & {*ids}
