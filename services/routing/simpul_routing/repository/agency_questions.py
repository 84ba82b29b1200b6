"""Questions between agencies, encrypted with routing's own key."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Uuid

from simpul_routing.domain.agency_questions import AgencyQuestion
from simpul_routing.stored_facts import agency_question_context, question_answer_context
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction

_COLUMNS: Final = (
    "question_id, case_id, referral_id, agency, addressee, content, sent_at, answer, answered_at, withdrawn_at"
)
_ADD: Final = text("""
    INSERT INTO agency_question (question_id, case_id, referral_id, agency, addressee, content, sent_at)
    VALUES (:question_id, :case_id, :referral_id, :agency, :addressee, :content, :sent_at)
""").bindparams(bindparam("sent_at", type_=DateTime(timezone=True)))
_LIST_OF_REFERRALS: Final = text(f"""
    SELECT {_COLUMNS} FROM agency_question WHERE referral_id = ANY(:ids) AND agency = :agency
    ORDER BY sent_at DESC, question_id LIMIT :limit
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))  # noqa: S608 - constant names of columns
_LIST_ADDRESSED: Final = text(f"""
    SELECT {_COLUMNS} FROM agency_question
    WHERE addressee = :agency AND withdrawn_at IS NULL AND NOT case_id = ANY(:hidden)
    ORDER BY answered_at DESC NULLS FIRST, sent_at, question_id LIMIT :limit
""").bindparams(bindparam("hidden", type_=ARRAY(Uuid)))  # noqa: S608 - constant names of columns
_COUNT_OPEN: Final = text("""
    SELECT count(*) FROM agency_question
    WHERE addressee = :agency AND answered_at IS NULL AND withdrawn_at IS NULL AND NOT case_id = ANY(:hidden)
""").bindparams(bindparam("hidden", type_=ARRAY(Uuid)))
_FIND: Final = text(f"SELECT {_COLUMNS} FROM agency_question WHERE question_id = :question_id")  # noqa: S608
_ANSWER: Final = text("""
    UPDATE agency_question SET answer = :answer, answered_at = :now WHERE question_id = :question_id
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))
_OPEN_OF_REFERRALS: Final = text("""
    SELECT question_id, addressee FROM agency_question
    WHERE referral_id = ANY(:ids) AND answered_at IS NULL AND withdrawn_at IS NULL
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_WITHDRAW: Final = text("""
    UPDATE agency_question SET withdrawn_at = :now WHERE question_id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("now", type_=DateTime(timezone=True)))
_ERASE: Final = text("DELETE FROM agency_question WHERE case_id = :case_id AND sent_at <= :erased_at").bindparams(
    bindparam("erased_at", type_=DateTime(timezone=True))
)


async def add_question(transaction: Transaction, keys: Keys, question: AgencyQuestion) -> None:
    """Stores a question without an answer."""
    content = keys.encrypt(question.text.encode(), associated_data=agency_question_context(question.question_id))
    values = {
        "question_id": question.question_id,
        "case_id": question.case_id,
        "referral_id": question.referral_id,
        "agency": question.agency,
        "addressee": question.addressee,
        "content": content,
        "sent_at": question.sent_at,
    }
    await transaction.connection.execute(_ADD, values)


async def find_question(transaction: Transaction, keys: Keys, question_id: UUID) -> AgencyQuestion | None:
    """Finds a question."""
    row = (await transaction.connection.execute(_FIND, {"question_id": question_id})).one_or_none()
    return _decrypt(keys, row) if row else None


async def list_questions(
    transaction: Transaction, keys: Keys, referral_ids: Collection[UUID], agency: str, limit: int
) -> list[AgencyQuestion]:
    """Lists the questions of an agency about referrals, the newest first."""
    values = {"ids": list(referral_ids), "agency": agency, "limit": limit}
    return [_decrypt(keys, row) for row in await transaction.connection.execute(_LIST_OF_REFERRALS, values)]


async def list_addressed_questions(
    transaction: Transaction, keys: Keys, agency: str, hidden: Collection[UUID], limit: int
) -> list[AgencyQuestion]:
    """Lists the questions to an agency, except about hidden cases: open ones, the oldest first, then answered ones."""
    values = {"agency": agency, "hidden": list(hidden), "limit": limit}
    return [_decrypt(keys, row) for row in await transaction.connection.execute(_LIST_ADDRESSED, values)]


async def count_open_questions(connection: AsyncConnection, agency: str, hidden: Collection[UUID]) -> int:
    """Counts the questions that wait for an agency, except about hidden cases."""
    values = {"agency": agency, "hidden": list(hidden)}
    return int((await connection.execute(_COUNT_OPEN, values)).scalar_one())


async def answer_question(transaction: Transaction, keys: Keys, question_id: UUID, answer: str) -> None:
    """Stores the answer to a question."""
    encrypted = keys.encrypt(answer.encode(), associated_data=question_answer_context(question_id))
    await transaction.connection.execute(
        _ANSWER, {"question_id": question_id, "answer": encrypted, "now": transaction.now}
    )


async def withdraw_questions(
    transaction: Transaction, referral_ids: Collection[UUID], may_answer: Callable[[str], bool]
) -> None:
    """Withdraws the open questions about referrals from those who may not answer them any more."""
    found = (await transaction.connection.execute(_OPEN_OF_REFERRALS, {"ids": list(referral_ids)})).all()
    withdrawn = [question_id for question_id, addressee in found if not may_answer(addressee)]
    if withdrawn:
        await transaction.connection.execute(_WITHDRAW, {"ids": withdrawn, "now": transaction.now})


async def erase_questions(transaction: Transaction, case_id: UUID, erased_at: datetime) -> int:
    """Deletes the questions of a case, with their answers, until a moment; returns how many."""
    erased = await transaction.connection.execute(_ERASE, {"case_id": case_id, "erased_at": erased_at})
    return erased.rowcount


def _decrypt(keys: Keys, row: Any) -> AgencyQuestion:
    question = keys.decrypt(row.content, associated_data=agency_question_context(row.question_id)).decode()
    answer = ""
    if row.answer is not None:
        answer = keys.decrypt(row.answer, associated_data=question_answer_context(row.question_id)).decode()
    return AgencyQuestion(
        row.question_id,
        row.case_id,
        row.referral_id,
        row.agency,
        row.addressee,
        question,
        row.sent_at,
        answer,
        row.answered_at,
        row.withdrawn_at,
    )
