"""Wrapped keys and the master keys they need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import LargeBinary, Text, Uuid

from simpul_intake.tables import VaultSecretRow

_NEXT_TO_REWRAP = text("""
    SELECT case_id, key_id, wrapped FROM case_key
    WHERE key_id = ANY(:key_ids) AND case_id <> ALL(:skipped) LIMIT :count
""").bindparams(bindparam("key_ids", type_=ARRAY(Text)), bindparam("skipped", type_=ARRAY(Uuid)))
_REWRAP = text("""
    UPDATE case_key k SET key_id = :key_id, wrapped = r.after
    FROM unnest(:case_ids, :before, :after) AS r (case_id, before, after)
    WHERE k.case_id = r.case_id AND k.wrapped = r.before
""").bindparams(
    bindparam("case_ids", type_=ARRAY(Uuid)),
    bindparam("before", type_=ARRAY(LargeBinary)),
    bindparam("after", type_=ARRAY(LargeBinary)),
)
_REWRAP_SECRET = text("""
    UPDATE vault_secret SET key_id = :key_id, wrapped = :after WHERE name = :name AND wrapped = :before
""")
# Jumps from each id to the next in the index, instead of reading every entry.
_LIST_MASTER_KEYS = text("""
    WITH RECURSIVE used AS (
        (SELECT key_id FROM case_key ORDER BY key_id LIMIT 1)
        UNION ALL
        SELECT (SELECT k.key_id FROM case_key k WHERE k.key_id > used.key_id ORDER BY k.key_id LIMIT 1)
        FROM used WHERE used.key_id IS NOT NULL
    )
    SELECT key_id FROM used WHERE key_id IS NOT NULL UNION SELECT key_id FROM vault_secret ORDER BY key_id
""")
_COUNT_BY_MASTER_KEY = text("""
    SELECT key_id, sum(count) FROM (
        SELECT key_id, count(*) FROM case_key GROUP BY key_id
        UNION ALL SELECT key_id, count(*) FROM vault_secret GROUP BY key_id
    ) AS used GROUP BY key_id ORDER BY key_id
""")


@dataclass(frozen=True, slots=True)
class StoredCaseKey:
    """The data key of a case as stored."""

    case_id: UUID
    key_id: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret as stored."""

    name: str
    key_id: str
    wrapped: bytes


async def find_case_keys_to_rewrap(
    connection: AsyncConnection, key_ids: Sequence[str], skipped: Sequence[UUID], count: int
) -> list[StoredCaseKey]:
    """Finds some case keys that one of these master keys wraps."""
    parameters = {"key_ids": list(key_ids), "skipped": list(skipped), "count": count}
    return [StoredCaseKey(*row) for row in await connection.execute(_NEXT_TO_REWRAP, parameters)]


async def replace_case_keys(
    connection: AsyncConnection, key_id: str, replaced: Sequence[tuple[StoredCaseKey, bytes]]
) -> int:
    """Stores re-wrapped case keys, except those that were changed or erased meanwhile; returns how many."""
    result = await connection.execute(
        _REWRAP,
        {
            "key_id": key_id,
            "case_ids": [before.case_id for before, _ in replaced],
            "before": [before.wrapped for before, _ in replaced],
            "after": [after for _, after in replaced],
        },
    )
    return result.rowcount


async def find_unrecorded_case_key(connection: AsyncConnection) -> StoredCaseKey | None:
    """Finds a case key from the time before ids were recorded; None when there is none."""
    row = (
        await connection.execute(text("SELECT case_id, key_id, wrapped FROM case_key WHERE key_id = '' LIMIT 1"))
    ).one_or_none()
    return StoredCaseKey(*row) if row else None


async def load_secrets(connection: AsyncConnection) -> list[StoredSecret]:
    """Loads every secret."""
    return [
        StoredSecret(*row) for row in await connection.execute(text("SELECT name, key_id, wrapped FROM vault_secret"))
    ]


async def add_secrets(connection: AsyncConnection, secrets: Sequence[StoredSecret]) -> None:
    """Stores secrets; those that another process stored meanwhile stay as they are."""
    rows = [{"name": one.name, "key_id": one.key_id, "wrapped": one.wrapped} for one in secrets]
    await connection.execute(insert(VaultSecretRow).values(rows).on_conflict_do_nothing())


async def replace_secret(connection: AsyncConnection, before: StoredSecret, after: StoredSecret) -> None:
    """Stores a re-wrapped secret, unless another process did so meanwhile."""
    parameters = {"name": before.name, "key_id": after.key_id, "before": before.wrapped, "after": after.wrapped}
    await connection.execute(_REWRAP_SECRET, parameters)


async def list_master_keys(connection: AsyncConnection) -> list[str]:
    """Lists the ids of the master keys that wrap anything; fast however many keys they wrap."""
    return list((await connection.execute(_LIST_MASTER_KEYS)).scalars())


async def count_by_master_key(connection: AsyncConnection) -> Mapping[str, int]:
    """Counts the keys that each master key wraps, by its id."""
    return {key_id: int(count) for key_id, count in await connection.execute(_COUNT_BY_MASTER_KEY)}
