"""The folder of a city's data as one encrypted archive: settings, keys, certificates, the city as data."""

import io
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyrage

from simpul_cli.backup.errors import BackupRefused

PARTS: Final = (".env", "secrets", "tls", "directory", "enrolment", "city", "gateway", "openbao", "hub", "hosted")
"""What is archived of the folder, as far as it is there."""
_STORE: Final = ".db"
"""Ending of the store of a hosted agency, which the desk writes to meanwhile."""
_STORE_LOGS: Final = (f"{_STORE}-wal", f"{_STORE}-shm")


def archive_secrets(data: Path, to: Path, recipient: Any) -> None:
    """Writes the encrypted archive; raises BackupRefused when a file may not be read."""
    packed = io.BytesIO()
    try:
        with tarfile.open(fileobj=packed, mode="w:gz", dereference=True) as archive:
            for part in (data / name for name in PARTS):
                for path in _files_of(part):
                    _add(archive, path, str(path.relative_to(data)))
    except PermissionError as error:
        msg = f"{error.filename} may not be read; run this as root (docker compose run --rm --user 0 operator ...)"
        raise BackupRefused(msg) from error
    except sqlite3.Error as error:
        msg = f"the store of a hosted agency cannot be read: {error}"
        raise BackupRefused(msg) from error
    to.write_bytes(pyrage.encrypt(packed.getvalue(), [recipient]))


def _files_of(part: Path) -> Iterator[Path]:
    """Yields a part and what is in it; the log of a store is read with its store."""
    if part.exists():
        yield part
    if part.is_dir():
        yield from (path for path in sorted(part.rglob("*")) if path.exists() and not path.name.endswith(_STORE_LOGS))


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Adds a file or folder; a store as it is at one moment, because its file alone may be half written."""
    if path.suffix != _STORE:
        archive.add(path, arcname=name, recursive=False)
        return
    described = archive.gettarinfo(path, name)
    # Without a log nobody has it open, and SQLite may not create one where the folder is mounted read-only.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "store"
        with (
            closing(sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True)) as store,
            closing(sqlite3.connect(copy)) as target,
        ):
            store.backup(target)
        described.size = copy.stat().st_size
        with copy.open("rb") as content:
            archive.addfile(described, content)


def unpack_secrets(source: Path, to: Path, identity: Any) -> list[str]:
    """Unpacks an archive into a folder that has none of its parts; returns their names."""
    try:
        packed = pyrage.decrypt(source.read_bytes(), [identity])
    except (OSError, pyrage.DecryptError) as error:
        msg = f"{source} cannot be decrypted with this key, or is not there; name another file with --secrets"
        raise BackupRefused(msg) from error
    existing = [name for name in PARTS if (to / name).exists()]
    if existing:
        msg = f"{to} has {', '.join(existing)} already; choose an empty folder"
        raise BackupRefused(msg)
    to.mkdir(parents=True, exist_ok=True)
    to.chmod(0o700)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        _refuse_strange_members(archive, source)
        for member in archive.getmembers():
            # `deploy/up` gives files to the accounts of the containers. In a container root may not, and tarfile would
            # then leave out the mode, too.
            member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
        # Python before 3.11.4 knows no filters, and ignores the attribute.
        archive.extraction_filter = getattr(tarfile, "tar_filter", None)
        archive.extractall(to)  # noqa: S202 - its members were looked at
        return sorted({member.name.partition("/")[0] for member in archive.getmembers()})


def _refuse_strange_members(archive: tarfile.TarFile, source: Path) -> None:
    """Raises BackupRefused for what no backup contains: anybody can encrypt an archive to the operator's public key."""
    for member in archive.getmembers():
        parts = PurePosixPath(member.name).parts
        if not (member.isfile() or member.isdir()) or member.name.startswith("/") or ".." in parts:
            msg = f"{source} does not hold the secrets of a city alone: it contains {member.name!r}"
            raise BackupRefused(msg)
