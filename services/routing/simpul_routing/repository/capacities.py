"""What agencies stated that they can take, and the open cases that they have."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Date, DateTime

from simpul_routing.domain.capacity import Capacities, ServiceCapacity
from simpul_routing.domain.lifecycle import TERMINAL, ServiceState
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import Service

_OPEN: Final = ", ".join(
    f"'{state.value}'" for state in ServiceState if state not in TERMINAL | {ServiceState.DECLINED}
)
"""The states in which a service takes room at its agency."""
_LOAD: Final = text(f"""
    SELECT c.agency, c.service, c.max_open, c.full_until, CASE WHEN c.max_open IS NULL THEN 0 ELSE (
        SELECT count(*) FROM (
            SELECT FROM referral r
            WHERE r.agency = c.agency AND r.answer_by IS NOT NULL AND EXISTS (
                SELECT FROM referral_service s
                WHERE s.referral_id = r.referral_id AND s.service = c.service AND s.state IN ({_OPEN}))
            LIMIT c.max_open) counted) END AS open_cases
    FROM agency_capacity c WHERE c.max_open IS NOT NULL OR c.full_until >= :today
""").bindparams(bindparam("today", type_=Date))  # noqa: S608 - built from constants
"""Counted up to the limit, which is all that a decision needs."""
_STATE: Final = text("""
    INSERT INTO agency_capacity (agency, service, max_open, full_until, stated_at)
    VALUES (:agency, :service, :max_open, :full_until, :stated_at)
    ON CONFLICT (agency, service) DO UPDATE
        SET max_open = excluded.max_open, full_until = excluded.full_until, stated_at = excluded.stated_at
""").bindparams(bindparam("full_until", type_=Date), bindparam("stated_at", type_=DateTime(timezone=True)))
_STATED: Final = text("""
    SELECT agency, service, max_open, full_until, stated_at FROM agency_capacity
    WHERE CAST(:agency AS text) IS NULL OR agency = :agency
""")
_COUNT: Final = text(f"""
    SELECT r.agency, s.service, count(DISTINCT r.referral_id) AS open_cases
    FROM referral r JOIN referral_service s USING (referral_id)
    WHERE r.answer_by IS NOT NULL AND s.state IN ({_OPEN}) AND (CAST(:agency AS text) IS NULL OR r.agency = :agency)
    GROUP BY r.agency, s.service
""")  # noqa: S608 - built from constants


async def load_capacities(connection: AsyncConnection, today: date) -> Capacities:
    """Loads what counts today of what agencies stated, with their open cases up to each limit."""
    rows = await connection.execute(_LOAD, {"today": today})
    return Capacities(
        {
            (row.agency, Service(row.service)): ServiceCapacity(row.open_cases, row.max_open, row.full_until)
            for row in rows
        }
    )


async def state_capacity(
    transaction: Transaction, agency: str, service: Service, max_open: int | None, full_until: date | None
) -> None:
    """Stores what an agency can take for a service; replaces what it stated before."""
    await transaction.connection.execute(
        _STATE,
        {
            "agency": agency,
            "service": service.value,
            "max_open": max_open,
            "full_until": full_until,
            "stated_at": transaction.now,
        },
    )


async def list_capacities(connection: AsyncConnection, agency: str | None) -> Sequence[Mapping[str, Any]]:
    """Lists what one agency or all agencies stated."""
    return [row._asdict() for row in await connection.execute(_STATED, {"agency": agency})]


async def count_open_cases(connection: AsyncConnection, agency: str | None) -> Mapping[tuple[str, str], int]:
    """Counts the open cases of one agency or all agencies for each service: agency and service -> cases."""
    rows = await connection.execute(_COUNT, {"agency": agency})
    return {(row.agency, row.service): row.open_cases for row in rows}
