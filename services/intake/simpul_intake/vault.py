"""The vault: sections of a case under the case's own key, that key wrapped by the master key (AES-256-GCM)."""

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


class VaultClosed(Exception):
    """The section does not open with this key in this place: wrong master key, or moved, or altered."""


def create_vault_key(path: Path) -> None:
    """A new master key, readable by its owner only; FileExistsError rather than lose an older one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(encode(AESGCM.generate_key(256)))


class Vault:
    """Seals and opens sections; keeps nothing."""

    def __init__(self, master_key: bytes) -> None:
        self._wrapping = AESGCM(_derived(master_key, b"wrapping"))
        self._matching = _derived(master_key, b"matching")
        self.receipt_key = _derived(master_key, b"receipts")

    @classmethod
    def from_file(cls, path: Path) -> "Vault":
        """The vault of a master key written by `create_vault_key`."""
        return cls(decode(path.read_text().strip()))

    def new_case_key(self, case_id: UUID) -> tuple[bytes, bytes]:
        """A data key for one case, in clear and wrapped."""
        key = AESGCM.generate_key(256)
        return key, _encrypt(self._wrapping, key, b"case-key|" + case_id.bytes)

    def seal(self, key: bytes, case_id: UUID, section: str, revision: int, content: Mapping[str, object]) -> bytes:
        """The ciphertext of one section, bound to its case, name and revision."""
        clear = json.dumps(content, ensure_ascii=False).encode()
        return _encrypt(AESGCM(key), clear, _place(case_id, section, revision))

    def case_key(self, case_id: UUID, wrapped: bytes) -> bytes:
        """The data key of a case, in clear; VaultClosed with another master key or for another case."""
        try:
            return _decrypt(self._wrapping, wrapped, b"case-key|" + case_id.bytes)
        except InvalidTag as error:
            msg = "the case key does not open"
            raise VaultClosed(msg) from error

    def open(self, key: bytes, ciphertext: bytes, case_id: UUID, section: str, revision: int) -> dict[str, Any]:
        """The content of one section; VaultClosed when anything does not fit."""
        try:
            clear = _decrypt(AESGCM(key), ciphertext, _place(case_id, section, revision))
        except InvalidTag as error:
            msg = f"section {section} does not open"
            raise VaultClosed(msg) from error
        content: dict[str, Any] = json.loads(clear)
        return content

    def mac(self, content: bytes) -> bytes:
        """Tells whether two reports have the same content, without telling what it is."""
        return hmac.digest(self._matching, content, "sha256")


def _derived(master_key: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, b"simpul-vault/1|" + purpose).derive(master_key)


def _place(case_id: UUID, section: str, revision: int) -> bytes:
    return f"section|{case_id}|{section}|{revision}".encode()


def _encrypt(cipher: AESGCM, clear: bytes, place: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, clear, place)


def _decrypt(cipher: AESGCM, sealed: bytes, place: bytes) -> bytes:
    return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
