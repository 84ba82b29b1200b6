"""Reads the decision on a case that routing stored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from simpul_routing.stored_facts import StoredFacts, case_context, decode_facts
from simpul_seal import KeyRing, unlock


class CaseNotFound(Exception):
    """Routing has no plan of this case; check the id and the database."""


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """When and by which version a case was decided, and on which facts."""

    agreement: str
    digest: str
    decided_at: datetime
    facts: StoredFacts


async def stored_decision(database_url: str, case_id: UUID, ring: KeyRing) -> StoredDecision:
    """The plan of a case; CaseNotFound when there is none."""
    connection = await asyncpg.connect(database_url)
    try:
        row = await connection.fetchrow(
            "SELECT agreement, agreement_digest, decided_at, situation FROM case_plan WHERE case_id = $1", case_id
        )
    finally:
        await connection.close()
    if row is None:
        msg = f"no case {case_id} in this database"
        raise CaseNotFound(msg)
    facts = decode_facts(unlock(row["situation"], ring, place=case_context(case_id)))
    return StoredDecision(row["agreement"], row["agreement_digest"], row["decided_at"], facts)
