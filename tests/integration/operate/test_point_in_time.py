"""The whole server is restored to a second between two reports, by pgBackRest on a real PostgreSQL."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from simpul_agency.sandbox.process import free_port
from simpul_cli.app import app
from simpul_cli.databases import create_databases, migrate_services
from simpul_runtime.database import utc_now
from tests.support.debian import need
from tests.support.ledger import eventually

BINARIES = Path("/usr/lib/postgresql/15/bin")
ENTRY = "INSERT INTO stream (subject, last) VALUES ($1, 1)"


@dataclass
class Server:
    """A PostgreSQL of Debian whose write-ahead log is archived, and the settings of pgBackRest."""

    folder: Path
    port: int

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def run(self, *command: str | Path) -> None:
        """Runs a program as the account that PostgreSQL belongs to."""
        done = subprocess.run(
            command,
            user="postgres" if os.geteuid() == 0 else None,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "PGBACKREST_CONFIG": str(self.folder / "pgbackrest.conf")},
            cwd=self.folder,
        )
        assert done.returncode == 0, (command, done.stdout + done.stderr)

    def start(self) -> None:
        self.run(BINARIES / "pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "-t", "120", "start")

    def stop(self) -> None:
        self.run(BINARIES / "pg_ctl", "-D", self.data, "-m", "fast", "-w", "-t", "120", "stop")

    def empty(self) -> None:
        """Loses the disk of the server."""
        shutil.rmtree(self.data)
        self.run("mkdir", "--mode=700", self.data)

    def simpul(self, *arguments: str) -> Result:
        settings = {"PGBACKREST_CONFIG": str(self.folder / "pgbackrest.conf")}
        return CliRunner().invoke(app, ["backup", "pitr", *arguments], env=settings)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    need((str(BINARIES / "postgres"), "pgbackrest"), ("postgresql-15", "pgbackrest"))
    made = Server(Path(f"/tmp/simpul-pitr-{uuid4().hex[:8]}"), free_port())
    made.folder.mkdir()
    for name in ("repository", "run"):
        (made.folder / name).mkdir()
    config = made.folder / "pgbackrest.conf"
    config.write_text(
        f"[global]\nrepo1-path={made.folder}/repository\nrepo1-retention-full=2\nrepo1-cipher-type=aes-256-cbc\n"
        f"repo1-cipher-pass={uuid4().hex}\nstart-fast=y\nlock-path={made.folder}/run\nspool-path={made.folder}/run\n"
        f"log-path={made.folder}/run\n[simpul]\npg1-path={made.data}\npg1-port={made.port}\npg1-user=postgres\n"
        f"pg1-socket-path={made.folder}/run\n"
    )
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        for path in (made.folder, *made.folder.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    try:
        made.run(BINARIES / "initdb", "-D", made.data, "-U", "postgres", "--auth=trust")
        archive = f"PGBACKREST_CONFIG={config} pgbackrest --stanza=simpul archive-push %p"
        settings = {
            "port": str(made.port),
            "listen_addresses": "'127.0.0.1'",
            "unix_socket_directories": f"'{made.folder}/run'",
            "archive_mode": "on",
            "archive_command": f"'{archive}'",
            "wal_level": "replica",
        }
        with (made.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        made.start()
        made.run("pgbackrest", "--stanza=simpul", "stanza-create")
        yield made
    finally:
        if (made.data / "postmaster.pid").exists():
            made.stop()
        shutil.rmtree(made.folder, ignore_errors=True)


async def report(server: Server, case_id: UUID) -> datetime:
    """Stores a report at intake and what routing made of it; returns a moment after both."""
    for service in ("intake", "routing"):
        connection = await asyncpg.connect(server.database_url(service))
        await connection.execute(ENTRY, f"case/{case_id}")
        await connection.close()
    connection = await asyncpg.connect(server.url)
    moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    await connection.close()
    return moment


async def cases(server: Server, service: str) -> set[str]:
    connection = await asyncpg.connect(server.database_url(service))
    found = {row["subject"] for row in await connection.fetch("SELECT subject FROM stream")}
    await connection.close()
    return found


async def test_every_database_comes_back_as_it_was_between_two_reports(server: Server) -> None:
    names = {service: service for service in ("intake", "routing")}
    await create_databases(server.url, names)
    await migrate_services({service: server.database_url(service) for service in names})
    made = server.simpul("create")
    assert made.exit_code == 0, made.output
    first, second = uuid4(), uuid4()
    between = await report(server, first)

    await report(server, second)
    assert server.simpul("restore", "--to", between.isoformat()).exit_code == 2
    server.stop()
    server.empty()
    restored = server.simpul("restore", "--to", between.isoformat())
    assert restored.exit_code == 0, restored.output + restored.stderr
    assert "simpul backup pitr create" in restored.output
    await start_and_replay(server)

    for service in names:
        assert await cases(server, service) == {f"case/{first}"}, service


async def start_and_replay(server: Server) -> None:
    async def is_writable() -> bool:
        connection = await asyncpg.connect(server.url)
        try:
            return not await connection.fetchval("SELECT pg_is_in_recovery()")
        finally:
            await connection.close()

    server.start()
    await eventually(is_writable)


async def test_a_restored_server_is_restored_again_from_a_copy_that_leads_to_it(server: Server) -> None:
    names = {service: service for service in ("intake", "routing")}
    await create_databases(server.url, names)
    await migrate_services({service: server.database_url(service) for service in names})
    assert server.simpul("create").exit_code == 0
    first, lost, later, last = (uuid4() for _ in range(4))
    between = await report(server, first)
    await report(server, lost)
    # A copy of what the restore leaves behind; it is the newest one until somebody makes another.
    assert server.simpul("create").exit_code == 0
    server.stop()
    server.empty()
    assert server.simpul("restore", "--to", between.isoformat()).exit_code == 0
    await start_and_replay(server)
    moment = await report(server, later)
    await report(server, last)

    listed = server.simpul("list").output.splitlines()
    server.stop()
    server.empty()
    restored = server.simpul("restore", "--to", moment.isoformat())
    assert restored.exit_code == 0, restored.output + restored.stderr
    await start_and_replay(server)

    assert [line.endswith("of a server that a later restore has left") for line in listed] == [False, True]
    assert restored.output.startswith(listed[0].partition(" ")[0])
    for service in names:
        assert await cases(server, service) == {f"case/{first}", f"case/{later}"}, service


def test_a_moment_that_no_backup_reaches_is_refused(server: Server) -> None:
    assert server.simpul("create").exit_code == 0
    listed = server.simpul("list")

    early = server.simpul("restore", "--to", "400d")
    late = server.simpul("restore", "--to", (utc_now() + timedelta(hours=1)).isoformat())

    assert "full" in listed.output
    assert server.simpul("verify").exit_code == 0
    assert {early.exit_code, late.exit_code} == {2}
    assert "no backup of simpul reaches" in early.output + early.stderr
    assert "is not a time" in server.simpul("restore", "--to", "yesterday").stderr


def test_a_damaged_repository_is_found(server: Server) -> None:
    assert server.simpul("create").exit_code == 0
    content = next((server.folder / "repository" / "backup").rglob("PG_VERSION*"))
    content.write_bytes(b"damaged")

    found = server.simpul("verify")

    assert found.exit_code == 1, found.output
