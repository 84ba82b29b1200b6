"""Faults of backups: none, too old, incomplete, never restored on trial."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

MAX_AGE: Final = timedelta(hours=26)
"""A backup each night, and two hours for a slow one."""
DANGEROUS_AGE: Final = timedelta(days=3)
DRILL_PERIOD: Final = timedelta(days=35)
_CREATE: Final = "simpul backup create"


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """What is in the folder of backups."""

    now: datetime
    has_recipient: bool = True
    """Whether the operator's public key, to which backups are encrypted, is there."""
    newest_at: datetime | None = None
    newest_problem: str = ""
    """What `simpul backup verify` finds in the newest one."""
    unfinished: int = 0
    """Backups whose creation was interrupted."""
    last_drill_at: datetime | None = None


def find_missing_recipient(facts: BackupFacts) -> Iterator[Finding]:
    """Finds a city that cannot encrypt a backup."""
    if not facts.has_recipient:
        cause = _("There is no public key of the operator to encrypt backups to.")
        yield critical("backup_recipient_missing", cause, "simpul backup key --to FILE")


def find_missing_backup(facts: BackupFacts) -> Iterator[Finding]:
    """Finds a city without any backup."""
    if facts.newest_at is None:
        yield critical("backup_missing", _("There is no backup."), _CREATE)


def find_old_backup(facts: BackupFacts) -> Iterator[Finding]:
    """Finds a newest backup that is older than a day."""
    if facts.newest_at and facts.now - facts.newest_at > MAX_AGE:
        hours = int((facts.now - facts.newest_at).total_seconds() // 3600)
        make = critical if facts.now - facts.newest_at > DANGEROUS_AGE else warning
        yield make("backup_old", _("The newest backup is {hours} hours old.", hours=hours), _CREATE)


def find_damaged_backup(facts: BackupFacts) -> Iterator[Finding]:
    """Finds a newest backup that cannot be restored."""
    if facts.newest_problem:
        cause = _("The newest backup cannot be used: {problem}", problem=facts.newest_problem)
        yield critical("backup_damaged", cause, _CREATE)


def find_unfinished_backups(facts: BackupFacts) -> Iterator[Finding]:
    """Finds what an interrupted backup left."""
    if facts.unfinished:
        cause = _("{count} backups were interrupted; their folders take space.", count=facts.unfinished)
        yield warning("backup_unfinished", cause, "simpul backup list --delete-unfinished")


def find_missing_drill(facts: BackupFacts) -> Iterator[Finding]:
    """Finds backups that nobody has restored on trial this month."""
    if facts.newest_at and (facts.last_drill_at is None or facts.now - facts.last_drill_at > DRILL_PERIOD):
        cause = _("No backup was restored on trial within {days} days.", days=DRILL_PERIOD.days)
        yield warning("drill_missing", cause, "simpul backup drill")


CHECKS: Final = (
    find_missing_recipient,
    find_missing_backup,
    find_old_backup,
    find_damaged_backup,
    find_unfinished_backups,
    find_missing_drill,
)
