"""The archive of a city's folder holds the store of a hosted agency as it is at one moment."""

import io
import os
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pyrage
import pytest

from simpul_cli.backup.errors import BackupRefused
from simpul_cli.backup.secrets import archive_secrets, unpack_secrets


def rows_of(store: Path) -> list[tuple[int]]:
    with closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT number FROM message ORDER BY number").fetchall()


@pytest.mark.parametrize("name", ["../outside", "/outside", "secrets/../../outside"])
def test_an_archive_that_would_write_outside_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    identity = pyrage.x25519.Identity.generate()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    (tmp_path / "archive").write_bytes(pyrage.encrypt(packed.getvalue(), [identity.to_public()]))

    with pytest.raises(BackupRefused, match="outside"):
        unpack_secrets(tmp_path / "archive", tmp_path / "inside" / "restored", identity)

    assert list(tmp_path.rglob("outside")) == []


def test_a_key_stays_unreadable_for_others_and_belongs_to_who_unpacks_it(tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        key = tarfile.TarInfo("secrets/vault.key")
        key.uid = key.gid = 10001
        key.mode = 0o600
        archive.addfile(key)
    (tmp_path / "archive").write_bytes(pyrage.encrypt(packed.getvalue(), [identity.to_public()]))

    unpack_secrets(tmp_path / "archive", tmp_path / "restored", identity)

    found = (tmp_path / "restored" / "secrets" / "vault.key").stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o600, os.geteuid())


@pytest.mark.parametrize("is_open", [True, False])
def test_a_store_that_is_written_to_is_archived_whole_and_without_its_log(tmp_path: Path, is_open: bool) -> None:
    data, to = tmp_path / "data", tmp_path / "restored"
    folder = data / "hosted" / "rs-rujukan"
    folder.mkdir(parents=True)
    (folder / "agency.keys").write_text("a key")
    identity = pyrage.x25519.Identity.generate()
    with closing(sqlite3.connect(folder / "agency.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE message (number INTEGER)")
        connection.execute("INSERT INTO message VALUES (1), (2)")
        connection.commit()
        if not is_open:
            connection.close()

        archive_secrets(data, tmp_path / "archive", identity.to_public())
        unpacked = unpack_secrets(tmp_path / "archive", to, identity)

    restored = to / "hosted" / "rs-rujukan"
    assert unpacked == ["hosted"]
    assert (restored / "agency.keys").read_text() == "a key"
    assert [path.name for path in sorted(restored.iterdir())] == ["agency.db", "agency.keys"]
    assert rows_of(restored / "agency.db") == [(1,), (2,)]
