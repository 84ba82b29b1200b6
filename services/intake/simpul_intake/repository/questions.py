"""Questions of the case manager to the reporting person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import DateTime, Uuid

from simpul_intake.tables import ReporterQuestionRow
from simpul_runtime.transaction import Transaction

_OPEN: Final = text("""
    SELECT question_id, ciphertext, sent_at FROM reporter_question
    WHERE case_id = :case_id AND answered_at IS NULL AND sent_at < coalesce(:before, 'infinity')
    ORDER BY sent_at, question_id LIMIT :limit
""").bindparams(bindparam("before", type_=DateTime(timezone=True)))
_FIND: Final = text("""
    SELECT question_id, ciphertext, sent_at FROM reporter_question
    WHERE case_id = :case_id AND question_id = ANY(:ids) ORDER BY sent_at, question_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_MARK_ANSWERED: Final = text("""
    UPDATE reporter_question SET answered_at = :now
    WHERE case_id = :case_id AND question_id = ANY(:ids) AND answered_at IS NULL
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


@dataclass(frozen=True, slots=True)
class StoredQuestion:
    """A question as stored."""

    question_id: UUID
    ciphertext: bytes
    sent_at: datetime


async def add_question(transaction: Transaction, case_id: UUID, question: StoredQuestion) -> None:
    """Stores a question; one that is known already stays as it is."""
    row = {
        "question_id": question.question_id,
        "case_id": case_id,
        "ciphertext": question.ciphertext,
        "sent_at": question.sent_at,
    }
    await transaction.connection.execute(insert(ReporterQuestionRow).values(row).on_conflict_do_nothing())


async def list_open_questions(
    transaction: Transaction, case_id: UUID, before: datetime | None, limit: int
) -> list[StoredQuestion]:
    """Lists the questions of a case that nobody has answered, the oldest first; only those from before a moment."""
    rows = await transaction.connection.execute(_OPEN, {"case_id": case_id, "before": before, "limit": limit})
    return [StoredQuestion(*row) for row in rows]


async def find_questions(transaction: Transaction, case_id: UUID, ids: Sequence[UUID]) -> list[StoredQuestion]:
    """Finds questions of a case, answered or not, the oldest first; those of other cases are left out."""
    rows = await transaction.connection.execute(_FIND, {"case_id": case_id, "ids": list(ids)})
    return [StoredQuestion(*row) for row in rows]


async def mark_answered(transaction: Transaction, case_id: UUID, ids: Sequence[UUID]) -> None:
    """Stores that questions were answered now."""
    values = {"case_id": case_id, "ids": list(ids), "now": transaction.now}
    await transaction.connection.execute(_MARK_ANSWERED, values)
