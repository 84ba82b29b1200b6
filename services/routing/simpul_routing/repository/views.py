"""Queries for the desk and for operators."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Uuid

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.repository.access import Scope, in_scope, scope_parameters

_SERVICE = """s.service_id, s.service, s.role, s.state, s.urgency, s.answer_by, s.reroute_count, s.rerouted_from,
        s.offered_at, s.delivered_at, s.seen_at, s.accepted_at, s.started_at, s.ended_at, s.outcome, s.version"""
_OF_CASE = text(f"""
    SELECT r.referral_id, r.case_id, r.agency, r.offered_at AS first_offered_at, r.answer_by AS next_answer_by,
        {_SERVICE}
    FROM referral r JOIN referral_service s USING (referral_id) WHERE r.case_id = :case_id
    ORDER BY r.offered_at, r.agency, s.position
""")  # noqa: S608 - built from constants
_CLOCKS = text("""
    SELECT c.* FROM clock c JOIN referral_service s USING (service_id) JOIN referral r USING (referral_id)
    WHERE r.case_id = :case_id ORDER BY c.due_at, c.clock
""")
_OPEN_REFERRALS = text(f"""
    WITH page AS (
        SELECT referral_id, case_id, agency, offered_at AS first_offered_at, answer_by AS next_answer_by FROM referral
        WHERE agency = :agency AND answer_by IS NOT NULL AND (answer_by, referral_id) > (:answer_by, :referral_id)
            AND {in_scope("referral.case_id")}
        ORDER BY answer_by, referral_id LIMIT :limit)
    SELECT r.*, {_SERVICE} FROM page r JOIN referral_service s USING (referral_id)
    WHERE s.ended_at IS NULL AND s.state <> 'declined'
    ORDER BY r.next_answer_by, r.referral_id, s.position
""").bindparams(  # noqa: S608 - built from constants
    bindparam("answer_by", type_=DateTime(timezone=True)), bindparam("referral_id", type_=Uuid), *scope_parameters()
)
_COUNT_OPEN = text(f"""
    SELECT count(*) FROM referral WHERE agency = :agency AND answer_by IS NOT NULL AND {in_scope("referral.case_id")}
""").bindparams(*scope_parameters())  # noqa: S608 - built from constants


@dataclass(frozen=True, slots=True)
class ReferralView:
    """A referral with its services as they are shown."""

    referral_id: UUID
    case_id: UUID
    agency: str
    offered_at: datetime | None
    answer_by: datetime | None
    """When the next answer is due; None if the agency has nothing left to do."""
    services: list[Mapping[str, Any]] = field(default_factory=list)
    """In the order in which they were added."""


async def list_referrals(connection: AsyncConnection, case_id: UUID) -> list[ReferralView]:
    """Lists the referrals of a case in the order in which they were offered."""
    return _build_views(await connection.execute(_OF_CASE, {"case_id": case_id}))


async def list_clocks(connection: AsyncConnection, case_id: UUID) -> Mapping[UUID, Sequence[ReferralClock]]:
    """Lists the deadlines of the services of a case by service, the earliest first."""
    found: dict[UUID, list[ReferralClock]] = {}
    for row in await connection.execute(_CLOCKS, {"case_id": case_id}):
        step = Step(row.step) if row.step else None
        found.setdefault(row.service_id, []).append(
            ReferralClock(
                ClockName(row.clock), row.started_at, row.due_at, step, row.stopped_at, row.half_at, row.twice_at
            )
        )
    return found


async def list_open_referrals(
    connection: AsyncConnection, agency: str, after: tuple[datetime, UUID], limit: int, scope: Scope
) -> list[ReferralView]:
    """Lists referrals of an agency after a cursor, by the time the next answer is due, with their open services."""
    answer_by, referral_id = after
    values = {"agency": agency, "answer_by": answer_by, "referral_id": referral_id, "limit": limit} | scope.bind()
    return _build_views(await connection.execute(_OPEN_REFERRALS, values))


async def count_open_referrals(connection: AsyncConnection, agency: str, scope: Scope) -> int:
    """Counts the referrals with services that an agency still has to act on; what it declined is no longer its own."""
    return int((await connection.execute(_COUNT_OPEN, {"agency": agency} | scope.bind())).scalar_one())


def _build_views(rows: Iterable[Any]) -> list[ReferralView]:
    views: dict[UUID, ReferralView] = {}
    for row in rows:
        referral_id, case_id, agency, offered_at, answer_by, *_ = row
        view = ReferralView(referral_id, case_id, agency, offered_at, answer_by)
        service = {name: value for name, value in row._asdict().items() if name not in _OF_REFERRAL}
        views.setdefault(referral_id, view).services.append(service)
    return list(views.values())


_OF_REFERRAL = frozenset({"referral_id", "case_id", "agency", "first_offered_at", "next_answer_by"})
