"""Encrypts the sections of a case under a key of the case, and that key under the master key."""

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from simpul_intake.vault.encryption import create_key, decrypt, encrypt
from simpul_intake.vault.errors import DecryptionFailed, KeyServiceUnavailable, MasterKeyMissing
from simpul_intake.vault.wrapping import UNRECORDED, KeyToWrap, KeyWrapper, WrappedKey
from simpul_runtime.database import utc_now

FULL_RESERVE: Final = 200
"""Cases that can be opened while a key service does not answer."""
RESERVE_LIFETIME: Final = timedelta(hours=24)
"""How long a key of the reserve is used: operators keep the older version of the master key for this time."""
RENEW_AFTER: Final = timedelta(hours=1)
"""Age from which the reserve is renewed while the key service answers, so that an outage finds young keys."""


@dataclass(frozen=True, slots=True)
class NewCaseKey:
    """A data key that is not stored yet, in clear and wrapped."""

    case_id: UUID
    key: bytes = field(repr=False)
    wrapped: WrappedKey
    created_at: datetime


class Vault:
    """Wraps case keys, and encrypts and decrypts sections; stores nothing."""

    def __init__(self, current: KeyWrapper, *older: KeyWrapper, now: Callable[[], datetime] = utc_now) -> None:
        """`current` wraps; `older` ones only unwrap what they wrapped before."""
        self._current = current
        self._wrappers = (current, *older)
        self._now = now
        self._reserve: deque[NewCaseKey] = deque()

    async def current_key_id(self) -> str:
        """Returns the id of the master key that wraps now."""
        return await self._current.current_key_id()

    async def create_case_keys(self, count: int) -> list[NewCaseKey]:
        """Creates the data keys of new cases, from the reserve where there is one."""
        self._drop_expired_reserve()
        taken = [self._reserve.popleft() for _ in range(min(count, len(self._reserve)))]
        try:
            return taken + await self._create_keys([uuid4() for _ in range(count - len(taken))])
        except KeyServiceUnavailable:
            self._reserve.extend(taken)
            raise

    async def create_case_key(self, case_id: UUID) -> NewCaseKey:
        """Creates another data key for a case."""
        return (await self._create_keys([case_id]))[0]

    @property
    def reserve_size(self) -> int:
        """The number of cases that can be opened without the key service."""
        self._drop_expired_reserve()
        return len(self._reserve)

    async def fill_reserve(self) -> None:
        """Wraps keys in advance while the key service answers.

        A report is then stored without waiting for the key service, also while that does not answer. Keys in a file
        need no reserve.
        """
        if self._current.is_remote:
            key_id = await self.current_key_id()
            missing = FULL_RESERVE - len(self._list_young_keys(key_id))
            added = await self._create_keys([uuid4() for _ in range(missing)])
            # Only now: older keys serve reports until newer ones are there, and reports took some meanwhile.
            self._reserve = deque([*self._list_young_keys(key_id), *added])

    def _list_young_keys(self, key_id: str) -> list[NewCaseKey]:
        return [key for key in self._reserve if key.wrapped.key_id == key_id and self._age(key) < RENEW_AFTER]

    def _drop_expired_reserve(self) -> None:
        self._reserve = deque(key for key in self._reserve if self._age(key) < RESERVE_LIFETIME)

    def _age(self, key: NewCaseKey) -> timedelta:
        return self._now() - key.created_at

    async def _create_keys(self, case_ids: Sequence[UUID]) -> list[NewCaseKey]:
        keys = [KeyToWrap(create_key(), case_key_context(case_id)) for case_id in case_ids]
        created_at = self._now()
        wrapped = await self.wrap(keys)
        return [
            NewCaseKey(case_id, new.key, one, created_at)
            for case_id, new, one in zip(case_ids, keys, wrapped, strict=True)
        ]

    async def wrap(self, keys: Sequence[KeyToWrap]) -> list[WrappedKey]:
        """Wraps keys under the current master key."""
        return await self._current.wrap(keys)

    async def unwrap(self, wrapped: WrappedKey) -> bytes:
        """Unwraps a key; raises MasterKeyMissing and DecryptionFailed."""
        return (await self.unwrap_all([wrapped]))[0]

    async def unwrap_all(self, wrapped: Sequence[WrappedKey]) -> list[bytes]:
        """Unwraps keys in their order, whichever wrapper has their master keys."""
        wrappers = {key_id: await self._wrapper_of(key_id) for key_id in {one.key_id for one in wrapped}}
        keys: dict[int, bytes] = {}
        for wrapper in set(wrappers.values()):
            numbers = [number for number, one in enumerate(wrapped) if wrappers[one.key_id] is wrapper]
            keys |= zip(numbers, await wrapper.unwrap([wrapped[number] for number in numbers]), strict=True)
        return [keys[number] for number in range(len(wrapped))]

    async def list_missing(self, key_ids: Sequence[str]) -> list[str]:
        """Returns those of the ids under which nothing can be unwrapped."""
        return [key_id for key_id in key_ids if await self._find_wrapper(key_id) is None]

    async def _wrapper_of(self, key_id: str) -> KeyWrapper:
        wrapper = await self._find_wrapper(key_id)
        if wrapper is None:
            raise MasterKeyMissing(explain_missing(key_id))
        return wrapper

    async def _find_wrapper(self, key_id: str) -> KeyWrapper | None:
        for wrapper in self._wrappers:
            if await wrapper.holds(key_id):
                return wrapper
        return None

    def encrypt_section(
        self, key: bytes, case_id: UUID, section: str, revision: int, content: Mapping[str, object]
    ) -> bytes:
        """Encrypts one section, bound to its case, name and revision."""
        return self.encrypt_bytes(key, json.dumps(content, ensure_ascii=False).encode(), case_id, section, revision)

    def encrypt_bytes(self, key: bytes, clear: bytes, case_id: UUID, section: str, revision: int) -> bytes:
        """Encrypts bytes, such as those of a photo, like a section."""
        return encrypt(key, clear, _section_context(case_id, section, revision))

    def decrypt_section(
        self, key: bytes, ciphertext: bytes, case_id: UUID, section: str, revision: int
    ) -> dict[str, Any]:
        """Decrypts one section; raises DecryptionFailed for another key, case, name or revision."""
        content: dict[str, Any] = json.loads(self.decrypt_bytes(key, ciphertext, case_id, section, revision))
        return content

    def decrypt_bytes(self, key: bytes, ciphertext: bytes, case_id: UUID, section: str, revision: int) -> bytes:
        """Decrypts what `encrypt_bytes` encrypted; raises DecryptionFailed like `decrypt_section`."""
        try:
            return decrypt(key, ciphertext, _section_context(case_id, section, revision))
        except DecryptionFailed as error:
            msg = f"section {section} cannot be decrypted; it was moved or altered"
            raise DecryptionFailed(msg) from error


def explain_missing(key_id: str) -> str:
    """Says in one sentence which master key is missing, and what to do."""
    if key_id == UNRECORDED:
        return "the vault needs the vault.key with which this database began; set SIMPUL_VAULT_KEY_FILE to it"
    return f"the vault needs master key {key_id}, and neither its key file nor its key service has it"


def case_key_context(case_id: UUID) -> bytes:
    """Returns the associated data that binds a wrapped data key to its case."""
    return b"case-key|" + case_id.bytes


def _section_context(case_id: UUID, section: str, revision: int) -> bytes:
    return f"section|{case_id}|{section}|{revision}".encode()
