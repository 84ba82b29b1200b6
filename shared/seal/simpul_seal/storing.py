"""Keeping something that only its own party may read in that party's database."""

import os
from contextlib import suppress
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from simpul_seal.errors import NotForUs
from simpul_seal.keys import KeyRing

_NONCE_BYTES = 12


def lock(content: bytes, ring: KeyRing, *, place: str) -> bytes:
    """The content under a key that follows from the ring, bound to the place where it is kept."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(ring).encrypt(nonce, content, place.encode())


def unlock(locked: bytes, ring: KeyRing, *, place: str) -> bytes:
    """The content again; NotForUs with another ring, or when it was altered or moved."""
    for key in ring.all_keys:
        with suppress(InvalidTag):
            return _cipher(key).decrypt(locked[:_NONCE_BYTES], locked[_NONCE_BYTES:], place.encode())
    msg = "what is stored here was not locked with this key for this place"
    raise NotForUs(msg)


def _cipher(ring: KeyRing) -> AESGCM:
    secret = sha256(ring.sealing.private_bytes_raw()).digest()
    return AESGCM(HKDFExpand(SHA256(), 32, b"simpul-storing/1").derive(secret))
