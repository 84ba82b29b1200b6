"""A store of an earlier version is upgraded without losing a row, and work goes on where it stood.

`stores/` has a store as the version of 24 November 2026 left it, with invented data: a row in every table and state.
"""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import simpul_agency.migrations
from simpul_agency.drivers import driver_for
from simpul_agency.records import Arrived, Draft, Handled, SignedBody
from simpul_agency.store import Store, StoreNewer
from simpul_agency.store.tables import METADATA
from simpul_agency.store.version import NEWEST, REVISIONS
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from tests.integration.agency.conftest import Town
from tests.support.ledger import eventually

STORES = Path(__file__).with_name("stores")
SOURCE = "/kediri/routing"
NOW = 1_760_000_000.0
RENAMED = {
    "received": "inbox_message", "unreadable": "parked_message", "reply": "outbox_message", "stream": "outbox_stream",
    "account": "manifest_entry", "city": "delivery_manifest",
}  # fmt: skip
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


async def fill(url: str) -> None:
    await execute(url, (STORES / f"{REVISIONS[0]}.{url.partition(':')[0]}.sql").read_text())


async def opened(url: str) -> Store:
    store = Store(driver_for(url))
    await store.open()
    return store


def a_draft(subject: str) -> Draft:
    return Draft(
        subject,
        "reply.referral.accepted.v1",
        str(uuid4()),
        str(uuid4()),
        lambda number: SignedBody(b"%d" % number, "s"),
    )


def no_report(reason: str, digest: str, event_id: str | None) -> Draft:
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


async def test_work_goes_on_where_it_stood(old: str) -> None:
    store = await opened(old)

    assert await store.backlog() == (4, 5, 4)
    # What waits for its handler, with its attempts; the first that is due is the first to be called.
    due, waiting, _ = await store.due(NOW + 2000, 60.0, 10)
    assert [(one.event_id, one.attempts) for one in due] == [(uid(3), 0), (uid(41), 0), (uid(11), 0), (uid(2), 2)]
    assert [one.event_id for one in (await store.due(NOW + 10, 60.0, 10))[0]] == [uid(3)]
    assert waiting == 4
    # What is missing in a stream, and in the manifests.
    gaps, _ = await store.gaps(NOW + 10)
    assert {(gap.subject, gap.sequence, gap.before is None) for gap in gaps} == {
        (referral(1), 3, False), (referral(4), 2, True),
    }  # fmt: skip
    [city] = await store.settle()
    assert (city.last_number, city.settled, city.holes) == (9, 4, ((5, 5), (8, 9)))
    # Replies in their order, and the next ones behind them.
    unpublished = await store.unpublished(10)
    assert [reply.event_id for reply in unpublished] == [uid(number) for number in (501, 502, 503, 504, 105)]
    [reply] = await store.finish([Handled(SOURCE, uid(2), (a_draft(referral(2)),))])
    assert reply.body == b"2"
    assert (await store.unpublished(10))[-1] == reply
    await store.published([*unpublished, reply], NOW + 2000)
    assert await store.unpublished(10) == []
    # What is parked can be read again.
    parked = {entry.reason: entry.name for entry in await store.parked()}
    assert parked.keys() == {"cannot_open", "malformed", "unknown_type", "id_reused"}
    aside = await store.set_aside(parked["cannot_open"])
    assert aside is not None
    # It was verified when it came, by a version that kept no signature beside it.
    assert (aside.was_verified, aside.signature) == (True, "")
    usable = Arrived(SOURCE, uid(5), referral(5), 1, "referral.offered.v1", aside.body)
    ready, _ = await store.take([usable], NOW + 2000, no_report, instead_of=parked["cannot_open"])
    assert [one.event_id for one in ready] == [uid(5)]
    # An event that came before the upgrade is known.
    [first] = [stream for stream in await store.streams(10) if uid(1001) in stream.offer.decode()]
    again = Arrived(SOURCE, uid(1), referral(1), 1, "referral.offered.v1", first.offer)
    assert await store.take([again], NOW + 2000, no_report) == ([], [])
    assert first.replies == tuple(f"reply.referral.{name}.v1" for name in ("delivered", "accepted", "started"))
    await store.close()


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
    assert await store.version() == NEWEST
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
    assert await store.backlog() == (4, 5, 4)
    await store.close()


async def test_a_dry_run_changes_nothing(old: str) -> None:
    before = {table: await rows(old, table) for table in RENAMED}
    store = Store(driver_for(old))
    await store.connect()

    steps = await store.upgrade(dry_run=True)

    assert [step.revision for step in steps] == list(REVISIONS[1:])
    assert await store.version() == REVISIONS[0]
    assert {table: await rows(old, table) for table in RENAMED} == before
    await store.close()


async def test_a_store_of_a_newer_version_is_refused_with_what_to_do(old: str) -> None:
    await (await opened(old)).close()
    await execute(old, "UPDATE simpul_store_version SET version_num = '20991231_later'")
    before = {table: await rows(old, table) for table in RENAMED.values()}

    with pytest.raises(StoreNewer, match=r"20991231_later.*pip install --upgrade simpul-agency"):
        await opened(old)

    assert {table: await rows(old, table) for table in RENAMED.values()} == before


async def test_the_version_before_does_not_begin_with_nothing_in_an_upgraded_store(old: str) -> None:
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
    print(await store.backlog())
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

    assert [await store.version() for store in stores] == [NEWEST] * 4
    assert [await store.backlog() for store in stores] == [(4, 5, 4), *[(0, 0, 0)] * 3]
    await asyncio.gather(*(store.close() for store in stores))


def test_the_program_knows_exactly_the_migrations_that_it_brings() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(simpul_agency.migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)

    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(REVISIONS)


async def test_a_consumer_goes_on_with_the_store_of_the_version_before(town: Town) -> None:
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
        return {*unpublished} <= {event["id"] for event in town.heard}

    await eventually(are_published, 20)

    async def missing_is_requested() -> bool:
        return 5 in [window.get("first_number") for window in town.windows()]

    await eventually(missing_is_requested, 20)

    async def all_are_handled() -> bool:
        return (await agency.store.backlog())[0] == 0

    await eventually(all_are_handled, 20)
    parked = await agency.store.parked()
    assert [await agency.replay(one.name) for one in parked] == [True] * 4
    await agency.stop()
    # Published once each; the published ones of before are not sent again.
    ids = [event["id"] for event in town.heard]
    assert all(ids.count(event_id) == 1 for event_id in unpublished)
    assert not any({"keyid", "signature"} & event.keys() for event in town.heard)
    assert not {uid(number) for number in (101, 102, 103, 104)} & {*ids}
