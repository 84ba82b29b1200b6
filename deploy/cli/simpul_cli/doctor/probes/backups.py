"""Reads the folder of backups."""

from datetime import datetime
from pathlib import Path

from simpul_cli.backup.catalogue import find_last_drill, list_backups, list_unfinished
from simpul_cli.backup.recipient import RECIPIENT_FILE
from simpul_cli.doctor.checks.backups import BackupFacts


def collect(folder: Path, now: datetime) -> BackupFacts:
    """Collects the newest backup without reading its content; `simpul backup verify` does that."""
    backups = list_backups(folder) if folder.exists() else []
    newest = backups[-1] if backups else None
    return BackupFacts(
        now,
        has_recipient=(folder / RECIPIENT_FILE).exists(),
        newest_at=newest.manifest.created_at if newest else None,
        newest_problem=newest.find_missing_file() if newest else "",
        unfinished=len(list_unfinished(folder)) if folder.exists() else 0,
        last_drill_at=find_last_drill(folder),
    )
