"""Re-wraps stored keys under the current master key while intake serves."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_intake import repository
from simpul_intake.repository import StoredCaseKey, StoredSecret
from simpul_intake.use_cases.vault_secrets import VaultSecrets
from simpul_intake.vault import (
    DecryptionFailed,
    KeyServiceUnavailable,
    KeyToWrap,
    MasterKeyMissing,
    SecretName,
    Vault,
    WrappedKey,
    case_key_context,
    explain_missing,
    secret_context,
)
from simpul_runtime.metrics import REGISTRY

POLL_INTERVAL: Final = timedelta(seconds=15)
"""Time between two checks for a new master key."""
BATCH_SIZE: Final = 200

KEYS_TO_REWRAP: Final = Gauge("simpul_vault_keys_to_rewrap", "Keys that an older master key wraps", registry=REGISTRY)
CASE_KEYS_IN_RESERVE: Final = Gauge(
    "simpul_vault_reserve", "Cases that can be opened while the key service does not answer", registry=REGISTRY
)

log = structlog.get_logger()


class RewrapKeys:
    """One per process; several processes re-wrap side by side without harm.

    A batch is read, re-wrapped without an open transaction and stored where nothing changed meanwhile, so a process
    that ends in between loses nothing and the next one continues.
    """

    def __init__(self, engine: AsyncEngine, vault: Vault, secrets: VaultSecrets) -> None:
        self._engine = engine
        self._vault = vault
        self._secrets = secrets
        self._unreadable: set[UUID] = set()
        self._problems: list[str] = []
        self._is_away = False

    async def run(self) -> None:
        """Re-wraps, and fills the reserve of case keys, until cancelled."""
        while True:
            await self.check_keys()
            await asyncio.sleep(POLL_INTERVAL.total_seconds())

    async def check_keys(self) -> None:
        """Does one round of the loop; what fails is a problem until a round succeeds."""
        try:
            # First: keys that are re-wrapped no longer show which master key a database began with.
            await self._secrets.load()
            await self.rewrap_keys()
            await self._vault.fill_reserve()
            problems = await self.find_missing_keys()
        except (MasterKeyMissing, KeyServiceUnavailable, DecryptionFailed) as error:
            problems, reason = [f"vault: {error}"], type(error).__name__
            self._is_away = isinstance(error, KeyServiceUnavailable)
        except Exception as error:
            log.warning("rewrap_failed", exc_info=error)
            return
        else:
            self._is_away, reason = False, MasterKeyMissing.__name__
        CASE_KEYS_IN_RESERVE.set(self._vault.reserve_size)
        for problem in problems:
            if problem not in self._problems:
                # The log writes no sentence; `/health/ready` has it.
                log.error("vault_unusable", reason=reason)
        self._problems = problems

    def problems(self) -> list[str]:
        """Returns why reports cannot be stored or cases not be opened; empty when they can.

        While the key service does not answer, reports are taken from the reserve, and readiness reports no problem yet.
        """
        return [] if self._is_away and self._vault.reserve_size else self._problems

    async def rewrap_keys(self) -> int:
        """Re-wraps every key that an older master key wraps; returns how many case keys that were."""
        await self._rewrap_secrets()
        total = 0
        while batch := await self._find_batch():
            total += await self._rewrap_batch(batch)
        if total:
            log.info("case_keys_rewrapped", count=total)
        KEYS_TO_REWRAP.set(await self._count_keys_to_rewrap())
        return total

    async def _find_batch(self) -> list[StoredCaseKey]:
        # The current master key is asked for each time, because a newer one may begin to wrap meanwhile.
        older = await self._list_older_master_keys()
        readable = sorted(set(older).difference(await self._vault.list_missing(older)))
        if not readable:
            return []
        async with self._engine.connect() as connection:
            return await repository.find_case_keys_to_rewrap(connection, readable, list(self._unreadable), BATCH_SIZE)

    async def _list_older_master_keys(self) -> list[str]:
        current = await self._vault.current_key_id()
        async with self._engine.connect() as connection:
            return [key_id for key_id in await repository.list_master_keys(connection) if key_id != current]

    async def _count_keys_to_rewrap(self) -> int:
        older = await self._list_older_master_keys()
        if not older:
            # Counting reads the whole index, so it is left out where nothing is to be counted.
            return 0
        async with self._engine.connect() as connection:
            counts = await repository.count_by_master_key(connection)
        return sum(counts.get(key_id, 0) for key_id in older)

    async def _rewrap_batch(self, batch: Sequence[StoredCaseKey]) -> int:
        wrapped = [WrappedKey(one.key_id, one.wrapped, case_key_context(one.case_id)) for one in batch]
        try:
            keys = await self._vault.unwrap_all(wrapped)
        except DecryptionFailed as error:
            if len(batch) > 1:
                return sum([await self._rewrap_batch([one]) for one in batch])
            self._set_aside(batch[0], error)
            return 0
        after = await self._vault.wrap(
            [KeyToWrap(key, one.associated_data) for key, one in zip(keys, wrapped, strict=True)]
        )
        replaced = [(one, new.ciphertext) for one, new in zip(batch, after, strict=True)]
        async with self._engine.begin() as connection:
            return await repository.replace_case_keys(connection, after[0].key_id, replaced)

    def _set_aside(self, stored: StoredCaseKey, error: Exception) -> None:
        """Leaves a key alone until the next start, so that it does not keep the others from being re-wrapped."""
        self._unreadable.add(stored.case_id)
        reason = type(error).__name__
        log.error("case_key_unreadable", case_id=stored.case_id, key_id=stored.key_id, reason=reason)

    async def _rewrap_secrets(self) -> None:
        key_id = await self._vault.current_key_id()
        async with self._engine.connect() as connection:
            stored = await repository.load_secrets(connection)
        known = {name.value for name in SecretName}
        for before in (one for one in stored if one.key_id != key_id and one.name in known):
            context = secret_context(SecretName(before.name))
            key = await self._vault.unwrap(WrappedKey(before.key_id, before.wrapped, context))
            [after] = await self._vault.wrap([KeyToWrap(key, context)])
            async with self._engine.begin() as connection:
                await repository.replace_secret(
                    connection, before, StoredSecret(before.name, after.key_id, after.ciphertext)
                )

    async def find_missing_keys(self) -> list[str]:
        """Finds the master keys that wrap something stored and are not here, one sentence each."""
        async with self._engine.connect() as connection:
            used = await repository.list_master_keys(connection)
        return [f"vault: {explain_missing(key_id)}" for key_id in await self._vault.list_missing(used)]
