"""Breaches and the cases whose data were reachable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime

from simpul_intake.breach import AnnouncedBreach, Breach, BreachScope
from simpul_intake.tables import BreachedCaseRow, BreachRow

_BREACHES = text("""
    SELECT b.breach_id, b.found_at, b.due_at, b.opened_by, b.since, b.until, b.accounts, b.agencies, b.whole_vault,
        b.authority_notified_at, count(c.case_id) AS cases, count(c.notified_at) AS notified
    FROM breach b LEFT JOIN breached_case c USING (breach_id)
    WHERE CAST(:breach_id AS uuid) IS NULL OR b.breach_id = :breach_id
    GROUP BY b.breach_id ORDER BY b.due_at
""")
_CASES = text("SELECT case_id, sections, notified_at FROM breached_case WHERE breach_id = :breach_id ORDER BY case_id")
_NOTIFY = text("""
    UPDATE breached_case SET notified_at = :now, notified_by = :by
    WHERE breach_id = :breach_id AND case_id = :case_id AND notified_at IS NULL
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))
_NOTIFY_AUTHORITY = text("""
    UPDATE breach SET authority_notified_at = :now WHERE breach_id = :breach_id AND authority_notified_at IS NULL
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))
_ALL_CASES = text("SELECT case_id, array_agg(DISTINCT name) FROM section GROUP BY case_id")
_IS_DUE: Final = """(b.authority_notified_at IS NULL
        OR EXISTS (SELECT FROM breached_case c WHERE c.breach_id = b.breach_id AND c.notified_at IS NULL))"""
_DUE = text(f"SELECT b.due_at FROM breach b WHERE {_IS_DUE} ORDER BY b.due_at")  # noqa: S608 - constants
# What was opened and settled between two looks is announced as settled, which alerts nobody.
_TAKE_UNANNOUNCED = text(f"""
    UPDATE breach u SET announced_at = coalesce(u.announced_at, :now),
        settled_at = CASE WHEN t.is_due THEN NULL ELSE CAST(:now AS timestamptz) END
    FROM (SELECT b.breach_id, {_IS_DUE} AS is_due FROM breach b
        WHERE b.announced_at IS NULL OR b.settled_at IS NULL AND NOT {_IS_DUE}
        ORDER BY b.breach_id FOR UPDATE SKIP LOCKED) t
    WHERE u.breach_id = t.breach_id RETURNING u.breach_id, u.found_at, u.due_at, t.is_due
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class StoredBreach:
    """A breach as stored, and when the authority was notified."""

    breach: Breach
    authority_notified_at: datetime | None


@dataclass(frozen=True, slots=True)
class BreachedCase:
    """A case whose data were reachable."""

    case_id: UUID
    sections: Sequence[str]
    notified_at: datetime | None


async def add_breach(connection: AsyncConnection, breach: Breach, cases: Mapping[UUID, frozenset[str]]) -> None:
    """Stores a breach with its cases."""
    scope = breach.scope
    row = {
        "breach_id": breach.breach_id,
        "found_at": breach.found_at,
        "due_at": breach.due_at,
        "opened_by": breach.opened_by,
        "since": scope.since,
        "until": scope.until,
        "accounts": sorted(scope.accounts),
        "agencies": sorted(scope.agencies),
        "whole_vault": scope.whole_vault,
    }
    await connection.execute(insert(BreachRow).values(row))
    if cases:
        rows = [
            {"breach_id": breach.breach_id, "case_id": case_id, "sections": sorted(sections)}
            for case_id, sections in sorted(cases.items())
        ]
        await connection.execute(insert(BreachedCaseRow), rows)


async def find_breaches(connection: AsyncConnection, breach_id: UUID | None = None) -> list[StoredBreach]:
    """Finds breaches, those that are due first; all of them without an id."""
    found = await connection.execute(_BREACHES, {"breach_id": breach_id})
    return [
        StoredBreach(
            Breach(
                row.breach_id,
                row.found_at,
                row.due_at,
                row.opened_by,
                BreachScope(row.since, row.until, frozenset(row.accounts), frozenset(row.agencies), row.whole_vault),
                row.cases,
                row.notified,
            ),
            row.authority_notified_at,
        )
        for row in found
    ]


async def find_breached_cases(connection: AsyncConnection, breach_id: UUID) -> list[BreachedCase]:
    """Finds the cases of a breach."""
    return [BreachedCase(*row) for row in await connection.execute(_CASES, {"breach_id": breach_id})]


async def find_vault_cases(connection: AsyncConnection) -> dict[UUID, frozenset[str]]:
    """Finds every case of the vault with its sections."""
    return {case_id: frozenset(sections) for case_id, sections in await connection.execute(_ALL_CASES)}


async def record_notice(connection: AsyncConnection, breach_id: UUID, case_id: UUID, by: str, now: datetime) -> bool:
    """Records that the child of a case was notified; returns False when it was recorded before."""
    values = {"breach_id": breach_id, "case_id": case_id, "by": by, "now": now}
    return bool((await connection.execute(_NOTIFY, values)).rowcount)


async def record_authority_notice(connection: AsyncConnection, breach_id: UUID, now: datetime) -> bool:
    """Records that the authority was notified; returns False when it was recorded before."""
    return bool((await connection.execute(_NOTIFY_AUTHORITY, {"breach_id": breach_id, "now": now})).rowcount)


async def take_unannounced_breaches(connection: AsyncConnection, now: datetime) -> list[AnnouncedBreach]:
    """Finds breaches of which the others do not know yet, or not that every notice was given; each once."""
    return [AnnouncedBreach(*row) for row in await connection.execute(_TAKE_UNANNOUNCED, {"now": now})]


async def find_due_notices(connection: AsyncConnection) -> list[datetime]:
    """Finds the deadlines of the breaches of which a notice is still to be given, the earliest first."""
    return list((await connection.execute(_DUE)).scalars())
