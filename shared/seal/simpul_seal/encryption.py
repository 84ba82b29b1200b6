"""Encrypts at rest what only its own party may read in that party's database."""

import os
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from simpul_seal.errors import NotForUs
from simpul_seal.keys import KeyRing

_NONCE_BYTES = 12


def encrypt(content: bytes, ring: KeyRing, *, associated_data: str) -> bytes:
    """Encrypts with a key derived from the ring; the associated data names the row to which the content belongs."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(ring).encrypt(nonce, content, associated_data.encode())


def decrypt(encrypted: bytes, ring: KeyRing, *, associated_data: str) -> bytes:
    """Decrypts what `encrypt` returned; raises NotForUs with another ring or if the content was altered or moved."""
    nonce, ciphertext = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
    for key in ring.all_keys:
        with suppress(InvalidTag):
            return _cipher(key).decrypt(nonce, ciphertext, associated_data.encode())
    msg = "the content was not encrypted with this key for this row"
    raise NotForUs(msg)


@lru_cache(maxsize=16)
def _cipher(ring: KeyRing) -> AESGCM:
    # Kept, because deriving the key takes longer than encrypting a row; a ring keeps its keys in memory anyway.
    secret = sha256(ring.sealing.private_bytes_raw()).digest()
    return AESGCM(HKDFExpand(SHA256(), 32, b"simpul-storing/1").derive(secret))
