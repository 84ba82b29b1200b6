"""Passkeys, and what they must sign."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_desk.tables import PasskeyChallengeRow, PasskeyRow

_LIST: Final = text("""
    SELECT credential_id, name, created_at, last_used_at FROM passkey
    WHERE account_id = :account_id ORDER BY created_at
""")
_FIND: Final = text("""
    SELECT p.account_id, a.login_name, p.public_key, p.sign_count FROM passkey p JOIN account a USING (account_id)
    WHERE p.credential_id = :credential_id AND a.disabled_at IS NULL AND a.password_hash IS NOT NULL
    FOR UPDATE OF p
""")
_USE: Final = text("""
    UPDATE passkey SET sign_count = :sign_count, last_used_at = :now WHERE credential_id = :credential_id
""")
_REMOVE: Final = text("DELETE FROM passkey WHERE account_id = :account_id AND credential_id = :credential_id")
_REMOVE_ALL: Final = text("DELETE FROM passkey WHERE account_id = :account_id")
_TAKE_CHALLENGE: Final = text("""
    DELETE FROM passkey_challenge
    WHERE challenge = :challenge AND expires_at > :now AND account_id IS NOT DISTINCT FROM CAST(:account_id AS uuid)
""")
_DELETE_EXPIRED: Final = text("""
    DELETE FROM passkey_challenge WHERE challenge = ANY (ARRAY(
        SELECT challenge FROM passkey_challenge WHERE expires_at <= :now LIMIT 100 FOR UPDATE SKIP LOCKED))
""")


@dataclass(frozen=True, slots=True)
class ListedPasskey:
    """A passkey as its person sees it."""

    credential_id: bytes
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredPasskey:
    """What a passkey's answer is checked with, and whose it is."""

    account_id: UUID
    login_name: str
    public_key: bytes = field(repr=False)
    sign_count: int


async def list_passkeys(connection: AsyncConnection, account_id: UUID) -> Sequence[ListedPasskey]:
    """Lists the passkeys of an account, the oldest first."""
    return [ListedPasskey(*row) for row in await connection.execute(_LIST, {"account_id": account_id})]


async def add_passkey(
    connection: AsyncConnection,
    account_id: UUID,
    *,
    credential_id: bytes,
    public_key: bytes,
    sign_count: int,
    name: str,
    now: datetime,
) -> None:
    """Adds a passkey to an account."""
    row = {
        "credential_id": credential_id,
        "account_id": account_id,
        "public_key": public_key,
        "sign_count": sign_count,
        "name": name,
        "created_at": now,
    }
    await connection.execute(insert(PasskeyRow), [row])


async def find_passkey(connection: AsyncConnection, credential_id: bytes) -> StoredPasskey | None:
    """Finds and locks a passkey of an account that may sign in; None for any other."""
    found = (await connection.execute(_FIND, {"credential_id": credential_id})).one_or_none()
    return StoredPasskey(*found) if found else None


async def use_passkey(connection: AsyncConnection, credential_id: bytes, sign_count: int, now: datetime) -> None:
    """Records that a passkey was used."""
    await connection.execute(_USE, {"credential_id": credential_id, "sign_count": sign_count, "now": now})


async def remove_passkey(connection: AsyncConnection, account_id: UUID, credential_id: bytes) -> bool:
    """Removes a passkey of an account; False if it has none of this id."""
    removed = await connection.execute(_REMOVE, {"account_id": account_id, "credential_id": credential_id})
    return removed.rowcount == 1


async def remove_passkeys(connection: AsyncConnection, account_id: UUID) -> None:
    """Removes every passkey of an account."""
    await connection.execute(_REMOVE_ALL, {"account_id": account_id})


async def add_challenge(
    connection: AsyncConnection, challenge: bytes, account_id: UUID | None, *, now: datetime, expires_at: datetime
) -> None:
    """Adds what a passkey must sign, and deletes what has expired."""
    await connection.execute(_DELETE_EXPIRED, {"now": now})
    row = {"challenge": challenge, "account_id": account_id, "expires_at": expires_at}
    await connection.execute(insert(PasskeyChallengeRow), [row])


async def take_challenge(connection: AsyncConnection, challenge: bytes, account_id: UUID | None, now: datetime) -> bool:
    """Uses up a challenge; False if it was used, has expired, or was for somebody else."""
    bound = {"challenge": challenge, "account_id": account_id, "now": now}
    return (await connection.execute(_TAKE_CHALLENGE, bound)).rowcount == 1
