"""Key rings (private halves of one party) and the directory (public halves of all)."""

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
"""With a point that allows no secret, an exchange fails whatever the other key is."""


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The public halves a party is known by, valid from `not_before` until before `not_after`."""

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
        """Whether anything can be sealed to these keys: a few points of the curve, zero among them, allow no secret."""
        try:
            _ANY_KEY.exchange(self.sealing)
        except ValueError:
            return False
        return True

    @property
    def fingerprint(self) -> str:
        """What two people compare on the phone before a key is trusted: eight groups of four."""
        digest = sha256(self.signing.public_bytes_raw() + self.sealing.public_bytes_raw()).hexdigest()[:32]
        return " ".join(digest[start : start + 4] for start in range(0, 32, 4))

    def described(self) -> dict[str, str]:
        """As it stands in a directory."""
        return {
            "party": self.party,
            "keyid": self.keyid,
            "signing": encode(self.signing.public_bytes_raw()),
            "sealing": encode(self.sealing.public_bytes_raw()),
            "not_before": self.not_before.isoformat(),
            "not_after": self.not_after.isoformat(),
        }

    @classmethod
    def read(cls, described: dict[str, str]) -> PublicKeys:
        """What `described` gave; ValueError or KeyError when it is not that."""
        not_before = datetime.fromisoformat(described["not_before"])
        not_after = datetime.fromisoformat(described["not_after"])
        if not_before.tzinfo is None or not_after.tzinfo is None:
            msg = "a key's validity is told with its zone"
            raise ValueError(msg)
        return cls(
            party=described["party"],
            keyid=described["keyid"],
            signing=Ed25519PublicKey.from_public_bytes(decode(described["signing"])),
            sealing=X25519PublicKey.from_public_bytes(decode(described["sealing"])),
            not_before=not_before,
            not_after=not_after,
        )


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The private halves of one party; keep the file at mode 0600, outside any repository."""

    party: str
    keyid: str
    signing: Ed25519PrivateKey = field(repr=False)
    sealing: X25519PrivateKey = field(repr=False)
    older: tuple[KeyRing, ...] = field(default=(), repr=False)
    """Those before a rotation: they sign nothing more, and open what was sealed to them."""

    @property
    def all_keys(self) -> tuple[KeyRing, ...]:
        """This one first."""
        return (self, *self.older)

    def succeeding(self, before: KeyRing) -> KeyRing:
        """This ring with all that the one before could open."""
        return replace(self, older=(replace(before, older=()), *before.older))

    @classmethod
    def read(cls, path: Path) -> KeyRing:
        """Load a ring written by `write`."""
        return cls._read(json.loads(path.read_text()))

    @classmethod
    def _read(cls, stored: dict[str, Any]) -> KeyRing:
        return cls(
            stored["party"],
            stored["keyid"],
            Ed25519PrivateKey.from_private_bytes(decode(stored["signing"])),
            X25519PrivateKey.from_private_bytes(decode(stored["sealing"])),
            tuple(cls._read(older) for older in stored.get("older", ())),
        )

    def key(self, keyid: str) -> KeyRing | None:
        """The private halves of that key id; None when this ring does not hold them."""
        return next((key for key in self.all_keys if key.keyid == keyid), None)

    def write(self, path: Path) -> None:
        """Store the ring, readable by its owner only; FileExistsError rather than lose an older one."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(self._content(), file)

    def overwrite(self, path: Path) -> None:
        """Replace a stored ring in one step; owner, group and mode stay. PermissionError when they cannot."""
        before = path.stat()
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        self.write(temporary)
        try:
            if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(temporary, before.st_uid, before.st_gid)
            temporary.chmod(stat.S_IMODE(before.st_mode))
            # On the disk before the old one goes: a power cut leaves the old ring or the new one, never neither.
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def _content(self) -> dict[str, Any]:
        return {
            "party": self.party,
            "keyid": self.keyid,
            "signing": encode(self.signing.private_bytes_raw()),
            "sealing": encode(self.sealing.private_bytes_raw()),
            "older": [older._content() for older in self.older],  # noqa: SLF001 - of the same class
        }


class Directory:
    """The public keys of every party, by key id and by party."""

    def __init__(self, entries: list[PublicKeys]) -> None:
        self._entries = entries
        self._by_keyid = {entry.keyid: entry for entry in entries}
        self._by_party: dict[str, list[PublicKeys]] = {}
        # Keys that nothing can be sealed to still tell who signed; for everything else their party has none.
        usable = [entry for entry in entries if entry.can_be_sealed_to]
        for entry in sorted(usable, key=lambda entry: entry.not_before, reverse=True):
            self._by_party.setdefault(entry.party, []).append(entry)

    @classmethod
    def read(cls, path: Path) -> Directory:
        """Load a directory written by `write`."""
        return cls([PublicKeys.read(entry) for entry in json.loads(path.read_text())["keys"]])

    def write(self, path: Path) -> None:
        """Store the directory; it holds nothing secret."""
        # Whoever reads it at this moment finds the old one or the new one, never a half.
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_text(json.dumps(self.described(), indent=1))
        beside.replace(path)

    def described(self) -> dict[str, list[dict[str, str]]]:
        """As it stands in its file."""
        return {"keys": [entry.described() for entry in self._entries]}

    @property
    def entries(self) -> Sequence[PublicKeys]:
        """Every key, valid or not."""
        return tuple(self._entries)

    def key(self, keyid: str, moment: datetime) -> PublicKeys:
        """The keys of this id; UnknownKey when absent or not valid at that moment."""
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
        """The keys of a party that count at that moment, the newest first; empty when it has none."""
        return [entry for entry in self._by_party.get(party, ()) if entry.is_valid_at(moment)]

    def usable_until(self, party: str, moment: datetime) -> datetime | None:
        """When the last key of a party ends that counts at that moment or will; None when it has none."""
        ends = (entry.not_after for entry in self._by_party.get(party, ()) if entry.not_after > moment)
        return max(ends, default=None)


class WatchedDirectory(Directory):
    """A directory that follows its file: keys that are enrolled or withdrawn count without a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _stamp(path)
        super().__init__(list(Directory.read(path).entries))

    @property
    def entries(self) -> Sequence[PublicKeys]:
        """As `Directory.entries`, in the file as it is now."""
        self._follow()
        return super().entries

    def key(self, keyid: str, moment: datetime) -> PublicKeys:
        """As `Directory.key`, in the file as it is now."""
        self._follow()
        return super().key(keyid, moment)

    def valid_keys(self, party: str, moment: datetime) -> Sequence[PublicKeys]:
        """As `Directory.valid_keys`, in the file as it is now."""
        self._follow()
        return super().valid_keys(party, moment)

    def usable_until(self, party: str, moment: datetime) -> datetime | None:
        """As `Directory.usable_until`, in the file as it is now."""
        self._follow()
        return super().usable_until(party, moment)

    def _follow(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp != self._seen:
                found = list(Directory.read(self._path).entries)
                super().__init__(found)
                self._seen = stamp
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Written by hand and not whole: what was known before stays known.
            return


class WatchedKeyRing:
    """A key ring that follows its file: keys that `simpul keys rotate` adds count without a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._ring = KeyRing.read(path)

    @property
    def ring(self) -> KeyRing:
        """The ring in the file as it is now; the last one that could be read while it cannot be."""
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
    """New keys of a party; the key id is derived from the signing key, so two rings never share one."""
    signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    keyid = f"{party}.{sha256(signing.public_key().public_bytes_raw()).hexdigest()[:16]}"
    ring = KeyRing(party, keyid, signing, sealing)
    return ring, PublicKeys(party, keyid, signing.public_key(), sealing.public_key(), not_before, not_after)
