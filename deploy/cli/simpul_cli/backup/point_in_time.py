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
from simpul_cli.backup.timelines import Timelines, position_of, read_history, timeline_of

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
    is_of_this_server: bool
    """Whether it leads to the server that runs now; not to one that a restore has left after this copy began."""


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
    complete = [one for one in found["backup"] if not one.get("error")]
    if not complete:
        return []
    timelines = _read_timelines(stanza, found["archive"][-1]["id"], complete)
    return [_read_backup(one, timelines) for one in complete]


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
    found = list_server_backups(stanza)
    reaching = [backup for backup in found if backup.finished_at <= to and backup.is_of_this_server]
    if not reaching or to > now:
        moment = f"{to:%Y-%m-%d %H:%M:%S %Z}"
        msg = f"no backup of {stanza} reaches {moment}; `simpul backup pitr list` shows what they reach"
        raise BackupRefused(msg)
    target = f"--target={to.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
    _run(stanza, "restore", "--type=time", target, "--target-action=promote", f"--set={reaching[-1].label}")
    return reaching[-1]


def _read_timelines(stanza: str, archive: str, backups: list[dict[str, Any]]) -> Timelines:
    """Reads the newest history file of the archive."""
    folder = f"archive/{stanza}/{archive}"
    names = json.loads(_run(stanza, "repo-ls", folder, "--output=json", r"--filter=^[0-9A-F]{8}\.history$"))
    begun = max((timeline_of(one["archive"]["stop"]) for one in backups), default=1)
    newest = max((name for name in names if name.endswith(".history")), default="")
    if not newest:
        return Timelines(begun, {})
    return read_history(timeline_of(newest), _run(stanza, "repo-get", f"{folder}/{newest}"))


def _read_backup(found: dict[str, Any], timelines: Timelines) -> ServerBackup:
    finished_at = datetime.fromtimestamp(found["timestamp"]["stop"], UTC)
    ended = timeline_of(found["archive"]["stop"]), position_of(found["lsn"]["stop"])
    size = found["info"]["size"]
    return ServerBackup(found["label"], found["type"], finished_at, size, timelines.is_on_the_way(*ended))


def _run(stanza: str, command: str, *arguments: str) -> str:
    if shutil.which(PROGRAM) is None:
        msg = f"there is no {PROGRAM} on this machine; install it where PostgreSQL runs, or use `simpul backup create`"
        raise BackupRefused(msg)
    done = subprocess.run(
        [PROGRAM, f"--stanza={stanza}", *QUIET, command, *arguments],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        first = next((line for line in lines if "ERROR" in line), lines[0] if lines else "no message")
        msg = f"{PROGRAM} {command} failed: {first[:300]}"
        raise BackupRefused(msg)
    return done.stdout
