"""Cases and referrals by the codes that people quote."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from simpul_schema.references import CodeRange

_RANGE = [bindparam("first", type_=Uuid), bindparam("last", type_=Uuid)]
_CASES = text("SELECT case_id FROM case_plan WHERE case_id BETWEEN :first AND :last LIMIT 2").bindparams(*_RANGE)
_REFERRALS = text("SELECT referral_id FROM referral WHERE referral_id BETWEEN :first AND :last LIMIT 2").bindparams(
    *_RANGE
)
_CASES_OF_REFERRALS = text("""
    SELECT case_id FROM referral WHERE referral_id BETWEEN :first AND :last
    UNION SELECT case_id FROM exclusion_review WHERE referral_id BETWEEN :first AND :last
    UNION SELECT case_id FROM service_plan WHERE referral_id BETWEEN :first AND :last
    UNION SELECT case_id FROM transfer WHERE transfer_id BETWEEN :first AND :last LIMIT 2
""").bindparams(*_RANGE)


async def find_cases_by_code(connection: AsyncConnection, code: CodeRange) -> Sequence[UUID]:
    """Finds the cases of a code, at most two.

    The code of a referral, a review, a service plan or a transfer stands for its case.
    """
    statement = _CASES if code.kind == "case" else _CASES_OF_REFERRALS
    return (await connection.execute(statement, {"first": code.first, "last": code.last})).scalars().all()


async def find_referrals_by_code(connection: AsyncConnection, code: CodeRange) -> Sequence[UUID]:
    """Finds the referrals of a code, at most two."""
    return (await connection.execute(_REFERRALS, {"first": code.first, "last": code.last})).scalars().all()
