"""Reviews of suggested exclusions; each case has at most one open review."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.repository.access import Scope, in_scope, scope_parameters
from simpul_routing.tables import ExclusionReviewRow
from simpul_runtime.transaction import Transaction

_MOMENT = DateTime(timezone=True)
SELECT_OPEN_REVIEWS = """
    SELECT referral_id, case_id, agency, started_at, due_at, step, next_at FROM exclusion_review
    WHERE closed_at IS NULL"""
_OPEN_OF = text(f"{SELECT_OPEN_REVIEWS} AND case_id = :case_id")
_SHOWN = f"a.closed_at IS NULL AND a.case_id <> ALL(:unaware) AND {in_scope('a.case_id')}"
_LIST = text(f"""
    SELECT a.referral_id, a.case_id, a.agency, a.started_at, a.due_at AS decide_by, p.situation, p.urgency
    FROM exclusion_review a JOIN case_plan p USING (case_id)
    WHERE (a.due_at, a.referral_id) > (:due_at, :referral_id) AND {_SHOWN}
    ORDER BY a.due_at, a.referral_id LIMIT :limit
""").bindparams(  # noqa: S608 - built from constants
    bindparam("due_at", type_=_MOMENT),
    bindparam("referral_id", type_=Uuid),
    bindparam("unaware", type_=ARRAY(Uuid)),
    *scope_parameters(),
)
_COUNT = text(f"""
    SELECT count(*) FROM exclusion_review a WHERE {_SHOWN}
""").bindparams(bindparam("unaware", type_=ARRAY(Uuid)), *scope_parameters())  # noqa: S608 - built from constants
_UPDATE = text("""
    UPDATE exclusion_review SET due_at = :due_at, step = :step, next_at = :next_at, closed_at = :closed_at
    WHERE referral_id = :referral_id
""").bindparams(
    bindparam("due_at", type_=_MOMENT),
    bindparam("next_at", type_=_MOMENT),
    bindparam("closed_at", type_=_MOMENT),
    bindparam("step", type_=Text),
)


async def find_open_review(connection: AsyncConnection, case_id: UUID) -> ExclusionReview | None:
    """Finds the open review of a case."""
    row = (await connection.execute(_OPEN_OF, {"case_id": case_id})).one_or_none()
    return review_from_row(row) if row else None


async def list_open_reviews(
    connection: AsyncConnection, after: tuple[datetime, UUID], limit: int, scope: Scope
) -> Sequence[Mapping[str, Any]]:
    """Lists open reviews after a cursor by deadline, with the encrypted facts of their cases.

    Those of which the reader must not know are neither listed nor counted.
    """
    due_at, referral_id = after
    values = {"due_at": due_at, "referral_id": referral_id, "limit": limit} | _bind(scope)
    return [row._asdict() for row in await connection.execute(_LIST, values)]


async def count_open_reviews(connection: AsyncConnection, scope: Scope) -> int:
    """Counts the open reviews."""
    return int((await connection.execute(_COUNT, _bind(scope))).scalar_one())


def _bind(scope: Scope) -> dict[str, Any]:
    return scope.bind() | {"unaware": list(scope.unaware)}


def review_from_row(row: Any) -> ExclusionReview:
    """Returns the review that a row of SELECT_OPEN_REVIEWS holds."""
    step = Step(row.step) if row.step else None
    return ExclusionReview(
        row.referral_id, row.case_id, row.agency, ReferralClock(ClockName.ANSWER, row.started_at, row.due_at, step)
    )


async def save_review(transaction: Transaction, file: CaseFile) -> None:
    """Saves what changed in the open review of a case."""
    loaded, review = file.loaded_review, file.review
    if loaded is review:
        return
    is_closed = loaded is not None and (review is None or review.referral_id != loaded.referral_id)
    if loaded and is_closed:
        await _update_review(transaction, loaded, transaction.now)
    if review is None:
        return
    if loaded is None or is_closed:
        known = {"referral_id": review.referral_id, "case_id": review.case_id, "agency": review.agency}
        transaction.add_row(ExclusionReviewRow, known | {"started_at": review.clock.started_at} | _clock_values(review))
    else:
        await _update_review(transaction, review, None)


async def _update_review(transaction: Transaction, review: ExclusionReview, closed_at: datetime | None) -> None:
    values = _clock_values(review) | {"referral_id": review.referral_id, "closed_at": closed_at}
    await transaction.connection.execute(_UPDATE, values | ({"next_at": None} if closed_at else {}))


def _clock_values(review: ExclusionReview) -> dict[str, Any]:
    clock = review.clock
    return {"due_at": clock.due_at, "step": clock.step.value if clock.step else None, "next_at": clock.next_at}
