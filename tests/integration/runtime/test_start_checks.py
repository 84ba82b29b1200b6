"""A service with an old schema, a wrong password or a missing queue says so in one sentence."""

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.migrations import migrate_async
from simpul_runtime.start_checks import find_broker_problems, find_database_problems
from simpul_seal import Directory, generate
from tests.integration.runtime.test_refused_connections import refusing_server
from tests.support.databases import create_migrated

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"


@pytest.fixture
async def database_url(backends: Backends) -> str:
    name = f"start_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"desk": name})
    return backends.database_url(name)


async def test_a_schema_that_was_not_migrated_is_named(database_url: str) -> None:
    empty = await find_database_problems(database_url, "desk", must_answer=True)
    await migrate_async(database_url, "simpul_desk", "+1")
    [older] = await find_database_problems(database_url, "desk", must_answer=True)
    await migrate_async(database_url, "simpul_desk")
    newest = await find_database_problems(database_url, "desk", must_answer=True)

    assert empty == ["the database has no tables: run `simpul migrate desk`"]
    assert older.startswith("the database is at revision ")
    assert older.endswith(": run `simpul migrate desk`")
    assert newest == []


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        (b"28P01", "the database refuses the login: its password is not that of SIMPUL_DATABASE_URL"),
        (b"3D000", "the server has no database of the name in SIMPUL_DATABASE_URL"),
        (b"57P03", ""),
    ],
)
async def test_a_refusal_of_the_database_is_one_sentence(sqlstate: bytes, expected: str) -> None:
    async with refusing_server(sqlstate) as url:
        found = await find_database_problems(url, "desk", must_answer=False)

    assert found == ([expected] if expected else [])


DEAD = "amqp://127.0.0.1:9/"


async def test_a_database_that_is_away_stops_no_start_but_a_replacement() -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"

    assert await find_database_problems(url, "desk", must_answer=False) == []
    assert await find_database_problems(url, "desk", must_answer=True) == ["the database does not answer"]


async def test_a_database_is_found_at_the_next_server_and_only_at_the_primary(backends: Backends) -> None:
    parts = urlsplit(await create_migrated(backends, "desk", f"primary_{uuid4().hex[:8]}"))
    servers = f"postgresql://{parts.username}@{parts.path}?host=127.0.0.1,{parts.hostname}&port=9,{parts.port}"
    found = f"{servers}&target_session_attrs=read-write"
    standby = f"{parts.geturl()}?target_session_attrs=standby"
    engine = create_engine(found, connections=1)
    async with engine.connect() as connection:
        port = await connection.scalar(text("SELECT inet_server_port()"))
    await engine.dispose()

    migrated = await asyncio.to_thread(CliRunner().invoke, app, ["migrate", "desk"], env={"SIMPUL_DATABASE_URL": found})

    assert port == parts.port
    assert migrated.exit_code == 0, migrated.output
    assert await find_database_problems(found, "desk", must_answer=True) == []
    assert await find_database_problems(standby, "desk", must_answer=False) == []
    assert await find_database_problems(standby, "desk", must_answer=True) == [
        "no server of SIMPUL_DATABASE_URL is the primary"
    ]


async def test_a_command_reaches_the_next_node_of_a_cluster(backends: Backends) -> None:
    sent = await asyncio.to_thread(
        CliRunner().invoke, app, ["topology", "resend", "parked.nothing"], env={"SIMPUL_AMQP_URL": f"{DEAD},{DEAD}"}
    )
    async with await BrokerAddresses(f"{DEAD},{backends.amqp_url}").connect() as connection:
        is_connected = not connection.is_closed

    assert is_connected
    assert sent.exit_code == 3
    assert sent.output.count("127.0.0.1:9") == 1


async def test_a_broker_that_cannot_be_used_is_one_sentence(backends: Backends) -> None:
    wrong = BrokerAddresses(f"amqp://nobody:wrong@{backends.amqp_url.rpartition('@')[2]}")
    right = BrokerAddresses(backends.amqp_url)

    assert await find_broker_problems(right, None) == []
    assert await find_broker_problems(BrokerAddresses(f"{DEAD},{backends.amqp_url}"), None) == []
    assert await find_broker_problems(BrokerAddresses(f"{DEAD}, {DEAD}"), None) == ["the broker does not answer"]
    assert await find_broker_problems(wrong, None) == [
        "the broker refuses the login: its password is not that of SIMPUL_AMQP_URL"
    ]
    assert await find_broker_problems(right, "no.such.queue") == [
        "the broker has no queue no.such.queue: run `simpul topology apply`"
    ]


def run_desk(environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "simpul_desk"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=180)


@pytest.mark.parametrize("wrong", ["", "schema", "key", "directory"])
async def test_a_service_that_only_checks_ends_with_one_sentence(
    wrong: str, database_url: str, backends: Backends, tmp_path: Path
) -> None:
    if wrong != "schema":
        await migrate_async(database_url, "simpul_desk")
    now = utc_now()
    ring, public = generate("routing" if wrong == "key" else "desk", not_before=now, not_after=now + timedelta(days=1))
    ring.write(tmp_path / "desk.key.json")
    Directory([public]).write(tmp_path / "directory.json")
    if wrong == "directory":
        (tmp_path / "directory.json").write_text("{")
    environment = {
        "PATH": os.environ["PATH"],
        "SIMPUL_DATABASE_URL": database_url,
        "SIMPUL_AMQP_URL": backends.amqp_url,
        "SIMPUL_KEY_FILE": str(tmp_path / "desk.key.json"),
        "SIMPUL_DIRECTORY_FILE": str(tmp_path / "directory.json"),
        "SIMPUL_CITY_DIR": str(KEDIRI),
        "SIMPUL_ROUTING_URL": "http://127.0.0.1:9",
        "SIMPUL_INTAKE_URL": "http://127.0.0.1:9",
        "SIMPUL_CHECK_ONLY": "true",
    }

    done = await asyncio.to_thread(run_desk, environment)

    lines = [line for line in done.stderr.splitlines() if line]
    expected: dict[str, list[str | None]] = {
        # The queue exists only where this run has applied the topology.
        "": ["desk: the broker has no queue desk.inbox: run `simpul topology apply`", None],
        "schema": ["desk: the database has no tables: run `simpul migrate desk`"],
        "key": [f"{tmp_path}/desk.key.json has the keys of routing, not of desk"],
        "directory": [f"{tmp_path}/desk.key.json or {tmp_path}/directory.json is damaged: restore the backup"],
    }
    assert (lines[0] if lines else None) in expected[wrong]
    assert len(lines) <= 1
    assert done.returncode == (1 if lines else 0)
