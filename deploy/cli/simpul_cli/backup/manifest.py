"""What a backup holds, in clear: moments, revisions, digests and counts, and nothing of a person."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from simpul_cli.backup.errors import BackupRefused

FORMAT: Final = 1
MANIFEST_FILE: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a backup."""

    name: str
    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True, slots=True)
class DatabaseBackup:
    """The dump of one service's database."""

    file: StoredFile
    revision: str
    state: Mapping[str, str]
    """What a restored database must show again: the head of the audit, clocks, open referrals."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A complete backup."""

    city: str
    created_at: datetime
    """The one moment that every database shows."""
    databases: Mapping[str, DatabaseBackup]
    broker: StoredFile
    secrets: StoredFile | None
    """Lies next to the folder, not in it, so that it can be kept elsewhere; None if there was no access to it."""

    def to_json(self) -> str:
        """Writes the manifest."""
        return json.dumps({"format": FORMAT, **asdict(self), "created_at": self.created_at.isoformat()}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Reads a manifest; raises BackupRefused for one of a newer version or another form."""
        try:
            found = json.loads(text)
            written = int(found["format"])
            if written > FORMAT:
                msg = f"the backup has format {written} and this version reads up to {FORMAT}; use the newer version"
                raise BackupRefused(msg)
            return cls(
                city=found["city"],
                created_at=datetime.fromisoformat(found["created_at"]),
                databases={
                    service: DatabaseBackup(StoredFile(**one["file"]), one["revision"], one["state"])
                    for service, one in found["databases"].items()
                },
                broker=StoredFile(**found["broker"]),
                secrets=StoredFile(**found["secrets"]) if found["secrets"] else None,
            )
        except (ValueError, KeyError, TypeError) as error:
            msg = f"the manifest cannot be read ({type(error).__name__}): the backup is damaged; use another one"
            raise BackupRefused(msg) from error
