"""Shows which master keys are in use, and takes one out of use."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_intake import audit, repository
from simpul_intake.errors import MasterKeyInUse
from simpul_intake.vault import retirement_code
from simpul_runtime.audit import append_entries


class MasterKeys:
    """Used by the operator's commands; needs no key."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def count_wrapped_keys(self) -> Mapping[str, int]:
        """Counts the keys that each master key wraps, by its id; rows of the first version have an empty one."""
        async with self._engine.connect() as connection:
            return await repository.count_by_master_key(connection)

    async def check_unused(self, key_id: str) -> None:
        """Raises MasterKeyInUse while the master key wraps anything."""
        counts = await self.count_wrapped_keys()
        # A row without an id may need any master key.
        used = counts.get(key_id, 0) + counts.get("", 0)
        if used:
            raise MasterKeyInUse(key_id, used)

    async def record_retirement(self, key_id: str, by: str, now: datetime) -> str:
        """Records that a master key is out of use, which certificates of erasure then say.

        Returns the code with which the key can be removed from its file. Raises MasterKeyInUse.
        """
        await self.check_unused(key_id)
        async with self._engine.begin() as connection:
            await repository.retire_master_key(connection, key_id, by, now)
            await append_entries(connection, [audit.master_key_retired(key_id, by)], now)
        return retirement_code(key_id)
