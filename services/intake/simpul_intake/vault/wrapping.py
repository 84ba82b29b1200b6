"""The interface behind which master keys stay, in a file or in a key service."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

UNRECORDED: Final = ""
"""The key id of rows from the time when the vault had a single master key and recorded no id."""


@dataclass(frozen=True, slots=True)
class KeyToWrap:
    """A key, and the associated data that binds its wrapped form to its owner."""

    key: bytes = field(repr=False)
    associated_data: bytes


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key encrypted under a master key."""

    key_id: str
    """The master key; UNRECORDED in rows of the first version."""
    ciphertext: bytes
    associated_data: bytes


class KeyWrapper(Protocol):
    """Wraps and unwraps keys under master keys that never leave it.

    Raises KeyServiceUnavailable when the master keys cannot be reached.
    """

    @property
    def is_remote(self) -> bool:
        """Whether a call leaves this process, so that it can be slow or fail while the service works."""

    async def current_key_id(self) -> str:
        """Returns the id of the master key that wraps now."""

    async def holds(self, key_id: str) -> bool:
        """Returns whether keys wrapped under this id can be unwrapped."""

    async def wrap(self, keys: Sequence[KeyToWrap]) -> list[WrappedKey]:
        """Wraps keys under the current master key."""

    async def unwrap(self, wrapped: Sequence[WrappedKey]) -> list[bytes]:
        """Unwraps keys; raises MasterKeyMissing for an id it does not hold, and DecryptionFailed."""
