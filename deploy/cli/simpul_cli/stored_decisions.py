"""Reads the decision on a case that routing stored."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from simpul_routing.domain.facts import CaseFacts
from simpul_routing.stored_facts import case_context, decode_facts
from simpul_seal import KeyRing, decrypt


class CaseNotFound(Exception):
    """Routing has not decided this case; check the id and the database."""


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """The version, time and facts of the decision on a case."""

    agreement: str
    digest: str
    decided_at: datetime
    facts: CaseFacts


async def stored_decision(database_url: str, case_id: UUID, ring: KeyRing) -> StoredDecision:
    """Loads and decrypts the decision on a case; raises CaseNotFound."""
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
    facts = decode_facts(decrypt(row["situation"], ring, associated_data=case_context(case_id)))
    return StoredDecision(row["agreement"], row["agreement_digest"], row["decided_at"], facts)
