"""The operator's key: backups are encrypted to its public half, and only its private half opens them."""

import os
from pathlib import Path
from typing import Any, Final

import pyrage

from simpul_cli.backup.errors import BackupRefused

RECIPIENT_FILE: Final = "recipient.txt"
"""The public half, in the folder of backups."""


def create_key(folder: Path, identity_file: Path) -> str:
    """Creates the key: the private half in a new file with mode 600, the public half in the folder; returns that."""
    if (folder / RECIPIENT_FILE).exists():
        msg = f"{folder / RECIPIENT_FILE} exists: older backups need its key. Delete the file to begin with another key"
        raise BackupRefused(msg)
    identity = pyrage.x25519.Identity.generate()
    try:
        with os.fdopen(os.open(identity_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{identity}\n")
    except FileExistsError as error:
        msg = f"{identity_file} exists; choose another file"
        raise BackupRefused(msg) from error
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPIENT_FILE).write_text(f"{identity.to_public()}\n")
    return str(identity.to_public())


def read_recipient(folder: Path) -> Any:
    """Reads the public half; raises BackupRefused."""
    path = folder / RECIPIENT_FILE
    try:
        return pyrage.x25519.Recipient.from_str(path.read_text().strip())
    except (OSError, pyrage.RecipientError) as error:
        msg = f"{path} has no public key of the operator; run `simpul backup key --to FILE`"
        raise BackupRefused(msg) from error


def read_identity(path: Path) -> Any:
    """Reads the private half; lines that begin with # are comments. Raises BackupRefused."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
        return pyrage.x25519.Identity.from_str(next(line for line in lines if line and not line.startswith("#")))
    except (OSError, StopIteration, pyrage.IdentityError) as error:
        msg = f"{path} is not the operator's private key, which `simpul backup key --to FILE` wrote"
        raise BackupRefused(msg) from error
