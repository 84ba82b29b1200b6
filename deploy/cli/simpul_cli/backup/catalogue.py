"""The backups of a folder, each in a folder of its own that is named after its moment."""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from simpul_cli.backup.errors import BackupRefused
from simpul_cli.backup.manifest import MANIFEST_FILE, Manifest, StoredFile

NAME_FORMAT: Final = "%Y%m%dT%H%M%SZ"
UNFINISHED: Final = ".unfinished"
DRILLS: Final = "drills"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """A complete backup."""

    folder: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Its moment in UTC, such as 20261126T210000Z."""
        return self.folder.name

    def path_of(self, file: StoredFile) -> Path:
        """Returns where a file lies: the secrets next to the folder, the others in it."""
        return (self.folder.parent if file == self.manifest.secrets else self.folder) / file.name

    def find_missing_file(self) -> str:
        """Names a file that is missing or has another size, without reading it; empty if there is none.

        The secrets may have been moved elsewhere.
        """
        for file in self._files():
            path = self.path_of(file)
            if file != self.manifest.secrets and (not path.exists() or path.stat().st_size != file.size):
                return file.name
        return ""

    def find_damaged_files(self) -> list[str]:
        """Reads every file and names those that are missing or changed; secrets that were moved do not count."""
        present = [f for f in self._files() if f != self.manifest.secrets or self.path_of(f).exists()]
        return [file.name for file in present if not _is_unchanged(self.path_of(file), file)]

    def _files(self) -> list[StoredFile]:
        found = [database.file for database in self.manifest.databases.values()]
        return [*found, self.manifest.broker, *([self.manifest.secrets] if self.manifest.secrets else [])]


def describe_file(path: Path) -> StoredFile:
    """Measures a file."""
    return StoredFile(path.name, path.stat().st_size, _digest(path))


def _is_unchanged(path: Path, file: StoredFile) -> bool:
    return path.exists() and path.stat().st_size == file.size and _digest(path) == file.sha256


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def list_backups(folder: Path) -> list[Backup]:
    """Lists the complete backups, the newest last; one whose manifest cannot be read is left out."""
    found = []
    for path in sorted(folder.glob(f"*Z/{MANIFEST_FILE}")):
        try:
            found.append(Backup(path.parent, Manifest.from_json(path.read_text())))
        except (OSError, BackupRefused):
            continue
    return found


def find_backup(folder: Path, name: str) -> Backup:
    """Finds a backup by its name, or the newest one by `latest`; raises BackupRefused."""
    if name == "latest":
        backups = list_backups(folder)
        if not backups:
            msg = f"there is no backup in {folder}"
            raise BackupRefused(msg)
        return backups[-1]
    path = folder / name / MANIFEST_FILE
    if not path.exists():
        msg = f"there is no backup {name} in {folder}; `simpul backup list` shows them"
        raise BackupRefused(msg)
    return Backup(path.parent, Manifest.from_json(path.read_text()))


def list_unfinished(folder: Path) -> list[Path]:
    """Lists what interrupted backups left."""
    return sorted(folder.glob(f"*{UNFINISHED}"))


def delete_unfinished(folder: Path) -> int:
    """Deletes what interrupted backups left; returns how many."""
    left = list_unfinished(folder)
    for path in left:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return len(left)


def store_drill(folder: Path, now: datetime, report: dict[str, object]) -> Path:
    """Stores the report of a restore drill."""
    path = folder / DRILLS / f"{now:{NAME_FORMAT}}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1))
    return path


def find_last_drill(folder: Path) -> datetime | None:
    """Returns when a backup was last restored on trial with success."""
    for path in sorted((folder / DRILLS).glob("*Z.json"), reverse=True):
        if json.loads(path.read_text()).get("passed"):
            return datetime.strptime(path.stem, NAME_FORMAT).replace(tzinfo=UTC)
    return None
