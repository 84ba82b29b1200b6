"""Key rings (the private keys of one party) and the directory (the public keys of all parties)."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from simpul_seal.encoding import decode, encode
from simpul_seal.errors import UnknownKey

_ANY_KEY = X25519PrivateKey.from_private_bytes(b"\x01" * 32)
"""Used to test public keys: an exchange with a weak point fails for every private key."""


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The public keys of a party, valid from `not_before` and before `not_after`."""

    party: str
    keyid: str
    signing: Ed25519PublicKey
    sealing: X25519PublicKey
    not_before: datetime
    not_after: datetime

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether the keys may be used at that moment."""
        return self.not_before <= moment < self.not_after

    @property
    def can_be_sealed_to(self) -> bool:
        """Whether content can be sealed to these keys; weak points of the curve, such as zero, allow no secret."""
        try:
            _ANY_KEY.exchange(self.sealing)
        except ValueError:
            return False
        return True

    @property
    def fingerprint(self) -> str:
        """Eight groups of four digits that two people compare on the phone before a key is trusted."""
        digest = sha256(self.signing.public_bytes_raw() + self.sealing.public_bytes_raw()).hexdigest()[:32]
        return " ".join(digest[start : start + 4] for start in range(0, 32, 4))

    def to_json(self) -> dict[str, str]:
        """Returns the entry of a directory."""
        return {
            "party": self.party,
            "keyid": self.keyid,
            "signing": encode(self.signing.public_bytes_raw()),
            "sealing": encode(self.sealing.public_bytes_raw()),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
        }

    @classmethod
    def from_json(cls, entry: dict[str, str]) -> PublicKeys:
        """Reads an entry of a directory; raises ValueError or KeyError if it is not one."""
        not_before = datetime.fromisoformat(entry["not_before"])
        not_after = datetime.fromisoformat(entry["not_after"])
        if not_before.tzinfo is None or not_after.tzinfo is None:
            msg = "the validity of a key needs a time zone"
            raise ValueError(msg)
        return cls(
            party=entry["party"],
            keyid=entry["keyid"],
            signing=Ed25519PublicKey.from_public_bytes(decode(entry["signing"])),
            sealing=X25519PublicKey.from_public_bytes(decode(entry["sealing"])),
            not_before=not_before,
            not_after=not_after,
        )


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The private keys of one party; keep the file at mode 0600, outside any repository."""

    party: str
    keyid: str
    signing: Ed25519PrivateKey = field(repr=False)
    sealing: X25519PrivateKey = field(repr=False)
    older: tuple[KeyRing, ...] = field(default=(), repr=False)
    """Keys before a rotation: they only open what was sealed to them."""

    @property
    def all_keys(self) -> tuple[KeyRing, ...]:
        """The current keys, followed by the older ones."""
        return (self, *self.older)

    def with_older(self, previous: KeyRing) -> KeyRing:
        """Returns this ring with the keys of the previous one, to open what was sealed to them."""
        return replace(self, older=(replace(previous, older=()), *previous.older))

    @classmethod
    def read(cls, path: Path) -> KeyRing:
        """Reads a ring that was written by `write`."""
        return cls.from_json(json.loads(path.read_text()))

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> KeyRing:
        """Reads a ring from what `to_json` returned; raises KeyError or ValueError."""
        return cls(
            stored["party"],
            stored["keyid"],
            Ed25519PrivateKey.from_private_bytes(decode(stored["signing"])),
            X25519PrivateKey.from_private_bytes(decode(stored["sealing"])),
            tuple(cls.from_json(older) for older in stored.get("older", ())),
        )

    def key(self, keyid: str) -> KeyRing | None:
        """Returns the private keys of that key id; None if this ring does not contain them."""
        return next((key for key in self.all_keys if key.keyid == keyid), None)

    def write(self, path: Path) -> None:
        """Writes the ring to a new file that only its owner can read; raises FileExistsError if the file exists."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(self.to_json(), file)

    def overwrite(self, path: Path) -> None:
        """Replaces a ring in its file atomically; keeps owner, group and mode, or raises PermissionError."""
        before = path.stat()
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        self.write(temporary)
        try:
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(temporary, before.st_uid, before.st_gid)
            temporary.chmod(stat.S_IMODE(before.st_mode))
            # Written to disk before the old file goes, so a power cut leaves either the old ring or the new one.
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file of the ring; secret."""
        return {
            "party": self.party,
            "keyid": self.keyid,
            "signing": encode(self.signing.private_bytes_raw()),
            "sealing": encode(self.sealing.private_bytes_raw()),
            "older": [older.to_json() for older in self.older],
        }


class Directory:
    """The public keys of every party, by key id and by party."""

    def __init__(self, entries: list[PublicKeys]) -> None:
        self._entries = entries
        self._by_keyid = {entry.keyid: entry for entry in entries}
        self._by_party: dict[str, list[PublicKeys]] = {}
        # Weak keys still verify signatures; for sealing, their party has no key.
        usable = [entry for entry in entries if entry.can_be_sealed_to]
        for entry in sorted(usable, key=lambda entry: entry.not_before, reverse=True):
            self._by_party.setdefault(entry.party, []).append(entry)

    @classmethod
    def read(cls, path: Path) -> Directory:
        """Reads a directory that was written by `write`."""
        return cls([PublicKeys.from_json(entry) for entry in json.loads(path.read_text())["keys"]])

    def write(self, path: Path) -> None:
        """Writes the directory; it contains nothing secret."""
        # Replaced atomically, so readers find either the old file or the new one.
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self.to_json(), indent=1))
        temporary.replace(path)

    def to_json(self) -> dict[str, list[dict[str, str]]]:
        """Returns the content of the file of the directory."""
        return {"keys": [entry.to_json() for entry in self._entries]}

    @property
    def entries(self) -> Sequence[PublicKeys]:
        """Every key, valid or not."""
        return tuple(self._entries)

    def freeze(self) -> Directory:
        """Returns the directory as it is now, for a batch of messages."""
        return self

    def key(self, keyid: str, moment: datetime) -> PublicKeys:
        """Returns the keys of this id; raises UnknownKey if they are absent or not valid at that moment."""
        entry = self._by_keyid.get(keyid)
        if entry is None or not entry.is_valid_at(moment):
            msg = "no valid key of that id in the directory; enrol it or read the directory again"
            raise UnknownKey(msg)
        return entry

    def current(self, party: str, moment: datetime) -> PublicKeys:
        """The newest valid keys of a party; UnknownKey when it has none."""
        valid = self.valid_keys(party, moment)
        if not valid:
            msg = f"{party} has no valid key in the directory; enrol one"
            raise UnknownKey(msg)
        return valid[0]

    def valid_keys(self, party: str, moment: datetime) -> Sequence[PublicKeys]:
        """Returns the keys of a party that are valid at that moment, the newest first."""
        return [entry for entry in self._by_party.get(party, ()) if entry.is_valid_at(moment)]

    def usable_until(self, party: str, moment: datetime) -> datetime | None:
        """Returns when the last present or future key of a party ends; None if it has none."""
        ends = (entry.not_after for entry in self._by_party.get(party, ()) if entry.not_after > moment)
        return max(ends, default=None)


class WatchedDirectory(Directory):
    """A directory that is reloaded when its file changes, so enrolled and withdrawn keys need no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        super().__init__(list(Directory.read(path).entries))
        self._frozen = Directory(self._entries)

    def freeze(self) -> Directory:
        """Returns the directory of the current file; reading from it does not look at the file again."""
        self._reload()
        return self._frozen

    @property
    def entries(self) -> Sequence[PublicKeys]:
        """`Directory.entries` of the current file."""
        self._reload()
        return super().entries

    def key(self, keyid: str, moment: datetime) -> PublicKeys:
        """As `Directory.key`, for the current file."""
        self._reload()
        return super().key(keyid, moment)

    def valid_keys(self, party: str, moment: datetime) -> Sequence[PublicKeys]:
        """As `Directory.valid_keys`, for the current file."""
        self._reload()
        return super().valid_keys(party, moment)

    def usable_until(self, party: str, moment: datetime) -> datetime | None:
        """As `Directory.usable_until`, for the current file."""
        self._reload()
        return super().usable_until(party, moment)

    def _reload(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                found = list(Directory.read(self._path).entries)
                super().__init__(found)
                self._frozen = Directory(found)
                self._stamp = stamp
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # The file may be edited by hand and incomplete: the last readable content stays in use.
            return


class WatchedKeyRing:
    """A key ring that is reloaded when its file changes, so `simpul keys rotate` needs no restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._ring = KeyRing.read(path)

    @property
    def ring(self) -> KeyRing:
        """The ring of the current file, or the last readable one."""
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._ring = KeyRing.read(self._path)
                self._stamp = stamp
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return self._ring
        return self._ring


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def generate(party: str, *, not_before: datetime, not_after: datetime) -> tuple[KeyRing, PublicKeys]:
    """Generates keys of a party; the key id is derived from the signing key, so it is unique."""
    signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    keyid = f"{party}.{sha256(signing.public_key().public_bytes_raw()).hexdigest()[:16]}"
    ring = KeyRing(party, keyid, signing, sealing)
    return ring, PublicKeys(party, keyid, signing.public_key(), sealing.public_key(), not_before, not_after)
