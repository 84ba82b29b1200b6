"""Public test keys, with which the samples and fixtures of the contract are signed.

The private keys are derived from the names below: anybody can compute them, so nobody may ever trust them.
"""

from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from simpul_seal import Directory, KeyRing, PublicKeys, sign

PARTIES: Final = ("intake", "routing", "notify", "dinsos-peksos", "uptd-ppa")
NOW: Final = datetime(2026, 11, 27, 15, 30, tzinfo=UTC)
"""The time at which the samples are verified; a key named `outdated` has ended by then."""
_BEGIN, _END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_OUTDATED = datetime(2026, 6, 1, tzinfo=UTC)


@cache
def sample_ring(party: str, name: str = "sample") -> KeyRing:
    """Derives the private keys of a party's test key ring."""
    seeds = [
        sha256(f"simpul {name} {use} of {party}: not a secret".encode()).digest() for use in ("signing", "sealing")
    ]
    return KeyRing(
        party,
        f"{party}.{name}",
        Ed25519PrivateKey.from_private_bytes(seeds[0]),
        X25519PrivateKey.from_private_bytes(seeds[1]),
    )


def sample_directory() -> Directory:
    """Returns the public keys of all test key rings."""
    entries = [_public(sample_ring(party), _END) for party in PARTIES]
    return Directory([*entries, _public(sample_ring("routing", "outdated"), _OUTDATED)])


def sign_as(source: str, body: bytes) -> str:
    """Signs a body with the test key of the party that a `source` names."""
    return sign(body, sample_ring(source.rpartition("/")[2]))


def _public(ring: KeyRing, end: datetime) -> PublicKeys:
    return PublicKeys(ring.party, ring.keyid, ring.signing.public_key(), ring.sealing.public_key(), _BEGIN, end)
