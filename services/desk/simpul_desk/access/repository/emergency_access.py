"""Emergency access to cases, and who has read of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, insert, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from simpul_desk.tables import EmergencyAccessRow

_COLUMNS: Final = """
    e.access_id, e.account_id, a.name, e.agency, e.case_id, e.reason, e.requested_at, e.confirmed_by, c.name, e.ends_at
    FROM emergency_access e JOIN account a ON a.account_id = e.account_id
        LEFT JOIN account c ON c.account_id = e.confirmed_by
"""
_FIND_CASE: Final = text("SELECT case_id FROM board WHERE case_id BETWEEN :first AND :last LIMIT 1")
_FIND: Final = text(f"SELECT {_COLUMNS} WHERE e.access_id = :access_id AND e.ends_at > :now FOR UPDATE OF e")
_FIND_OPEN: Final = text(f"""
    SELECT {_COLUMNS} WHERE e.account_id = :account_id AND e.case_id = :case_id AND e.confirmed_by IS NOT NULL
        AND e.ends_at > :now ORDER BY e.ends_at DESC LIMIT 1
""")
_OWN: Final = text(f"""
    SELECT {_COLUMNS} WHERE e.account_id = :account_id AND e.ends_at > :now ORDER BY e.requested_at DESC
""")
_WAITING: Final = text(f"""
    SELECT {_COLUMNS} WHERE e.confirmed_by IS NULL AND e.ends_at > :now AND e.account_id <> :account_id
        AND (e.agency = ANY(:agencies) OR :everywhere) ORDER BY e.requested_at
""").bindparams(bindparam("agencies", type_=ARRAY(Text)))
_NOTICES: Final = text(f"""
    SELECT {_COLUMNS} WHERE e.account_id <> :account_id AND (e.agency = ANY(:agencies) OR :everywhere)
        AND NOT EXISTS (SELECT 1 FROM emergency_notice n
            WHERE n.access_id = e.access_id AND n.account_id = :account_id)
    ORDER BY e.requested_at DESC LIMIT 50
""").bindparams(bindparam("agencies", type_=ARRAY(Text)))  # noqa: S608 - built from constants
_CONFIRM: Final = text("""
    UPDATE emergency_access SET confirmed_by = :confirmed_by, ends_at = :ends_at WHERE access_id = :access_id
""")
_END: Final = text("UPDATE emergency_access SET ends_at = :now WHERE access_id = :access_id")
_READ: Final = text("""
    INSERT INTO emergency_notice (access_id, account_id, read_at) VALUES (:access_id, :account_id, :now)
    ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class EmergencyAccess:
    """Access to a case that a person asked for."""

    access_id: UUID
    account_id: UUID
    name: str = field(repr=False)
    agency: str
    case_id: UUID
    reason: bytes = field(repr=False)
    """Encrypted."""
    requested_at: datetime
    confirmed_by: UUID | None
    confirmed_by_name: str | None = field(repr=False)
    ends_at: datetime


async def find_case(connection: AsyncConnection, first: UUID, last: UUID) -> UUID | None:
    """Finds a case whose id is in a range, as far as the desk knows of it."""
    found: UUID | None = (await connection.execute(_FIND_CASE, {"first": first, "last": last})).scalar_one_or_none()
    return found


async def add_access(connection: AsyncConnection, row: dict[str, object]) -> None:
    """Adds an access that waits for a second person."""
    await connection.execute(insert(EmergencyAccessRow), [row])


async def find_access(connection: AsyncConnection, access_id: UUID, now: datetime) -> EmergencyAccess | None:
    """Finds and locks an access that has not ended."""
    found = (await connection.execute(_FIND, {"access_id": access_id, "now": now})).one_or_none()
    return EmergencyAccess(*found) if found else None


async def find_open_access(
    connection: AsyncConnection, account_id: UUID, case_id: UUID, now: datetime
) -> EmergencyAccess | None:
    """Finds the confirmed access of a person to a case that has not ended."""
    bound = {"account_id": account_id, "case_id": case_id, "now": now}
    found = (await connection.execute(_FIND_OPEN, bound)).one_or_none()
    return EmergencyAccess(*found) if found else None


async def list_own(connection: AsyncConnection, account_id: UUID, now: datetime) -> Sequence[EmergencyAccess]:
    """Lists what a person asked for and what has not ended."""
    found = await connection.execute(_OWN, {"account_id": account_id, "now": now})
    return [EmergencyAccess(*row) for row in found]


async def list_waiting(
    connection: AsyncConnection, account_id: UUID, agencies: Collection[str], now: datetime, *, everywhere: bool
) -> Sequence[EmergencyAccess]:
    """Lists what waits for a second person of these agencies, or anywhere."""
    bound = {"account_id": account_id, "agencies": sorted(agencies), "everywhere": everywhere, "now": now}
    return [EmergencyAccess(*row) for row in await connection.execute(_WAITING, bound)]


async def list_unread(
    connection: AsyncConnection, account_id: UUID, agencies: Collection[str], *, everywhere: bool
) -> Sequence[EmergencyAccess]:
    """Lists the accesses in these agencies, or anywhere, of which a person has not read yet."""
    bound = {"account_id": account_id, "agencies": sorted(agencies), "everywhere": everywhere}
    return [EmergencyAccess(*row) for row in await connection.execute(_NOTICES, bound)]


async def confirm_access(connection: AsyncConnection, access_id: UUID, confirmed_by: UUID, ends_at: datetime) -> None:
    """Opens an access until a moment."""
    await connection.execute(_CONFIRM, {"access_id": access_id, "confirmed_by": confirmed_by, "ends_at": ends_at})


async def end_access(connection: AsyncConnection, access_id: UUID, now: datetime) -> None:
    """Ends an access at once."""
    await connection.execute(_END, {"access_id": access_id, "now": now})


async def mark_read(connection: AsyncConnection, access_id: UUID, account_id: UUID, now: datetime) -> None:
    """Records that a person has read of an access."""
    await connection.execute(_READ, {"access_id": access_id, "account_id": account_id, "now": now})
