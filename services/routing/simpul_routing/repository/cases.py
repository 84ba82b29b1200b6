"""Cases: how they are read and written."""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Uuid

from simpul_agreement.rights import Entry, Ledger
from simpul_routing.domain.case import Case
from simpul_routing.domain.case_lifecycle import CaseState
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.stored_facts import case_context, decode_facts
from simpul_runtime.signing import Keys
from simpul_schema.vocabulary import CaseEnd, Right, RightState, Urgency

SELECT_CASES = """
    SELECT case_id, state, urgency, urgency_from_facts, mediation_locked, agreement, agreement_digest, situation,
        rights, ended_as, ended_at, merged_into, decided_at, version
    FROM case_plan"""
_BY_ID = text(f"{SELECT_CASES} WHERE case_id = ANY(:ids)").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


async def find_cases(connection: AsyncConnection, keys: Keys, ids: Collection[UUID]) -> dict[UUID, Case]:
    """Finds cases by id; unknown ids are left out. Locks nothing."""
    if not ids:
        return {}
    rows = await connection.execute(_BY_ID, {"ids": list(ids)})
    return {row.case_id: case_from_row(keys, row) for row in rows}


def case_from_row(keys: Keys, row: Any) -> Case:
    """Returns the case that a row of SELECT_CASES holds."""
    return Case(
        case_id=row.case_id,
        state=CaseState(row.state),
        urgency=Urgency(row.urgency),
        urgency_from_facts=Urgency(row.urgency_from_facts),
        mediation_locked=row.mediation_locked,
        agreement=row.agreement,
        agreement_digest=row.agreement_digest,
        read_facts=facts_reader(keys, row.case_id, row.situation),
        rights=decode_ledger(row.rights),
        ended_as=CaseEnd(row.ended_as) if row.ended_as else None,
        ended_at=row.ended_at,
        merged_into=row.merged_into,
        decided_at=row.decided_at,
        version=row.version,
    )


def facts_reader(keys: Keys, case_id: UUID, situation: bytes) -> Callable[[], CaseFacts]:
    """Returns a function that decrypts the facts of a case when it is called first."""

    @cache
    def read_facts() -> CaseFacts:
        return decode_facts(keys.decrypt(situation, associated_data=case_context(case_id)))

    return read_facts


def encode_ledger(ledger: Ledger) -> dict[str, dict[str, str]]:
    """Returns a rights ledger as JSON."""
    return {right.value: {"state": entry.state.value, "reason": entry.reason} for right, entry in ledger.items()}


def decode_ledger(stored: Mapping[str, Mapping[str, str]]) -> Ledger:
    """Returns a rights ledger from its JSON; a right that it lacks is unanswered."""
    return {
        right: Entry(RightState(stored[right.value]["state"]), stored[right.value]["reason"])
        if right.value in stored
        else Entry(RightState.UNANSWERED)
        for right in Right
    }
