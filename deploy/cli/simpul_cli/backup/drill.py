"""The monthly restore drill: restores a backup into databases of its own, compares them, and deletes them."""

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from simpul_cli.backup.catalogue import Backup
from simpul_cli.backup.recipient import read_identity
from simpul_cli.backup.restore import read_definitions, restore_databases
from simpul_cli.backup.secrets import unpack_secrets
from simpul_cli.backup.state import read_state
from simpul_cli.databases import create_databases
from simpul_cli.doctor.checks.vault import CHECKS as VAULT_CHECKS
from simpul_cli.doctor.probes.vault import collect as open_sealed_rows
from simpul_cli.languages import Message
from simpul_runtime.audit import verify_audit
from simpul_runtime.database import create_engine, utc_now


@dataclass(frozen=True, slots=True)
class Comparison:
    """One value of one database, as it was backed up and as it was restored."""

    service: str
    name: str
    expected: str
    found: str

    @property
    def is_same(self) -> bool:
        """Whether the restored database shows what was backed up."""
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What a drill found."""

    backup: str
    age: timedelta
    took: timedelta
    """The time until every database was restored and compared."""
    comparisons: list[Comparison]
    audit_problems: Mapping[str, int]
    """Service -> contradictions in its restored audit."""
    broker_users: int
    sealed_problems: list[Message] | None
    """What cannot be opened with the secrets of the backup; None if the secrets were not there."""

    @property
    def passed(self) -> bool:
        """Whether this backup brings the city back."""
        return (
            all(one.is_same for one in self.comparisons)
            and not any(self.audit_problems.values())
            and not self.sealed_problems
        )


async def run_drill(backup: Backup, server_url: str, identity_file: Path, *, secrets: Path | None) -> DrillReport:
    """Restores a backup into databases of its own and compares it with what was recorded; changes nothing else."""
    identity, began = read_identity(identity_file), utc_now()
    async with _own_databases(server_url, list(backup.manifest.databases)) as databases:
        await restore_databases(backup, databases, identity)
        comparisons, audit_problems = [], {}
        for service, url in databases.items():
            comparisons += await _compare(backup, service, url)
            audit_problems[service] = await _count_audit_problems(url)
        users = read_definitions(backup, identity)["users"]
        sealed = await _open_rows(databases, secrets, identity) if secrets else None
    return DrillReport(
        backup.name,
        began - backup.manifest.created_at,
        utc_now() - began,
        comparisons,
        audit_problems,
        len([user for user in users if user["name"].startswith("agency.")]),
        sealed,
    )


def to_json(report: DrillReport, now: datetime) -> dict[str, object]:
    """Returns what is stored of a report: codes, digests and counts."""
    return {
        "passed": report.passed,
        "backup": report.backup,
        "at": now.isoformat(),
        "age_seconds": int(report.age.total_seconds()),
        "took_seconds": round(report.took.total_seconds(), 1),
        "broker_users": report.broker_users,
        "audit_problems": dict(report.audit_problems),
        "sealed_problems": None if report.sealed_problems is None else [str(one) for one in report.sealed_problems],
        "compared": {f"{one.service}.{one.name}": one.is_same for one in report.comparisons},
    }


@asynccontextmanager
async def _own_databases(server_url: str, services: list[str]) -> AsyncIterator[dict[str, str]]:
    """Creates an empty database for each service, and drops them at the end."""
    mark = uuid4().hex[:8]
    names = {service: f"drill_{mark}_{service}" for service in services}
    await create_databases(server_url, names)
    try:
        yield {service: urlunsplit(urlsplit(server_url)._replace(path=f"/{name}")) for service, name in names.items()}
    finally:
        connection: Any = await asyncpg.connect(server_url)
        try:
            for name in names.values():
                await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        finally:
            await connection.close()


async def _compare(backup: Backup, service: str, url: str) -> list[Comparison]:
    connection: Any = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            found = await read_state(connection, service)
    finally:
        await connection.close()
    expected = backup.manifest.databases[service].state
    return [Comparison(service, name, expected[name], found.get(name, "")) for name in expected]


async def _count_audit_problems(url: str) -> int:
    engine = create_engine(url, connections=2)
    try:
        async with engine.connect() as connection:
            return len((await verify_audit(connection)).problems)
    finally:
        await engine.dispose()


async def _open_rows(databases: Mapping[str, str], secrets: Path, identity: Any) -> list[Message]:
    """Opens every sealed row of the restored databases with the keys of the restored secrets."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        unpack_secrets(secrets, data, identity)
        facts = await open_sealed_rows(data, intake_url=databases["intake"], routing_url=databases["routing"])
    return [finding.cause for check in VAULT_CHECKS for finding in check(facts)]
