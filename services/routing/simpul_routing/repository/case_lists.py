"""Lists of cases, and of services that wait for a person to triage them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Boolean, DateTime, Text, Uuid

from simpul_routing.repository.access import Scope, in_scope, scope_parameters
from simpul_routing.repository.cases import decode_ledger
from simpul_schema.vocabulary import Service, Urgency

_CONDITIONS: Final = f"""
    (:is_open IS NULL OR (p.ended_at IS NULL) = :is_open) AND (:urgency IS NULL OR p.urgency = :urgency)
        AND (:ids IS NULL OR p.case_id = ANY(:ids)) AND {in_scope("p.case_id")}"""
_FILTERS: Final = [
    bindparam("is_open", type_=Boolean), bindparam("urgency", type_=Text), bindparam("ids", type_=ARRAY(Uuid)),
    *scope_parameters(),
]  # fmt: skip
_NEXT_DUE: Final = """
    SELECT due_at, due, service FROM (
        SELECT c.due_at, c.clock AS due, s.service
        FROM referral r JOIN referral_service s USING (referral_id) JOIN clock c USING (service_id)
        WHERE r.case_id = p.case_id AND c.stopped_at IS NULL AND (s.ended_at IS NULL OR c.clock = 'withdrawal')
        UNION ALL SELECT due_at, 'service_plan', NULL FROM service_plan
        WHERE case_id = p.case_id AND closed_at IS NULL
        UNION ALL SELECT due_at, 'exclusion_review', NULL FROM exclusion_review
        WHERE case_id = p.case_id AND closed_at IS NULL AND case_id <> ALL(:unaware)) waiting
    WHERE p.ended_at IS NULL ORDER BY due_at LIMIT 1"""
"""What is due next in a case: a deadline of a service, its plan, or the review of suggested exclusions."""


def _list_by(position: str) -> TextClause:
    return text(f"""
        SELECT p.case_id, p.state, p.urgency, p.decided_at, p.ended_as, p.ended_at, p.merged_into, p.rights,
            next.due_at AS next_due_at, next.due AS next_due, next.service AS next_service, {position} AS position
        FROM case_plan p LEFT JOIN LATERAL ({_NEXT_DUE}) next ON true
        WHERE ({position}, p.case_id) > (:position, :case_id) AND {_CONDITIONS}
        ORDER BY {position}, p.case_id LIMIT :limit
    """).bindparams(  # noqa: S608 - built from constants
        bindparam("position", type_=DateTime(timezone=True)),
        bindparam("case_id", type_=Uuid),
        bindparam("unaware", type_=ARRAY(Uuid)),
        *_FILTERS,
    )


_LIST = _list_by("p.decided_at")
_LIST_BY_DEADLINE = _list_by("coalesce(next.due_at, p.decided_at + interval '1000 years')")
"""Cases without a deadline come after all others, the oldest first."""
_COUNT = text(f"SELECT count(*) FROM case_plan p WHERE {_CONDITIONS}").bindparams(*_FILTERS)  # noqa: S608 - built from constants
_OPEN_TRIAGE: Final = f"""
    s.service = '{Service.MANUAL_TRIAGE.value}' AND s.ended_at IS NULL AND {in_scope("r.case_id")}"""
_TRIAGE = text(f"""
    SELECT r.referral_id, r.case_id, r.agency, s.service_id, s.state, s.urgency, s.answer_by, s.escalated_service,
        s.offered_at
    FROM referral r JOIN referral_service s USING (referral_id)
    WHERE (s.answer_by, s.service_id) > (:answer_by, :service_id) AND {_OPEN_TRIAGE}
    ORDER BY s.answer_by, s.service_id LIMIT :limit
""").bindparams(  # noqa: S608 - built from constants
    bindparam("answer_by", type_=DateTime(timezone=True)), bindparam("service_id", type_=Uuid), *scope_parameters()
)
_COUNT_TRIAGE = text(f"""
    SELECT count(*) FROM referral r JOIN referral_service s USING (referral_id) WHERE {_OPEN_TRIAGE}
""").bindparams(*scope_parameters())  # noqa: S608 - built from constants


async def list_cases(
    connection: AsyncConnection,
    after: tuple[datetime, UUID],
    limit: int,
    scope: Scope,
    *,
    is_open: bool | None,
    urgency: Urgency | None,
    ids: Collection[UUID] | None = None,
    is_by_deadline: bool = False,
) -> Sequence[Mapping[str, Any]]:
    """Lists cases after a cursor, with their rights; a filter of None admits all.

    The oldest is first, or the one with the earliest deadline. `position` is what the rows are ordered by.
    """
    position, case_id = after
    values = {"position": position, "case_id": case_id, "limit": limit, "unaware": list(scope.unaware)}
    values |= _filters(scope, is_open, urgency, ids)
    query = _LIST_BY_DEADLINE if is_by_deadline else _LIST
    return [row._asdict() | {"rights": decode_ledger(row.rights)} for row in await connection.execute(query, values)]


async def count_cases(
    connection: AsyncConnection,
    scope: Scope,
    *,
    is_open: bool | None,
    urgency: Urgency | None,
    ids: Collection[UUID] | None = None,
) -> int:
    """Counts the cases that `list_cases` lists."""
    return int((await connection.execute(_COUNT, _filters(scope, is_open, urgency, ids))).scalar_one())


async def list_open_triage(
    connection: AsyncConnection, after: tuple[datetime, UUID], limit: int, scope: Scope
) -> Sequence[Mapping[str, Any]]:
    """Lists open manual triages after a cursor, by the time an answer is due."""
    answer_by, service_id = after
    values = {"answer_by": answer_by, "service_id": service_id, "limit": limit} | scope.bind()
    return [row._asdict() for row in await connection.execute(_TRIAGE, values)]


async def count_open_triage(connection: AsyncConnection, scope: Scope) -> int:
    """Counts the open manual triages."""
    return int((await connection.execute(_COUNT_TRIAGE, scope.bind())).scalar_one())


def _filters(
    scope: Scope, is_open: bool | None, urgency: Urgency | None, ids: Collection[UUID] | None
) -> dict[str, Any]:
    chosen = {"is_open": is_open, "urgency": urgency.value if urgency else None, "ids": list(ids) if ids else None}
    return chosen | scope.bind()
