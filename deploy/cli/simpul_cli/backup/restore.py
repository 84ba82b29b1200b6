"""Restores a backup into fresh servers, and publishes again what was on its way."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import pyrage

from simpul_agency.broker_api import BrokerApi
from simpul_city import City
from simpul_cli.backup import postgres_tools
from simpul_cli.backup.catalogue import Backup
from simpul_cli.backup.errors import BackupRefused
from simpul_cli.city_topology import build_city_topology
from simpul_cli.outbox import resend_published
from simpul_cli.reconciliation import Missing, find_missing
from simpul_cli.topology import apply_topology
from simpul_runtime.migrations import migrate_async
from simpul_runtime.revisions import newest_revision
from simpul_schema.names import broker_user

RESENT_TO_AGENCIES: Final = timedelta(days=1)
"""What was published to agencies so long before the backup is published again: it may have lain in a lost queue.

Agencies drop what they have; of anything older they miss, their next delivery manifest makes them request it.
"""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    migrated: Mapping[str, tuple[str, str]]
    """Service -> revision of the backup and of this version, where they differ."""
    users: int
    missing: list[Missing]
    """Events that receivers lacked, which are published again."""
    resent: int
    """Events to agencies that are published again."""


def check_readable(backup: Backup) -> None:
    """Raises BackupRefused for a damaged backup and for one of a newer version."""
    damaged = backup.find_damaged_files()
    if damaged:
        msg = f"{', '.join(damaged)} of {backup.name} are missing or damaged; use another backup"
        raise BackupRefused(msg)
    for service, database in backup.manifest.databases.items():
        if database.revision not in newest_revision(f"simpul_{service}")[1]:
            msg = (
                f"{backup.name} was made by a newer version ({service} is at revision {database.revision}): install "
                "that version or a later one, and restore with it"
            )
            raise BackupRefused(msg)


async def restore_databases(backup: Backup, databases: Mapping[str, str], identity: Any) -> dict[str, tuple[str, str]]:
    """Restores every database and brings it to the newest revision; returns which ones needed that.

    Raises BackupRefused, before anything is written, when a target is missing or has tables.
    """
    check_readable(backup)
    lacking = sorted(backup.manifest.databases.keys() - databases.keys())
    if lacking:
        msg = f"name the databases of {', '.join(lacking)} with --database"
        raise BackupRefused(msg)
    for service in backup.manifest.databases:
        await _check_empty(service, databases[service])
    migrated = {}
    for service, database in backup.manifest.databases.items():
        postgres_tools.restore(databases[service], backup.path_of(database.file), identity)
        newest = newest_revision(f"simpul_{service}")[0]
        if database.revision != newest:
            await migrate_async(databases[service], f"simpul_{service}")
            migrated[service] = (database.revision, newest)
    return migrated


async def restore_city(
    backup: Backup,
    databases: Mapping[str, str],
    api_url: str,
    city: City,
    identity: Any,
    now: datetime,
) -> Restored:
    """Restores databases and broker, and makes senders publish again what receivers lack."""
    if backup.manifest.city != city.code:
        msg = f"{backup.name} is of the city {backup.manifest.city}, not of {city.code}"
        raise BackupRefused(msg)
    migrated = await restore_databases(backup, databases, identity)
    users = await _restore_broker(backup, api_url, city, identity)
    missing = await find_missing(databases, city.code, since=datetime.min.replace(tzinfo=UTC), before=now, repair=True)
    since = backup.manifest.created_at - RESENT_TO_AGENCIES
    resent = await resend_published(databases["routing"], "routing", since, dry_run=False)
    return Restored(migrated, users, missing, resent)


async def _check_empty(service: str, url: str) -> None:
    try:
        connection: Any = await asyncpg.connect(url)
    except (OSError, asyncpg.PostgresError) as error:
        msg = f"the database for {service} cannot be used ({type(error).__name__}); create it first"
        raise BackupRefused(msg) from error
    try:
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    if tables:
        msg = f"the database for {service} has {tables} tables; a backup is restored only into an empty database"
        raise BackupRefused(msg)


async def _restore_broker(backup: Backup, api_url: str, city: City, identity: Any) -> int:
    """Declares the topology and gives agencies their broker users and passwords back; returns how many."""
    stored = read_definitions(backup, identity)
    ours = {broker_user(code) for code in city.agency_codes}
    definitions = {
        "users": [user for user in stored["users"] if user["name"] in ours],
        "permissions": [one for one in stored["permissions"] if one["user"] in ours],
        "topic_permissions": [one for one in stored["topic_permissions"] if one["user"] in ours],
    }
    async with BrokerApi(api_url) as api:
        await apply_topology(api, build_city_topology(city))
        await api.call("POST", "definitions", body=definitions)
    return len(definitions["users"])


def read_definitions(backup: Backup, identity: Any) -> dict[str, Any]:
    """Decrypts the broker's definitions; raises BackupRefused."""
    path: Path = backup.path_of(backup.manifest.broker)
    try:
        found: dict[str, Any] = json.loads(pyrage.decrypt(path.read_bytes(), [identity]))
    except (OSError, ValueError, pyrage.DecryptError) as error:
        msg = f"{path.name} cannot be decrypted with this key; it belongs to another one, or the file is damaged"
        raise BackupRefused(msg) from error
    return found
