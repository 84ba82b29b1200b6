"""Referrals with their services and clocks as they are read, ended referrals, and refused replies."""

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, overload
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.lifecycle import ServiceState, Standing
from simpul_routing.domain.referral import OutstandingService, Referral, ReferralService
from simpul_routing.stored_facts import decode_clauses, service_context
from simpul_routing.tables import RefusedReplyRow
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import ReferralOutcome, ReferralRole, ReplyRefusal, Service, Urgency

SELECT_SERVICES = """
    SELECT r.referral_id, r.case_id, r.agency, r.offered_at, s.service_id, s.position, s.service, s.role, s.state,
        s.urgency, s.answer_by, s.agreement, s.clauses, s.reroute_count, s.rerouted_from, s.delivered_at, s.seen_at,
        s.accepted_at, s.started_at, s.ended_at, s.outcome, s.version, s.escalated_service, s.escalated_role, s.by_hand,
        coalesce(p.merged_into, p.case_id) AS counts_in, c.names, c.starts, c.dues, c.steps, c.stops, c.nexts,
        c.halves, c.twices
    FROM referral_service s JOIN referral r USING (referral_id) JOIN case_plan p USING (case_id) CROSS JOIN LATERAL (
        SELECT array_agg(clock) AS names, array_agg(started_at) AS starts, array_agg(due_at) AS dues,
            array_agg(step) AS steps, array_agg(stopped_at) AS stops, array_agg(next_at) AS nexts,
            array_agg(half_at) AS halves, array_agg(twice_at) AS twices
        FROM clock WHERE clock.service_id = s.service_id) c"""
"""Each service with its referral and its clocks, and the case that it counts in: its own, or the one that it was merged
into."""
_ENDED = text("SELECT referral_id FROM referral WHERE referral_id = ANY(:ids) AND answer_by IS NULL").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)


class EncryptedClauses(Sequence[str]):
    """The ids of the clauses that require a service, decrypted when they are read first."""

    def __init__(self, keys: Keys, service_id: UUID, stored: bytes) -> None:
        self._keys = keys
        self._service_id = service_id
        self._stored = stored

    @cached_property
    def _decrypted(self) -> tuple[str, ...]:
        return decode_clauses(self._keys.decrypt(self._stored, associated_data=service_context(self._service_id)))

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._decrypted[index]

    def __len__(self) -> int:
        return len(self._decrypted)


def build_referrals(keys: Keys, rows: Iterable[Any]) -> dict[UUID, Referral]:
    """Builds referrals from rows of SELECT_SERVICES."""
    of_referral: dict[UUID, list[Any]] = {}
    for row in rows:
        of_referral.setdefault(row.referral_id, []).append(row)
    return {
        key: Referral(
            referral_id=key,
            case_id=found[0].case_id,
            agency=found[0].agency,
            services={row.service_id: _service_from_row(keys, row) for row in found},
            offered_at=found[0].offered_at,
        )
        for key, found in of_referral.items()
    }


def _service_from_row(keys: Keys, row: Any) -> ReferralService:
    escalated = row.escalated_service
    state, urgency = ServiceState(row.state), Urgency(row.urgency)
    return ReferralService(
        service_id=row.service_id,
        referral_id=row.referral_id,
        position=row.position,
        agency=row.agency,
        service=Service(row.service),
        role=ReferralRole(row.role),
        answer_by=row.answer_by,
        agreement=row.agreement,
        clauses=EncryptedClauses(keys, row.service_id, row.clauses),
        standing=Standing(state, urgency, has_first_aid=row.started_at is not None),
        clocks=_clocks_from_row(row),
        reroute_count=row.reroute_count,
        rerouted_from=row.rerouted_from,
        escalated_service=OutstandingService(Service(escalated), ReferralRole(row.escalated_role))
        if escalated
        else None,
        by_hand=row.by_hand,
        outcome=ReferralOutcome(row.outcome) if row.outcome else None,
        version=row.version,
        delivered_at=row.delivered_at,
        seen_at=row.seen_at,
        accepted_at=row.accepted_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _clocks_from_row(row: Any) -> dict[ClockName, ReferralClock]:
    if row.names is None:
        return {}
    columns = row.names, row.starts, row.dues, row.steps, row.stops, row.halves, row.twices
    return {
        ClockName(name): ReferralClock(ClockName(name), start, due, Step(step) if step else None, stop, half, twice)
        for name, start, due, step, stop, half, twice in zip(*columns, strict=True)
    }


async def find_ended_referrals(transaction: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Finds which of these referrals have no service that their agency still has to act on."""
    return set((await transaction.connection.execute(_ENDED, {"ids": list(ids)})).scalars())


def add_refused_reply(
    transaction: Transaction,
    event_id: UUID,
    referral_id: UUID,
    agency: str,
    reason: ReplyRefusal,
    service_ids: Collection[UUID],
) -> None:
    """Adds a reply that is refused for a reason, as a whole or for some services."""
    transaction.add_row(
        RefusedReplyRow,
        {
            "event_id": event_id,
            "referral_id": referral_id,
            "agency": agency,
            "reason": reason.value,
            "service_ids": list(service_ids),
        },
    )
