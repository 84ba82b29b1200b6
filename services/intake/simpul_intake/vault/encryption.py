"""AES-256-GCM with a random nonce in front of the ciphertext, and keys derived from keys."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from simpul_intake.vault.errors import DecryptionFailed

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def create_key() -> bytes:
    """Creates a random key."""
    return AESGCM.generate_key(KEY_BYTES * 8)


def derive_key(key: bytes, purpose: bytes) -> bytes:
    """Derives the key for one purpose; it does not reveal the key it comes from."""
    return HKDFExpand(SHA256(), KEY_BYTES, b"simpul-vault/1|" + purpose).derive(key)


def encrypt(key: bytes, clear: bytes, associated_data: bytes) -> bytes:
    """Encrypts, and binds the ciphertext to its associated data."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, clear, associated_data)


def decrypt(key: bytes, ciphertext: bytes, associated_data: bytes) -> bytes:
    """Decrypts; raises DecryptionFailed for another key or other associated data."""
    try:
        return AESGCM(key).decrypt(ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:], associated_data)
    except (InvalidTag, ValueError) as error:
        msg = "the ciphertext cannot be decrypted; it was moved or altered, or belongs to another key"
        raise DecryptionFailed(msg) from error
