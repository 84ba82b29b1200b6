"""The cases of a month with what a register of cases needs of them: facts, services and how they ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_routing.domain.counting import ERRONEOUS_SERVICES, UNCOUNTED_CASES
from simpul_routing.repository.access import Scope, in_scope, scope_parameters

_CASES: Final = text(f"""
    SELECT p.case_id, p.state, p.urgency, p.decided_at, p.ended_at, p.situation FROM case_plan p
    WHERE p.decided_at >= :since AND p.decided_at < :until AND p.state <> ALL(:uncounted) AND {in_scope("p.case_id")}
        AND (p.decided_at, p.case_id) > (:position, :case_id)
    ORDER BY p.decided_at, p.case_id LIMIT :limit
""").bindparams(  # noqa: S608 - built from constants
    bindparam("since", type_=DateTime(timezone=True)),
    bindparam("until", type_=DateTime(timezone=True)),
    bindparam("uncounted", type_=ARRAY(Text)),
    bindparam("position", type_=DateTime(timezone=True)),
    bindparam("case_id", type_=Uuid),
    *scope_parameters(),
)
_SERVICES: Final = text("""
    SELECT r.case_id, r.agency, s.service, s.state, s.outcome
    FROM referral r JOIN referral_service s USING (referral_id)
    WHERE r.case_id = ANY(:cases) AND s.state <> ALL(:erroneous) ORDER BY s.offered_at, s.service_id
""").bindparams(bindparam("cases", type_=ARRAY(Uuid)), bindparam("erroneous", type_=ARRAY(Text)))


async def list_registered_cases(
    connection: AsyncConnection,
    since: datetime,
    until: datetime,
    scope: Scope,
    after: tuple[datetime, UUID],
    limit: int,
) -> Sequence[Mapping[str, Any]]:
    """Lists the cases that were decided in a period after a position, the oldest first; facts are encrypted."""
    values = {
        "since": since,
        "until": until,
        "uncounted": sorted(state.value for state in UNCOUNTED_CASES),
        "limit": limit,
        "position": after[0],
        "case_id": after[1],
        **scope.bind(),
    }
    cases = [row._asdict() for row in await connection.execute(_CASES, values)]
    erroneous = sorted(state.value for state in ERRONEOUS_SERVICES)
    found = await connection.execute(_SERVICES, {"cases": [one["case_id"] for one in cases], "erroneous": erroneous})
    services: dict[Any, list[Mapping[str, Any]]] = {}
    for row in found:
        services.setdefault(row.case_id, []).append(row._asdict())
    return [one | {"services": services.get(one["case_id"], [])} for one in cases]
