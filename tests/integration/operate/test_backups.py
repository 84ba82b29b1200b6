"""A backup of a running city under load is restored, and nothing that was answered with 202 is lost."""

import asyncio
import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from typer.testing import CliRunner, Result

from simpul_cli.app import app
from simpul_cli.backup.snapshot import hold_snapshots
from simpul_cli.databases import create_databases
from simpul_dev.local_city import LocalCity
from simpul_runtime.migrations import migrate_async
from simpul_schema.catalog import SERVICES
from tests.support.ledger import post_until_accepted, settle
from tests.support.reports import a_report


@pytest.fixture
def run(environment: dict[str, str]) -> Any:
    def call(*arguments: str, **changed: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env=environment | changed)

    return call


def start_reporting(city: LocalCity, accepted: list[str], ends: threading.Event) -> threading.Thread:
    """Sends reports from a thread of its own until the event is set."""

    async def report() -> None:
        async with aiohttp.ClientSession() as session:
            while not ends.is_set():
                accepted.append(await post_until_accepted(session, city, a_report()))

    thread = threading.Thread(target=lambda: asyncio.run(report()))
    thread.start()
    return thread


async def fetch(url: str, statement: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(statement, *values)]
    finally:
        await connection.close()


async def create_fresh(city: LocalCity, mark: str) -> dict[str, str]:
    names = {service: f"fresh_{mark}_{service}" for service in SERVICES}
    await create_databases(city.backends.postgres_url, names)
    return {service: city.backends.database_url(name) for service, name in names.items()}


def test_a_city_is_backed_up_under_load_drilled_and_restored(
    city: LocalCity, run: Any, tmp_path: Path, environment: dict[str, str]
) -> None:
    identity, ends = str(tmp_path / "operator.key"), threading.Event()
    accepted: list[str] = []
    reporting = start_reporting(city, accepted, ends)
    try:
        made = [run("backup", "key", "--to", identity), run("backup", "create"), run("backup", "verify", "latest")]
    finally:
        ends.set()
        reporting.join()
    asyncio.run(settle(city, set(accepted)))

    assert [one.exit_code for one in made] == [0, 0, 0], [one.output for one in made]
    assert run("backup", "verify", "latest", "--identity", identity).exit_code == 0

    drill = run("backup", "drill", "--identity", identity)

    assert drill.exit_code == 0, drill.output
    assert "routing clocks: same" in drill.output
    assert "intake audit: 0 contradictions" in drill.output
    assert "secrets: they open every sealed row" in drill.output
    assert (
        asyncio.run(fetch(city.backends.postgres_url, "SELECT datname FROM pg_database WHERE datname LIKE 'drill_%'"))
        == []
    )

    urls = asyncio.run(create_fresh(city, uuid4().hex[:6]))
    databases = " ".join(f"{service}={url}" for service, url in urls.items())
    restored = run("backup", "restore", "latest", "--identity", identity, SIMPUL_DATABASES=databases)
    again = run("backup", "restore", "latest", "--identity", identity, SIMPUL_DATABASES=databases)
    unpacked = run("backup", "secrets", "latest", "--identity", identity, "--to", str(tmp_path / "machine"))

    assert restored.exit_code == 0, restored.output
    assert (again.exit_code, "restored only into an empty database" in again.output) == (2, True)
    assert unpacked.exit_code == 0
    kept = (tmp_path / "machine" / "secrets" / "vault.key").read_bytes()
    assert kept == (Path(environment["SIMPUL_DATA_DIR"]) / "secrets" / "vault.key").read_bytes()
    asyncio.run(assert_nothing_is_lost(urls))


async def assert_nothing_is_lost(urls: dict[str, str]) -> None:
    """Every restored report has its case in routing, or waits in the outbox for it; no receiver is ahead."""
    reported = "SELECT event_id FROM outbox WHERE routing_key = 'case.reported.v1'"
    seen = "SELECT event_id FROM inbox WHERE type = 'case.reported.v1'"
    sent, waiting = (
        set(await fetch(urls["intake"], reported)),
        set(
            await fetch(urls["intake"], f"{reported} AND published_at IS NULL"),
        ),
    )
    known = set(await fetch(urls["routing"], seen))

    assert sent
    assert known <= sent
    assert sent <= known | waiting


def test_backups_say_in_one_sentence_why_they_cannot_be_used(
    run: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    identity, folder = str(tmp_path / "operator.key"), Path(environment["SIMPUL_BACKUP_DIR"])
    without_key = run("backup", "create")
    run("backup", "key", "--to", identity)
    twice = run("backup", "key", "--to", str(tmp_path / "other.key"))
    assert run("backup", "create").exit_code == 0
    [manifest] = folder.glob("*/manifest.json")
    written = json.loads(manifest.read_text())

    def verified(**changes: Any) -> str:
        manifest.write_text(json.dumps(written | changes))
        return str(run("backup", "verify", manifest.parent.name).output)

    newer = {**written["databases"], "desk": {**written["databases"]["desk"], "revision": "20270101_unknown"}}
    wrong_key = tmp_path / "wrong.key"
    run("backup", "key", "--to", str(wrong_key), SIMPUL_BACKUP_DIR=str(tmp_path / "elsewhere"))

    assert "run `simpul backup key --to FILE`" in without_key.output
    assert (twice.exit_code, "older backups need its key" in twice.output) == (2, True)
    assert "was made by a newer version (desk is at revision 20270101_unknown)" in verified(databases=newer)
    assert "the backup has format 9" in verified(format=9)
    assert "every file is unchanged" in verified()
    assert "cannot be decrypted with this key" in run("backup", "drill", "--identity", str(wrong_key)).output
    assert "there is no backup 2020" in run("backup", "verify", "2020").output
    (manifest.parent / "routing.dump.age").write_bytes(b"damaged")
    assert "routing.dump.age of" in run("backup", "verify").output


async def test_snapshots_of_two_databases_show_one_moment(city: LocalCity) -> None:
    urls = await create_fresh(city, uuid4().hex[:6])
    pair = {service: urls[service] for service in ("intake", "desk")}
    for service, url in pair.items():
        await migrate_async(url, f"simpul_{service}")
    writing = asyncio.create_task(write_and_deliver(pair))
    try:
        for _ in range(5):
            async with hold_snapshots(pair) as snapshots:
                sent, received = [await count_in(pair[service], snapshots[service].exported_id) for service in pair]
                assert received <= sent
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing


async def write_and_deliver(pair: dict[str, str]) -> None:
    """Writes events in one database, and what a receiver stores of each in another, as quickly as possible."""
    sender, receiver = await asyncpg.connect(pair["intake"]), await asyncpg.connect(pair["desk"])
    add = (
        "INSERT INTO outbox (message_id, exchange, routing_key, body, event_id, correlation_id, due_at) "
        "VALUES ($1, 'e', 'k', '', $1, $1, now())"
    )
    try:
        while True:
            event = uuid4()
            await sender.execute(add, event)
            await receiver.execute(add, event)
    finally:
        sender.terminate()
        receiver.terminate()


async def count_in(url: str, snapshot: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            return int(await connection.fetchval("SELECT count(*) FROM outbox"))
    finally:
        await connection.close()
