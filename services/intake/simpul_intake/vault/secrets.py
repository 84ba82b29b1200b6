"""Keys of intake that outlive every master key: what was made with them must match later."""

import hmac
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from simpul_intake.vault.encryption import create_key, derive_key
from simpul_intake.vault.key_file import MasterKey


class SecretName(StrEnum):
    """What a secret is for; the value is stored."""

    MATCHING = "matching"
    """Digests by which a repeated report is recognised."""
    RECEIPTS = "receipts"
    """The words that a reporting person gets."""
    DUPLICATES = "duplicates"
    """Tokens by which reports about the same child are found; see `simpul_intake.duplicates`."""


_ONCE_DERIVED: Final = (SecretName.MATCHING, SecretName.RECEIPTS)


class Secrets:
    """The secrets in clear."""

    def __init__(self, keys: Mapping[SecretName, bytes]) -> None:
        self._keys = keys

    @property
    def receipt_key(self) -> bytes:
        """The key from which receipts are derived."""
        return self._keys[SecretName.RECEIPTS]

    @property
    def duplicates_key(self) -> bytes:
        """The key of the blind index."""
        return self._keys[SecretName.DUPLICATES]

    def compute_mac(self, content: bytes) -> bytes:
        """Computes a keyed digest by which stored content can be compared without being decrypted."""
        return hmac.digest(self._keys[SecretName.MATCHING], content, "sha256")


def create_secret(name: SecretName, first_master_key: MasterKey | None) -> bytes:
    """Creates a secret.

    A database of the first version derived two secrets from its master key: there the same ones come out, so that
    receipts and repeated reports still match.
    """
    if first_master_key and name in _ONCE_DERIVED:
        return derive_key(first_master_key.secret, name.value.encode())
    return create_key()


def secret_context(name: SecretName) -> bytes:
    """Returns the associated data that binds a wrapped secret to its name."""
    return f"secret|{name.value}".encode()
