"""Restores every database to any second, by pgBackRest on the machine of PostgreSQL.

pgBackRest copies the whole server and archives what it writes, so all databases come back at one moment. It reads its
own configuration: which server, which repository, and how that is encrypted.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from simpul_cli.backup.errors import BackupRefused

PROGRAM: Final = "pgbackrest"
_DAMAGE: Final = re.compile(r"status: (?:error|invalid)|(?:missing|invalid|other): [1-9]")
QUIET: Final = ("--log-level-console=off", "--log-level-stderr=error", "--log-level-file=off")


@dataclass(frozen=True, slots=True)
class ServerBackup:
    """A copy of the whole server, from which any later moment is reached."""

    label: str
    kind: str
    """`full`, `diff` or `incr`."""
    finished_at: datetime
    """The earliest moment that this backup restores."""
    size: int
    """Bytes of the databases."""


def create_server_backup(stanza: str) -> ServerBackup:
    """Checks that PostgreSQL archives what it writes, and copies the server; raises BackupRefused."""
    list_server_backups(stanza)
    _run(stanza, "check")
    _run(stanza, "backup")
    return list_server_backups(stanza)[-1]


def list_server_backups(stanza: str) -> list[ServerBackup]:
    """Lists the complete backups, the newest last; raises BackupRefused for a repository that is not encrypted."""
    found: dict[str, Any] = next(iter(json.loads(_run(stanza, "info", "--output=json"))), {})
    if found.get("cipher", "none") == "none":
        msg = f"the repository of {stanza} is not there or not encrypted: set repo1-cipher-type, then stanza-create"
        raise BackupRefused(msg)
    return [_read_backup(one) for one in found["backup"] if not one.get("error")]


def verify_server_backups(stanza: str) -> int:
    """Reads every file of the repository and compares it with its digest; returns how many backups are whole."""
    report = _run(stanza, "verify", "--output=text", "--verbose")
    # Some versions end with 0 although a file is damaged.
    if _DAMAGE.search(report):
        msg = f"the repository of {stanza} has damaged or missing files; `pgbackrest verify --verbose` names them"
        raise BackupRefused(msg)
    return len(list_server_backups(stanza))


def restore_server(stanza: str, to: datetime, now: datetime) -> ServerBackup:
    """Restores the server's files into its empty folder, to be replayed to a moment when PostgreSQL starts.

    Raises BackupRefused for a moment that no backup reaches, while PostgreSQL runs, and for a folder that has files.
    """
    reaching = [backup for backup in list_server_backups(stanza) if backup.finished_at <= to]
    if not reaching or to > now:
        moment = f"{to:%Y-%m-%d %H:%M:%S %Z}"
        msg = f"no backup of {stanza} reaches {moment}; `simpul backup pitr list` shows what they reach"
        raise BackupRefused(msg)
    target = f"--target={to.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
    _run(stanza, "restore", "--type=time", target, "--target-action=promote", f"--set={reaching[-1].label}")
    return reaching[-1]


def _read_backup(found: dict[str, Any]) -> ServerBackup:
    finished_at = datetime.fromtimestamp(found["timestamp"]["stop"], UTC)
    return ServerBackup(found["label"], found["type"], finished_at, found["info"]["size"])


def _run(stanza: str, command: str, *arguments: str) -> str:
    if shutil.which(PROGRAM) is None:
        msg = f"there is no {PROGRAM} on this machine; install it where PostgreSQL runs, or use `simpul backup create`"
        raise BackupRefused(msg)
    done = subprocess.run(
        [PROGRAM, f"--stanza={stanza}", *QUIET, *arguments, command],
        env=dict(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        first = next((line for line in lines if "ERROR" in line), lines[0] if lines else "no message")
        msg = f"{PROGRAM} {command} failed: {first[:300]}"
        raise BackupRefused(msg)
    return done.stdout
