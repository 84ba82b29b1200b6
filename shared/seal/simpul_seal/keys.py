"""Key rings (private halves of one party) and the directory (public halves of all)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from simpul_seal.encoding import decode, encode
from simpul_seal.errors import UnknownKey


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


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The private halves of one party; keep the file at mode 0600, outside any repository."""

    party: str
    keyid: str
    signing: Ed25519PrivateKey = field(repr=False)
    sealing: X25519PrivateKey = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> KeyRing:
        """Load a ring written by `write`."""
        stored = json.loads(path.read_text())
        return cls(
            stored["party"],
            stored["keyid"],
            Ed25519PrivateKey.from_private_bytes(decode(stored["signing"])),
            X25519PrivateKey.from_private_bytes(decode(stored["sealing"])),
        )

    def write(self, path: Path) -> None:
        """Store the ring, readable by its owner only; FileExistsError rather than lose an older one."""
        content = {
            "party": self.party,
            "keyid": self.keyid,
            "signing": encode(self.signing.private_bytes_raw()),
            "sealing": encode(self.sealing.private_bytes_raw()),
        }
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file)


class Directory:
    """The public keys of every party, by key id and by party."""

    def __init__(self, entries: list[PublicKeys]) -> None:
        self._entries = entries
        self._by_keyid = {entry.keyid: entry for entry in entries}
        self._by_party: dict[str, list[PublicKeys]] = {}
        for entry in sorted(entries, key=lambda entry: entry.not_before, reverse=True):
            self._by_party.setdefault(entry.party, []).append(entry)

    @classmethod
    def read(cls, path: Path) -> Directory:
        """Load a directory written by `write`."""
        return cls(
            [
                PublicKeys(
                    party=entry["party"],
                    keyid=entry["keyid"],
                    signing=Ed25519PublicKey.from_public_bytes(decode(entry["signing"])),
                    sealing=X25519PublicKey.from_public_bytes(decode(entry["sealing"])),
                    not_before=datetime.fromisoformat(entry["not_before"]),
                    not_after=datetime.fromisoformat(entry["not_after"]),
                )
                for entry in json.loads(path.read_text())["keys"]
            ]
        )

    def write(self, path: Path) -> None:
        """Store the directory; it holds nothing secret."""
        keys = [
            {
                "party": entry.party,
                "keyid": entry.keyid,
                "signing": encode(entry.signing.public_bytes_raw()),
                "sealing": encode(entry.sealing.public_bytes_raw()),
                "not_before": entry.not_before.isoformat(),
                "not_after": entry.not_after.isoformat(),
            }
            for entry in self._entries
        ]
        path.write_text(json.dumps({"keys": keys}, indent=1))

    def key(self, keyid: str, moment: datetime) -> PublicKeys:
        """The keys of this id; UnknownKey when absent or not valid at that moment."""
        entry = self._by_keyid.get(keyid)
        if entry is None or not entry.is_valid_at(moment):
            msg = "no valid key of that id in the directory; enrol it or read the directory again"
            raise UnknownKey(msg)
        return entry

    def current(self, party: str, moment: datetime) -> PublicKeys:
        """The newest valid keys of a party; UnknownKey when it has none."""
        for entry in self._by_party.get(party, ()):
            if entry.is_valid_at(moment):
                return entry
        msg = f"{party} has no valid key in the directory; enrol one"
        raise UnknownKey(msg)


def generate(party: str, *, not_before: datetime, not_after: datetime) -> tuple[KeyRing, PublicKeys]:
    """New keys of a party; the key id is derived from the signing key, so two rings never share one."""
    signing, sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
    keyid = f"{party}.{sha256(signing.public_key().public_bytes_raw()).hexdigest()[:16]}"
    ring = KeyRing(party, keyid, signing, sealing)
    return ring, PublicKeys(party, keyid, signing.public_key(), sealing.public_key(), not_before, not_after)
