"""Accepts the codes that people quote wherever the API takes an id."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import Path
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_routing import repository
from simpul_routing.errors import CaseUnknown, CodeAmbiguous, CodeInvalid, ReferralUnknown
from simpul_schema.references import read_code

CaseText = Annotated[str, Path(max_length=60, description="id of the case, or a code such as K-7K3Q-2M9F or R-7K3Q2M")]
ReferralText = Annotated[str, Path(max_length=60, description="id of the referral, or its code such as R-7K3Q2M")]


class Codes:
    """Finds the ids that codes stand for; raises CodeInvalid, CodeAmbiguous and the error of an unknown id."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find_case(self, case_id: CaseText) -> UUID:
        """Finds the case of an id or a code; an id is returned as it is. Raises CaseUnknown."""
        if found := _read_id(case_id):
            return found
        code = read_code(case_id)
        if code is None:
            raise CodeInvalid
        async with self._engine.connect() as connection:
            return _choose(await repository.find_cases_by_code(connection, code), CaseUnknown)

    async def find_referral(self, referral_id: ReferralText) -> UUID:
        """Finds the referral of an id or a code; an id is returned as it is. Raises ReferralUnknown."""
        if found := _read_id(referral_id):
            return found
        code = read_code(referral_id)
        if code is None or code.kind != "referral":
            raise CodeInvalid
        async with self._engine.connect() as connection:
            return _choose(await repository.find_referrals_by_code(connection, code), ReferralUnknown)


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _choose(found: Sequence[UUID], unknown: type[Exception]) -> UUID:
    if len(found) > 1:
        raise CodeAmbiguous
    if not found:
        raise unknown
    return found[0]
