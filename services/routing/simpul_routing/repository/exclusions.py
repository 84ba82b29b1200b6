"""Reviews of suggested exclusions; each case has at most one open review."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.tables import ExclusionReviewRow
from simpul_runtime.transaction import Transaction

_COLUMNS = "referral_id, case_id, agency, started_at, due_at, step"
_OPEN_OF = text(f"SELECT {_COLUMNS} FROM exclusion_review WHERE case_id = :case_id AND closed_at IS NULL")  # noqa: S608 - built from constants
_LOCK_OPEN_OF = text(f"{_OPEN_OF.text} FOR UPDATE")
_DUE = text(f"""
    SELECT {_COLUMNS} FROM exclusion_review WHERE next_at <= :now ORDER BY next_at LIMIT :limit FOR UPDATE SKIP LOCKED
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))  # noqa: S608 - built from constants
_UPDATE = text("""
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
    ORDER BY a.due_at, a.referral_id LIMIT :limit
""").bindparams(bindparam("due_at", type_=DateTime(timezone=True)), bindparam("referral_id", type_=Uuid))


def add_review(transaction: Transaction, review: ExclusionReview) -> None:
    """Adds a review; the case must have no other open review."""
    transaction.add(
        ExclusionReviewRow,
        {
            "referral_id": review.referral_id, "case_id": review.case_id, "agency": review.agency,
            "started_at": review.clock.started_at, "due_at": review.clock.due_at,
            "step": review.clock.step.value if review.clock.step else None, "next_at": review.clock.next_at,
        },
    )  # fmt: skip


async def find_open_review(connection: AsyncConnection, case_id: UUID) -> ExclusionReview | None:
    """Finds the open review of a case."""
    row = (await connection.execute(_OPEN_OF, {"case_id": case_id})).one_or_none()
    return _review_from_row(row) if row else None


async def load_open_review_for_update(transaction: Transaction, case_id: UUID) -> ExclusionReview | None:
    """Loads the open review of a case and locks it; lock the case first."""
    row = (await transaction.connection.execute(_LOCK_OPEN_OF, {"case_id": case_id})).one_or_none()
    return _review_from_row(row) if row else None


async def load_due_reviews_for_update(transaction: Transaction, now: datetime, limit: int) -> list[ExclusionReview]:
    """Loads reviews with a step that is due and locks them, except those that another process has locked."""
    return [_review_from_row(row) for row in await transaction.connection.execute(_DUE, {"now": now, "limit": limit})]


async def update_review(transaction: Transaction, review: ExclusionReview) -> None:
    """Updates the deadline and the next step of a review."""
    clock = review.clock
    await transaction.connection.execute(
        _UPDATE,
        {
            "referral_id": review.referral_id, "due_at": clock.due_at, "next_at": clock.next_at,
            "step": clock.step.value if clock.step else None,
        },
    )  # fmt: skip


async def close_review(transaction: Transaction, review: ExclusionReview) -> None:
    """Closes a review."""
    await transaction.connection.execute(_CLOSE, {"referral_id": review.referral_id, "now": transaction.now})


async def list_open_reviews(
    connection: AsyncConnection, after: tuple[datetime, UUID], limit: int
) -> Sequence[Mapping[str, Any]]:
    """Lists open reviews after a cursor by deadline, with the encrypted facts of their cases."""
    due_at, referral_id = after
    values = {"due_at": due_at, "referral_id": referral_id, "limit": limit}
    return [row._asdict() for row in await connection.execute(_LIST, values)]


def _review_from_row(row: Any) -> ExclusionReview:
    step = Step(row.step) if row.step else None
    return ExclusionReview(
        row.referral_id, row.case_id, row.agency, ReferralClock(ClockName.ANSWER, row.started_at, row.due_at, step)
    )
