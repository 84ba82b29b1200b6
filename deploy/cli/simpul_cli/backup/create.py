"""Makes a backup: complete, or not there."""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from simpul_agency.broker_api import BrokerApi
from simpul_cli.backup import postgres_tools
from simpul_cli.backup.catalogue import NAME_FORMAT, UNFINISHED, Backup, describe_file
from simpul_cli.backup.manifest import MANIFEST_FILE, DatabaseBackup, Manifest
from simpul_cli.backup.recipient import read_recipient
from simpul_cli.backup.secrets import archive_secrets
from simpul_cli.backup.snapshot import Snapshot, hold_snapshots


async def create_backup(
    folder: Path, databases: Mapping[str, str], api_url: str, *, data: Path | None, city: str, now: datetime
) -> Backup:
    """Makes a backup of all databases at one moment, of the broker's definitions and of the secrets.

    Raises BackupRefused. What an interrupted run leaves is named `.unfinished` and never counts as a backup.
    """
    recipient = read_recipient(folder)
    name = claim_name(folder, now)
    stage, secrets = folder / f"{name}{UNFINISHED}", folder / f"secrets-{name}.tar.age"
    async with hold_snapshots(databases) as snapshots:
        dumped = await asyncio.to_thread(_dump_all, databases, snapshots, stage, recipient)
    await _store_definitions(api_url, stage / "broker.json.age", recipient)
    if data:
        unfinished = folder / f"{secrets.name}{UNFINISHED}"
        archive_secrets(data, unfinished, recipient)
        unfinished.replace(secrets)
    manifest = Manifest(
        city,
        max(snapshot.taken_at for snapshot in snapshots.values()),
        dumped,
        describe_file(stage / "broker.json.age"),
        describe_file(secrets) if data else None,
    )
    (stage / MANIFEST_FILE).write_text(manifest.to_json())
    return Backup(stage.rename(folder / name), manifest)


def claim_name(folder: Path, now: datetime) -> str:
    """Makes the folder of an unfinished backup and returns its name: the first free second from `now` on.

    Two backups that begin within one second get a name each.
    """
    while True:
        name = f"{now:{NAME_FORMAT}}"
        if not (folder / name).exists():
            try:
                (folder / f"{name}{UNFINISHED}").mkdir(mode=0o700)
            except FileExistsError:
                pass
            else:
                return name
        now += timedelta(seconds=1)


def _dump_all(
    databases: Mapping[str, str], snapshots: Mapping[str, Snapshot], stage: Path, recipient: Any
) -> dict[str, DatabaseBackup]:
    """Dumps two databases at a time."""

    def dump(service: str) -> DatabaseBackup:
        path, snapshot = stage / f"{service}.dump.age", snapshots[service]
        postgres_tools.dump(databases[service], snapshot.exported_id, path, recipient)
        return DatabaseBackup(describe_file(path), snapshot.revision, snapshot.state)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(databases, pool.map(dump, databases), strict=True))


async def _store_definitions(api_url: str, path: Path, recipient: Any) -> None:
    """Stores users with hashed passwords, permissions, policies, exchanges, queues and bindings."""
    async with BrokerApi(api_url) as api:
        definitions = await api.call("GET", "definitions", "{vhost}")
        users = await api.call("GET", "users") or []
        permissions = await api.call("GET", "permissions") or []
        topics = await api.call("GET", "topic-permissions") or []
    stored = {**definitions, "users": users, "permissions": permissions, "topic_permissions": topics}
    content = pyrage.encrypt(json.dumps(stored).encode(), [recipient])
    await asyncio.to_thread(path.write_bytes, content)
