"""Hashes passwords by Argon2id, with the same work for an account that does not exist."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from simpul_desk.access.password import MAX_LENGTH, normalize_password

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""The parameters that OWASP names: 19 MiB, two passes, one lane."""
_NOBODY: Final = _HASHER.hash("nobody has this password")
"""Verified where there is no account, so that the answer takes as long."""
_AT_ONCE: Final = 2
"""A flood of logins waits here, and takes neither all processors nor the memory."""


class Passwords:
    """Hashes and verifies passwords, a few at once."""

    def __init__(self) -> None:
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, password: str) -> str:
        """Returns the hash of a password with its parameters."""
        async with self._limit:
            return await asyncio.to_thread(_HASHER.hash, normalize_password(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether a password is the one that was hashed; False, after the same work, where nothing is stored."""
        async with self._limit:
            return await asyncio.to_thread(_verify, normalize_password(password)[: MAX_LENGTH + 1], stored)


def _verify(password: str, stored: str | None) -> bool:
    try:
        return _HASHER.verify(stored or _NOBODY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
