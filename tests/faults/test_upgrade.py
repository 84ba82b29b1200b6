"""An upgrade that is killed at any statement leaves the database as it was, so that the version before starts again."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_cli.databases import create_databases
from simpul_cli.upgrade import find_steps, scripts_of
from simpul_dev.backends import Backends
from simpul_runtime.migrations import migrate_async
from simpul_schema.catalog import SERVICES
from tests.support.doomed_migration import read_schema

ROOT = Path(__file__).parents[2]
POINTS = 6
"""Statements before which each service's upgrade is killed."""


def revision_before(service: str) -> str:
    """Returns the revision from which half of a service's migrations are left to do."""
    steps = list(find_steps(scripts_of(service), None))
    return steps[len(steps) // 2 - 1].revision


async def create_older(backends: Backends, service: str, count: int) -> list[str]:
    first, *copies = [f"upgrade_{uuid4().hex[:8]}" for _ in range(count)]
    await create_databases(backends.postgres_url, {service: first})
    await migrate_async(backends.database_url(first), f"simpul_{service}", revision_before(service))
    server = await asyncpg.connect(backends.postgres_url)
    try:
        for name in copies:
            await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{first}"')
    finally:
        await server.close()
    return [backends.database_url(name) for name in (first, *copies)]


def check(service: str, url: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["upgrade", "--check", "--database", f"{service}={url}"])
    return done.exit_code, done.output


@pytest.mark.parametrize("service", SERVICES)
def test_an_upgrade_that_is_killed_at_any_statement_changes_nothing_and_then_succeeds(
    backends: Backends, service: str
) -> None:
    counted, interrupted = asyncio.run(create_older(backends, service, 2))
    before = asyncio.run(read_schema(interrupted))
    announced = check(service, interrupted)
    command = [sys.executable, "-m", "tests.support.doomed_migration", service, counted, interrupted, str(POINTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    killed_at, signals, schemas = zip(*found["runs"], strict=True)
    assert len(killed_at) >= POINTS
    assert (min(killed_at), max(killed_at)) == (0, found["total"] - 1)
    assert set(signals) == {signal.SIGKILL}
    # The version before finds its own tables and its own revision, whatever statement was the last.
    assert set(schemas) == {before}
    assert found["after_commit"] == [found["total"], signal.SIGKILL, found["complete"]]
    left = len(list(find_steps(scripts_of(service), revision_before(service))))
    assert (announced[0], f"{service}: {left} migrations, about" in announced[1]) == (0, True)
    assert f"{service}: nothing to do, at revision" in check(service, interrupted)[1]


def test_an_upgrade_of_a_newer_database_is_refused_beforehand(backends: Backends) -> None:
    [url] = asyncio.run(create_older(backends, "intake", 1))
    asyncio.run(set_revision(url, "20991231_future"))

    code, output = check("intake", url)

    assert code == 1
    assert "intake: revision 20991231_future is of a newer version; this one cannot upgrade it" in output


async def set_revision(url: str, revision: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("UPDATE alembic_version SET version_num = $1", revision)
    finally:
        await connection.close()
