"""Loads the vault's secrets, and creates those that do not exist yet."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_intake import repository
from simpul_intake.repository import StoredSecret
from simpul_intake.vault import (
    KeyFile,
    KeyToWrap,
    MasterKey,
    MasterKeyMissing,
    SecretName,
    Secrets,
    Vault,
    WrappedKey,
    case_key_context,
    create_secret,
    explain_missing,
    secret_context,
)


class VaultSecrets:
    """The secrets of one database; unwrapped once and kept in memory."""

    def __init__(self, engine: AsyncEngine, vault: Vault, key_file: KeyFile | None) -> None:
        """`key_file` is needed only where a database of the first version has not been re-wrapped yet."""
        self._engine = engine
        self._vault = vault
        self._key_file = key_file
        self._secrets: Secrets | None = None
        self._loading = asyncio.Lock()

    async def load(self) -> Secrets:
        """Returns the secrets; raises MasterKeyMissing, DecryptionFailed or KeyServiceUnavailable."""
        if self._secrets is None:
            async with self._loading:
                self._secrets = self._secrets or await self._unwrap(await self._load_or_create())
        return self._secrets

    async def _load_or_create(self) -> list[StoredSecret]:
        async with self._engine.connect() as connection:
            stored = await repository.load_secrets(connection)
            missing = [name for name in SecretName if name.value not in {one.name for one in stored}]
            unrecorded = await repository.find_unrecorded_case_key(connection) if missing else None
        if not missing:
            return stored
        first = None
        if unrecorded:
            first = self._find_first_master_key(
                WrappedKey(unrecorded.key_id, unrecorded.wrapped, case_key_context(unrecorded.case_id))
            )
        wrapped = await self._vault.wrap(
            [KeyToWrap(create_secret(name, first), secret_context(name)) for name in missing]
        )
        created = [
            StoredSecret(name.value, one.key_id, one.ciphertext) for name, one in zip(missing, wrapped, strict=True)
        ]
        async with self._engine.begin() as connection:
            await repository.add_secrets(connection, created)
            # Another process may have been faster, and its secrets count.
            return await repository.load_secrets(connection)

    def _find_first_master_key(self, wrapped: WrappedKey) -> MasterKey:
        if self._key_file is None:
            raise MasterKeyMissing(explain_missing(wrapped.key_id))
        return self._key_file.find_master_key(wrapped)

    async def _unwrap(self, stored: list[StoredSecret]) -> Secrets:
        known = {name.value for name in SecretName}
        rows = [one for one in stored if one.name in known]
        keys = await self._vault.unwrap_all(
            [WrappedKey(one.key_id, one.wrapped, secret_context(SecretName(one.name))) for one in rows]
        )
        return Secrets({SecretName(one.name): key for one, key in zip(rows, keys, strict=True)})
