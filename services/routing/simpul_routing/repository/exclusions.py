"""Requests to decide about suggested exclusions: at most one for each case at a time."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.clocks import Running
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.tables import ExclusionReviewRow
from simpul_runtime.transaction import Transaction

_COLUMNS = "referral_id, case_id, agency, started_at, due_at, step"
_OPEN_OF = text(f"SELECT {_COLUMNS} FROM exclusion_review WHERE case_id = :case_id AND closed_at IS NULL")  # noqa: S608 - put together from constants
_LOCK_OPEN_OF = text(f"{_OPEN_OF.text} FOR UPDATE")
_DUE = text(f"""
    SELECT {_COLUMNS} FROM exclusion_review WHERE next_at <= :now ORDER BY next_at LIMIT :most FOR UPDATE SKIP LOCKED
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))  # noqa: S608 - put together from constants
_WRITE = text("""
    UPDATE exclusion_review SET due_at = :due_at, step = :step, next_at = :next_at
    WHERE referral_id = :referral_id AND closed_at IS NULL
""").bindparams(
    bindparam("due_at", type_=DateTime(timezone=True)), bindparam("next_at", type_=DateTime(timezone=True)),
    bindparam("step", type_=Text),
)  # fmt: skip
_CLOSE = text(
    "UPDATE exclusion_review SET closed_at = :now, next_at = NULL WHERE referral_id = :referral_id"
).bindparams(bindparam("now", type_=DateTime(timezone=True)))
_LIST = text("""
    SELECT a.referral_id, a.case_id, a.agency, a.started_at, a.due_at AS decide_by, p.situation, p.urgency
    FROM exclusion_review a JOIN case_plan p USING (case_id)
    WHERE a.closed_at IS NULL AND (a.due_at, a.referral_id) > (:due_at, :referral_id)
    ORDER BY a.due_at, a.referral_id LIMIT :most
""").bindparams(bindparam("due_at", type_=DateTime(timezone=True)), bindparam("referral_id", type_=Uuid))


def add_review(transaction: Transaction, review: ExclusionReview) -> None:
    """Store that an agency is asked now; nobody else may be asked in its case."""
    transaction.add(
        ExclusionReviewRow,
        {
            "referral_id": review.referral_id, "case_id": review.case_id, "agency": review.agency,
            "started_at": review.clock.started_at, "due_at": review.clock.due_at,
            "step": review.clock.step.value if review.clock.step else None, "next_at": review.clock.next_at,
        },
    )  # fmt: skip


async def open_review(connection: AsyncConnection, case_id: UUID) -> ExclusionReview | None:
    """Who is asked in a case."""
    row = (await connection.execute(_OPEN_OF, {"case_id": case_id})).one_or_none()
    return _review(row) if row else None


async def open_review_for_update(transaction: Transaction, case_id: UUID) -> ExclusionReview | None:
    """The same, locked until the transaction ends; the case is locked before."""
    row = (await transaction.connection.execute(_LOCK_OPEN_OF, {"case_id": case_id})).one_or_none()
    return _review(row) if row else None


async def due_reviews(transaction: Transaction, now: datetime, most: int) -> list[ExclusionReview]:
    """Requests with a step that is due, locked; what another process holds is left to it."""
    return [_review(row) for row in await transaction.connection.execute(_DUE, {"now": now, "most": most})]


async def write_review(transaction: Transaction, review: ExclusionReview) -> None:
    """Write the deadline and next step of a review."""
    clock = review.clock
    await transaction.connection.execute(
        _WRITE,
        {
            "referral_id": review.referral_id, "due_at": clock.due_at, "next_at": clock.next_at,
            "step": clock.step.value if clock.step else None,
        },
    )  # fmt: skip


async def close_review(transaction: Transaction, review: ExclusionReview) -> None:
    """The agency is asked no longer."""
    await transaction.connection.execute(_CLOSE, {"referral_id": review.referral_id, "now": transaction.now})


async def open_reviews(
    connection: AsyncConnection, after: tuple[datetime, UUID], most: int
) -> Sequence[Mapping[str, Any]]:
    """Open requests by their deadline, with the locked facts of their cases, from a place onwards."""
    due_at, referral_id = after
    values = {"due_at": due_at, "referral_id": referral_id, "most": most}
    return [row._asdict() for row in await connection.execute(_LIST, values)]


def _review(row: Any) -> ExclusionReview:
    step = Step(row.step) if row.step else None
    return ExclusionReview(
        row.referral_id, row.case_id, row.agency, Running(ClockName.ANSWER, row.started_at, row.due_at, step)
    )
