"""The SQL of worklists."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

from simpul_desk.access import AGENCY_ROLES
from simpul_desk.hosting.steps import ServiceStep
from simpul_desk.hosting.worklist import Entry, EntryKind, ServiceLine

_SAVE: Final = text("""
    INSERT INTO worklist_entry (agency, referral_id, case_id, kind, urgency, due_at, received_at, services,
        must_acknowledge, is_open, version)
    VALUES (:agency, :referral_id, :case_id, :kind, :urgency, :due_at, :received_at, CAST(:services AS jsonb),
        :must_acknowledge, :is_open, :version)
    ON CONFLICT (agency, referral_id) DO UPDATE SET urgency = excluded.urgency, due_at = excluded.due_at,
        services = excluded.services, must_acknowledge = excluded.must_acknowledge, is_open = excluded.is_open,
        version = excluded.version,
        lacks_information = worklist_entry.lacks_information AND worklist_entry.version = excluded.version
""")
_CLOSE: Final = text("UPDATE worklist_entry SET is_open = FALSE WHERE agency = :agency AND referral_id = :referral_id")
_MARK: Final = text("""
    UPDATE worklist_entry SET lacks_information = :lacks_information
    WHERE agency = :agency AND referral_id = :referral_id
""")
_COLUMNS: Final = """
    e.agency, e.referral_id, e.case_id, e.kind, e.urgency, e.due_at, e.received_at, e.services, e.must_acknowledge,
    e.is_open, e.version, e.lacks_information,
    ARRAY(SELECT a.name FROM referral_reader r JOIN account a USING (account_id)
        WHERE r.referral_id = e.referral_id ORDER BY r.first_read_at LIMIT 3) AS seen_by,
    NOT EXISTS (SELECT FROM referral_reader r
        WHERE r.referral_id = e.referral_id AND r.account_id = :account_id) AS is_unread"""
# One walk of the index for each agency; all agencies at once would be sorted as a whole.
_LIST: Final = text(f"""
    SELECT {_COLUMNS}
    FROM unnest(:agencies) AS chosen (agency) CROSS JOIN LATERAL (
        SELECT * FROM worklist_entry w
        WHERE w.is_open AND w.agency = chosen.agency AND w.case_id <> ALL(:hidden)
        ORDER BY w.due_at, w.referral_id LIMIT :limit) e
    ORDER BY e.due_at NULLS LAST, e.referral_id LIMIT :limit
""").bindparams(  # noqa: S608 - built from constants
    bindparam("agencies", type_=ARRAY(Text)), bindparam("hidden", type_=ARRAY(Uuid))
)
_COUNT: Final = text("""
    SELECT count(*) FROM (
        SELECT FROM worklist_entry e
        WHERE e.is_open AND e.agency = ANY(:agencies) AND e.case_id <> ALL(:hidden) LIMIT :max_counted) counted
""").bindparams(bindparam("agencies", type_=ARRAY(Text)), bindparam("hidden", type_=ARRAY(Uuid)))
MAX_COUNTED: Final = 1_000
"""Rows are counted up to here, because counting takes longer than reading the first ones."""
_FIND: Final = text(f"""
    SELECT {_COLUMNS} FROM worklist_entry e WHERE e.agency = :agency AND e.referral_id = :referral_id
""")  # noqa: S608 - built from constants
_READ: Final = text("""
    INSERT INTO referral_reader (referral_id, account_id, first_read_at)
    VALUES (:referral_id, :account_id, :first_read_at) ON CONFLICT DO NOTHING
""")
_ACTED: Final = text("""
    INSERT INTO referral_reader (referral_id, account_id, first_read_at, acted_at)
    VALUES (:referral_id, :account_id, :acted_at, :acted_at)
    ON CONFLICT (referral_id, account_id) DO UPDATE SET acted_at = excluded.acted_at
""")
_HANDLED: Final = """
    SELECT e.agency, e.referral_id, e.due_at, e.urgency, r.account_id, r.acted_at IS NOT NULL AS has_acted,
        row_number() OVER (PARTITION BY e.referral_id ORDER BY r.acted_at DESC NULLS LAST) AS place
    FROM worklist_entry e JOIN referral_reader r USING (referral_id)
    WHERE e.is_open AND e.agency = ANY(:agencies) AND e.case_id <> ALL(:hidden)"""
"""The open referrals that somebody opened; the person who acted last acts for the agency."""
_MEMBER_LOADS: Final = text(f"""
    SELECT m.agency, m.account_id, a.name, m.role,
        count(*) FILTER (WHERE h.has_acted AND h.place = 1) AS acting,
        count(*) FILTER (WHERE h.has_acted AND h.place = 1 AND h.due_at <= :now) AS late,
        count(*) FILTER (WHERE h.has_acted AND h.place = 1 AND h.urgency = 'high') AS urgent,
        count(h.referral_id) AS opened
    FROM account_role m JOIN account a USING (account_id)
    LEFT JOIN ({_HANDLED}) h ON h.account_id = m.account_id AND h.agency = m.agency
    WHERE m.agency = ANY(:agencies) AND m.role = ANY(:roles) AND a.disabled_at IS NULL
    GROUP BY m.agency, m.account_id, a.name, m.role
    ORDER BY m.agency, late DESC, acting DESC, a.name
""").bindparams(  # noqa: S608 - built from constants
    bindparam("agencies", type_=ARRAY(Text)),
    bindparam("hidden", type_=ARRAY(Uuid)),
    bindparam("roles", type_=ARRAY(Text)),
)
_OF_MEMBER: Final = text(f"""
    SELECT {_COLUMNS}, h.has_acted AND h.place = 1 AS is_acting
    FROM ({_HANDLED}) h JOIN worklist_entry e USING (agency, referral_id)
    WHERE h.account_id = :member_id
    ORDER BY e.due_at NULLS LAST, e.referral_id LIMIT :limit
""").bindparams(  # noqa: S608 - built from constants
    bindparam("agencies", type_=ARRAY(Text)), bindparam("hidden", type_=ARRAY(Uuid))
)
_LOAD: Final = text("""
    SELECT agency, count(*) AS cases, count(*) FILTER (WHERE due_at <= :now) AS late,
        count(*) FILTER (WHERE urgency = 'high') AS urgent, count(*) FILTER (WHERE lacks_information) AS lacking,
        count(*) FILTER (WHERE NOT EXISTS (SELECT FROM referral_reader r WHERE r.referral_id = e.referral_id)) AS unread
    FROM worklist_entry e WHERE e.is_open AND e.agency = ANY(:agencies) AND e.case_id <> ALL(:hidden)
    GROUP BY agency ORDER BY agency
""").bindparams(bindparam("agencies", type_=ARRAY(Text)), bindparam("hidden", type_=ARRAY(Uuid)))
_EXCLUDE: Final = text("""
    INSERT INTO case_exclusion (account_id, case_id, declared_by, declared_at)
    VALUES (:account_id, :case_id, :account_id, :declared_at) ON CONFLICT DO NOTHING
""")


async def save_entry(connection: AsyncConnection, entry: Entry) -> None:
    """Adds or replaces a row; the note about missing information ends when something changes."""
    await connection.execute(
        _SAVE,
        {
            "agency": entry.agency,
            "referral_id": entry.referral_id,
            "case_id": entry.case_id,
            "kind": entry.kind.value,
            "urgency": entry.urgency,
            "due_at": entry.due_at,
            "received_at": entry.received_at,
            "services": json.dumps([[line.service, line.step.value] for line in entry.services]),
            "must_acknowledge": entry.must_acknowledge,
            "is_open": entry.is_open,
            "version": entry.version,
        },
    )


async def close_entry(connection: AsyncConnection, agency: str, referral_id: UUID) -> None:
    """Removes a row from the worklist."""
    await connection.execute(_CLOSE, {"agency": agency, "referral_id": referral_id})


async def mark_information(connection: AsyncConnection, agency: str, referral_id: UUID, *, is_missing: bool) -> None:
    """Notes whether information is missing."""
    await connection.execute(_MARK, {"agency": agency, "referral_id": referral_id, "lacks_information": is_missing})


async def list_entries(
    connection: AsyncConnection, agencies: Collection[str], account_id: UUID, hidden: Collection[UUID], limit: int
) -> tuple[list[Entry], int]:
    """Lists the open rows of these agencies, first what runs out first, and counts them up to MAX_COUNTED."""
    bound = {"agencies": list(agencies), "hidden": list(hidden)}
    rows = await connection.execute(_LIST, {**bound, "account_id": account_id, "limit": limit})
    entries = [_read_entry(row._mapping) for row in rows]  # noqa: SLF001 - its public name
    if len(entries) < limit:
        return entries, len(entries)
    return entries, int((await connection.execute(_COUNT, {**bound, "max_counted": MAX_COUNTED})).scalar_one())


async def find_entry(connection: AsyncConnection, agency: str, referral_id: UUID, account_id: UUID) -> Entry | None:
    """Finds a row; None if the agency has none."""
    bound = {"agency": agency, "referral_id": referral_id, "account_id": account_id}
    row = (await connection.execute(_FIND, bound)).one_or_none()
    return None if row is None else _read_entry(row._mapping)  # noqa: SLF001 - its public name


async def record_reader(connection: AsyncConnection, referral_id: UUID, account_id: UUID, now: datetime) -> bool:
    """Records who opened a referral; returns whether the person had not opened it before."""
    bound = {"referral_id": referral_id, "account_id": account_id, "first_read_at": now}
    return bool((await connection.execute(_READ, bound)).rowcount)


def _read_entry(row: Mapping[Any, Any]) -> Entry:
    return Entry(
        agency=row["agency"],
        referral_id=row["referral_id"],
        case_id=row["case_id"],
        kind=EntryKind(row["kind"]),
        urgency=row["urgency"],
        due_at=row["due_at"],
        received_at=row["received_at"],
        services=tuple(ServiceLine(code, ServiceStep(step)) for code, step in row["services"]),
        must_acknowledge=row["must_acknowledge"],
        is_open=row["is_open"],
        version=row["version"],
        lacks_information=row["lacks_information"],
        seen_by=tuple(row["seen_by"]),
        is_unread=row["is_unread"],
    )


async def exclude_case(connection: AsyncConnection, account_id: UUID, case_id: UUID, now: datetime) -> None:
    """Keeps a case from a person who says that they are too close to it."""
    await connection.execute(_EXCLUDE, {"account_id": account_id, "case_id": case_id, "declared_at": now})


async def count_load(
    connection: AsyncConnection, agencies: Collection[str], hidden: Collection[UUID], now: datetime
) -> list[Mapping[str, Any]]:
    """Counts the open cases of each agency: all, late, urgent, with missing information, and opened by nobody."""
    rows = await connection.execute(_LOAD, {"agencies": list(agencies), "hidden": list(hidden), "now": now})
    return [row._asdict() for row in rows]


async def record_action(connection: AsyncConnection, referral_id: UUID, account_id: UUID, now: datetime) -> None:
    """Records that a person did something for a referral."""
    await connection.execute(_ACTED, {"referral_id": referral_id, "account_id": account_id, "acted_at": now})


async def count_member_loads(
    connection: AsyncConnection, agencies: Collection[str], hidden: Collection[UUID], now: datetime
) -> list[Mapping[str, Any]]:
    """Counts for each member of each agency the open cases that they act for, how many are late, and have opened.

    Who acted last acts for a case. The member with the most that is late comes first.
    """
    bound = {"agencies": list(agencies), "hidden": list(hidden), "now": now}
    rows = await connection.execute(_MEMBER_LOADS, bound | {"roles": [role.value for role in AGENCY_ROLES]})
    return [row._asdict() for row in rows]


async def list_entries_of_member(
    connection: AsyncConnection, agency: str, member_id: UUID, account_id: UUID, hidden: Collection[UUID], limit: int
) -> list[tuple[Entry, bool]]:
    """Lists the open rows of an agency that a member has opened, and whether that member acts for each."""
    bound = {"agencies": [agency], "hidden": list(hidden), "limit": limit}
    rows = await connection.execute(_OF_MEMBER, bound | {"member_id": member_id, "account_id": account_id})
    return [(_read_entry(row._mapping), bool(row.is_acting)) for row in rows]  # noqa: SLF001 - its public name
