"""Master keys in a file: one a line, the newest that counts wraps, and all of them unwrap.

A line is 32 bytes as base64url, followed by the moment from which the key wraps. A line without a moment counts at
once; this is the form of the first version, whose file has a single line.
"""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from simpul_intake.vault.encryption import KEY_BYTES, create_key, decrypt, derive_key, encrypt
from simpul_intake.vault.errors import DecryptionFailed, MasterKeyFileInvalid, MasterKeyMissing, RetirementUnproven
from simpul_intake.vault.wrapping import UNRECORDED, KeyToWrap, WrappedKey
from simpul_runtime.database import utc_now
from simpul_seal.encoding import decode, encode

_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MasterKey:
    """One line of the file."""

    secret: bytes = field(repr=False)
    counts_from: datetime = _BEGINNING
    """When it begins to wrap keys, unless a newer one counts."""

    @property
    def key_id(self) -> str:
        """An id derived from the key, which reveals nothing of it."""
        return f"file:{derive_key(self.secret, b'key-id')[:8].hex()}"

    @property
    def wrapping_key(self) -> bytes:
        """The key that wraps."""
        return derive_key(self.secret, b"wrapping")

    def to_line(self) -> str:
        """Writes the line from which `read_master_keys` reads the key."""
        begins = "" if self.counts_from == _BEGINNING else f" {self.counts_from.isoformat()}"
        return encode(self.secret) + begins


def create_master_key(path: Path) -> None:
    """Writes a file with a new master key and mode 0600; raises FileExistsError instead of replacing a key."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(encode(create_key()))


def add_master_key(path: Path, counts_from: datetime) -> MasterKey:
    """Adds a new master key to a file; the others stay, because they still unwrap.

    Raises MasterKeyFileInvalid, and OSError when the file cannot be replaced.
    """
    keys = read_master_keys(path)
    added = MasterKey(create_key(), counts_from)
    _replace_keys(path, [added, *keys])
    return added


def retirement_code(key_id: str) -> str:
    """Returns the code that shows that a master key was retired; only the retirement hands it out.

    The key file and intake's database are often not reachable from one place, so a person carries the code. It guards
    against removing a key too early, not against somebody who wants to destroy it.
    """
    return sha256(b"retired|" + key_id.encode()).hexdigest()[:8]


def check_retirement(key_id: str, code: str) -> None:
    """Raises RetirementUnproven unless the code is the one of the key's retirement."""
    if code != retirement_code(key_id):
        msg = (
            f"this is not the code of {key_id}'s retirement; `simpul vault retire {key_id}` shows it once the key "
            "wraps nothing"
        )
        raise RetirementUnproven(msg)


def remove_master_key(path: Path, key_id: str) -> None:
    """Removes a master key from a file; raises MasterKeyMissing, MasterKeyFileInvalid and OSError."""
    keys = read_master_keys(path)
    left = [key for key in keys if key.key_id != key_id]
    if len(left) == len(keys):
        msg = f"{path} has no master key {key_id}"
        raise MasterKeyMissing(msg)
    _replace_keys(path, left)


def _replace_keys(path: Path, keys: Sequence[MasterKey]) -> None:
    """Replaces the file in one step; owner, group and mode stay."""
    before = path.stat()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("".join(f"{key.to_line()}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(temporary, before.st_uid, before.st_gid)
        temporary.chmod(stat.S_IMODE(before.st_mode))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_master_keys(path: Path) -> list[MasterKey]:
    """Reads every master key of a file, the newest first; raises MasterKeyFileInvalid."""
    try:
        lines = path.read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the vault's key file {path} cannot be read ({type(error).__name__})"
        raise MasterKeyFileInvalid(msg) from error
    keys = [_read_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not keys:
        msg = f"the vault's key file {path} is empty"
        raise MasterKeyFileInvalid(msg)
    return sorted(keys, key=lambda key: key.counts_from, reverse=True)


def _read_line(path: Path, number: int, line: str) -> MasterKey:
    secret, _, begins = line.strip().partition(" ")
    try:
        key = MasterKey(decode(secret), datetime.fromisoformat(begins) if begins else _BEGINNING)
        if len(key.secret) == KEY_BYTES and key.counts_from.tzinfo is not None:
            return key
    except ValueError:
        pass
    msg = f"line {number} of the vault's key file {path} is not a master key"
    raise MasterKeyFileInvalid(msg)


class KeyFile:
    """The master keys of a file, which is read again when it changes."""

    is_remote = False

    def __init__(self, path: Path, now: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._now = now
        self._stamp = _file_stamp(path)
        self._keys = read_master_keys(path)

    @property
    def keys(self) -> Sequence[MasterKey]:
        """The keys in the file as it is now, the newest first; the last valid ones while it cannot be read."""
        try:
            stamp = _file_stamp(self._path)
            if stamp != self._stamp:
                self._keys, self._stamp = read_master_keys(self._path), stamp
        except (OSError, MasterKeyFileInvalid):
            return self._keys
        return self._keys

    async def current_key_id(self) -> str:
        """Returns the id of the newest key that counts now."""
        return self._current_key().key_id

    async def holds(self, key_id: str) -> bool:
        """Returns whether the file has this key."""
        return key_id == UNRECORDED or any(key.key_id == key_id for key in self.keys)

    async def wrap(self, keys: Sequence[KeyToWrap]) -> list[WrappedKey]:
        """Wraps keys under the newest master key that counts now."""
        master = self._current_key()
        wrapping_key, key_id = master.wrapping_key, master.key_id
        return [
            WrappedKey(key_id, encrypt(wrapping_key, key.key, key.associated_data), key.associated_data) for key in keys
        ]

    async def unwrap(self, wrapped: Sequence[WrappedKey]) -> list[bytes]:
        """Unwraps keys; raises MasterKeyMissing and DecryptionFailed."""
        by_id = {key.key_id: key.wrapping_key for key in self.keys}
        return [self._unwrap(one, by_id) for one in wrapped]

    def find_master_key(self, wrapped: WrappedKey) -> MasterKey:
        """Finds the key under which a row of the first version was wrapped; raises MasterKeyMissing."""
        for key in self.keys:
            try:
                decrypt(key.wrapping_key, wrapped.ciphertext, wrapped.associated_data)
            except DecryptionFailed:
                continue
            return key
        msg = (
            f"no key in {self._path} opens what this database stored before it recorded key ids; put back the "
            "vault.key with which it began"
        )
        raise MasterKeyMissing(msg)

    def _current_key(self) -> MasterKey:
        now = self._now()
        keys = self.keys
        return next((key for key in keys if key.counts_from <= now), keys[-1])

    def _unwrap(self, wrapped: WrappedKey, by_id: dict[str, bytes]) -> bytes:
        if wrapped.key_id == UNRECORDED:
            key = self.find_master_key(wrapped).wrapping_key
        elif wrapped.key_id in by_id:
            key = by_id[wrapped.key_id]
        else:
            msg = f"{self._path} lacks master key {wrapped.key_id}; restore it from the backup of the vault's keys"
            raise MasterKeyMissing(msg)
        return decrypt(key, wrapped.ciphertext, wrapped.associated_data)


def _file_stamp(path: Path) -> tuple[int, int, int]:
    try:
        state = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return state.st_mtime_ns, state.st_ino, state.st_size
