"""Codes on paper that replace the authenticator once."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_desk.access.session import hash_secret
from simpul_desk.tables import RecoveryCodeRow

_DELETE: Final = text("DELETE FROM recovery_code WHERE account_id = :account_id")
_COUNT: Final = text("SELECT count(*) FROM recovery_code WHERE account_id = :account_id")
_USE: Final = text("DELETE FROM recovery_code WHERE account_id = :account_id AND code_hash = :code_hash")


async def replace_codes(connection: AsyncConnection, account_id: UUID, codes: Sequence[str]) -> None:
    """Replaces the codes of an account."""
    await delete_codes(connection, account_id)
    rows = [{"account_id": account_id, "code_hash": hash_secret(code)} for code in codes]
    await connection.execute(insert(RecoveryCodeRow), rows)


async def delete_codes(connection: AsyncConnection, account_id: UUID) -> None:
    """Deletes the codes of an account."""
    await connection.execute(_DELETE, {"account_id": account_id})


async def count_codes(connection: AsyncConnection, account_id: UUID) -> int:
    """Counts the codes that are left."""
    found: int = (await connection.execute(_COUNT, {"account_id": account_id})).scalar_one()
    return found


async def use_code(connection: AsyncConnection, account_id: UUID, code: str) -> bool:
    """Uses up a code; False for a wrong or used one."""
    used = await connection.execute(_USE, {"account_id": account_id, "code_hash": hash_secret(code)})
    return used.rowcount == 1
