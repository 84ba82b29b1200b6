"""Encrypts case sections under a key per case, and that key under the master key (AES-256-GCM)."""

import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from simpul_seal.encoding import decode, encode

_NONCE_BYTES = 12


class DecryptionFailed(Exception):
    """The ciphertext cannot be decrypted: the master key is wrong, or the row was moved or altered."""


def create_master_key(path: Path) -> None:
    """Writes a new master key with mode 0600; raises FileExistsError instead of replacing a key."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(encode(AESGCM.generate_key(256)))


class Vault:
    """Encrypts and decrypts case sections; stores nothing."""

    def __init__(self, master_key: bytes) -> None:
        self._key_cipher = AESGCM(_derive_key(master_key, b"wrapping"))
        self._mac_key = _derive_key(master_key, b"matching")
        self.receipt_key = _derive_key(master_key, b"receipts")

    @classmethod
    def from_file(cls, path: Path) -> "Vault":
        """Loads the master key that `create_master_key` wrote."""
        return cls(decode(path.read_text().strip()))

    def create_case_key(self, case_id: UUID) -> tuple[bytes, bytes]:
        """Creates the data key of a case; returns it in clear and wrapped."""
        key = AESGCM.generate_key(256)
        return key, _encrypt(self._key_cipher, key, b"case-key|" + case_id.bytes)

    def encrypt_section(
        self, key: bytes, case_id: UUID, section: str, revision: int, content: Mapping[str, object]
    ) -> bytes:
        """Encrypts one section, bound to its case, name and revision."""
        clear = json.dumps(content, ensure_ascii=False).encode()
        return _encrypt(AESGCM(key), clear, _section_context(case_id, section, revision))

    def unwrap_case_key(self, case_id: UUID, wrapped: bytes) -> bytes:
        """Unwraps the data key of a case; raises DecryptionFailed for another master key or another case."""
        try:
            return _decrypt(self._key_cipher, wrapped, b"case-key|" + case_id.bytes)
        except InvalidTag as error:
            msg = "the case key cannot be decrypted; check the master key"
            raise DecryptionFailed(msg) from error

    def decrypt_section(
        self, key: bytes, ciphertext: bytes, case_id: UUID, section: str, revision: int
    ) -> dict[str, Any]:
        """Decrypts one section; raises DecryptionFailed for another key, case, name or revision."""
        try:
            clear = _decrypt(AESGCM(key), ciphertext, _section_context(case_id, section, revision))
        except InvalidTag as error:
            msg = f"section {section} cannot be decrypted; it was moved or altered"
            raise DecryptionFailed(msg) from error
        content: dict[str, Any] = json.loads(clear)
        return content

    def compute_mac(self, content: bytes) -> bytes:
        """Computes a keyed digest by which stored content can be compared without being decrypted."""
        return hmac.digest(self._mac_key, content, "sha256")


def _derive_key(master_key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, b"simpul-vault/1|" + purpose).derive(master_key)


def _section_context(case_id: UUID, section: str, revision: int) -> bytes:
    return f"section|{case_id}|{section}|{revision}".encode()


def _encrypt(cipher: AESGCM, clear: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, clear, context)


def _decrypt(cipher: AESGCM, ciphertext: bytes, context: bytes) -> bytes:
    return cipher.decrypt(ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:], context)
