"""Opens every sealed row with the keys of this machine."""

from collections import Counter
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from simpul_cli.doctor.checks.vault import VaultFacts
from simpul_cli.keys import key_file, vault_file
from simpul_intake.vault import (
    UNRECORDED,
    DecryptionFailed,
    KeyFile,
    MasterKeyFileInvalid,
    MasterKeyMissing,
    SecretName,
    Vault,
    WrappedKey,
    case_key_context,
    secret_context,
)
from simpul_routing.stored_facts import case_context
from simpul_seal import KeyRing, NotForUs, decrypt

PAGE: Final = 500
_CASE_KEYS: Final = "SELECT case_id, key_id, wrapped FROM case_key"
_SECTIONS: Final = "SELECT case_id, name, revision, ciphertext FROM section WHERE case_id = ANY($1)"
_SECRETS: Final = "SELECT name, key_id, wrapped FROM vault_secret"
_SECRET_NAMES: Final = frozenset(name.value for name in SecretName)
_FACTS: Final = "SELECT case_id, situation FROM case_plan"


async def collect(data: Path, *, intake_url: str, routing_url: str) -> VaultFacts:
    """Collects what cannot be opened; an empty address leaves that database out."""
    path, problem, missing, unopened = vault_file(data / "secrets"), "", Counter[str](), 0
    if intake_url:
        try:
            missing, unopened = await _open_intake(intake_url, KeyFile(path))
        except MasterKeyFileInvalid as error:
            problem = str(error)
        except OSError as error:
            problem = type(error).__name__
    routing_unopened, routing_key = await _open_routing(routing_url, data) if routing_url else (0, "")
    return VaultFacts(
        key_file_problem=problem,
        is_readable_by_others=path.exists() and bool(path.stat().st_mode & 0o077),
        missing=missing,
        unopened=unopened,
        routing_unopened=routing_unopened,
        routing_key=routing_key,
    )


async def _open_intake(url: str, keys: KeyFile) -> tuple[Counter[str], int]:
    missing, unopened = Counter[str](), 0
    vault = Vault(keys)
    connection: Any = await asyncpg.connect(url)
    try:
        for name, key_id, wrapped in await connection.fetch(_SECRETS):
            if not _is_of_key_service(key_id) and name in _SECRET_NAMES:
                unopened += await _fails(vault, WrappedKey(key_id, wrapped, secret_context(SecretName(name))), missing)
        async with connection.transaction():
            cursor = await connection.cursor(_CASE_KEYS)
            while page := await cursor.fetch(PAGE):
                unopened += await _open_cases(connection, vault, page, missing)
    finally:
        await connection.close()
    return missing, unopened


def _is_of_key_service(key_id: str) -> bool:
    """Whether a key service has the master key, which does not leave it."""
    return key_id != UNRECORDED and not key_id.startswith("file:")


async def _fails(vault: Vault, wrapped: WrappedKey, missing: Counter[str]) -> bool:
    return await _unwrap(vault, wrapped, missing) is None and wrapped.key_id not in missing


async def _unwrap(vault: Vault, wrapped: WrappedKey, missing: Counter[str]) -> bytes | None:
    """Unwraps a key; counts a missing master key."""
    try:
        return await vault.unwrap(wrapped)
    except MasterKeyMissing:
        missing[wrapped.key_id] += 1
    except DecryptionFailed:
        pass
    return None


async def _open_cases(connection: Any, vault: Vault, page: list[Any], missing: Counter[str]) -> int:
    """Opens the sections of some cases; returns how many rows no key opens."""
    unopened, keys = 0, dict[UUID, bytes]()
    for case_id, key_id, wrapped in page:
        if _is_of_key_service(key_id):
            continue
        key = await _unwrap(vault, WrappedKey(key_id, wrapped, case_key_context(case_id)), missing)
        if key is not None:
            keys[case_id] = key
        elif key_id not in missing:
            unopened += 1
    for case_id, name, revision, ciphertext in await connection.fetch(_SECTIONS, list(keys)):
        try:
            vault.decrypt_section(keys[case_id], ciphertext, case_id, name, revision)
        except DecryptionFailed:
            unopened += 1
    return unopened


async def _open_routing(url: str, data: Path) -> tuple[int, str]:
    try:
        ring = KeyRing.read(key_file(data / "secrets", "routing"))
    except (OSError, ValueError, KeyError):
        # The check of the key files reports it.
        return 0, ""
    unopened = 0
    connection: Any = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            async for case_id, situation in connection.cursor(_FACTS):
                try:
                    decrypt(situation, ring, associated_data=case_context(case_id))
                except NotForUs:
                    unopened += 1
    finally:
        await connection.close()
    return unopened, ring.keyid
