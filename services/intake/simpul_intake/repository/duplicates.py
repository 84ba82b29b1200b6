"""Blind indexes, suspected overlaps and the searches of complaint centres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import LargeBinary, Text, Uuid

from simpul_intake.domain import FoundOverlap
from simpul_intake.duplicates import CaseTokens, StoredTokens
from simpul_intake.tables import DuplicateSearchRow
from simpul_runtime.transaction import Transaction

CANDIDATES: Final = 32
"""Candidates that are compared at most: those with most lookup tokens in common."""

_WRITE_INDEX = text("""
    INSERT INTO duplicate_index (case_id, version, lookup, comparison, searched_at)
    SELECT id, :version, CAST(string_to_array(tokens, ',') AS integer[]), compared, now()
    FROM unnest(:case_ids, :lookups, :comparisons) AS made (id, tokens, compared)
    ON CONFLICT (case_id) DO UPDATE SET version = excluded.version, lookup = excluded.lookup,
        comparison = excluded.comparison, searched_at = excluded.searched_at
""").bindparams(
    bindparam("case_ids", type_=ARRAY(Uuid)),
    bindparam("lookups", type_=ARRAY(Text)),
    bindparam("comparisons", type_=ARRAY(LargeBinary)),
)
_ADD_UNSEARCHED = text("""
    INSERT INTO duplicate_unsearched (case_id, digest)
    SELECT id, sha256(compared) FROM unnest(:case_ids, :comparisons) AS made (id, compared)
    ON CONFLICT (case_id) DO UPDATE SET digest = excluded.digest
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)), bindparam("comparisons", type_=ARRAY(LargeBinary)))
_FIND_CANDIDATES = text("""
    WITH searched AS MATERIALIZED (
        SELECT id, CAST(string_to_array(tokens, ',') AS integer[]) AS probe
        FROM unnest(:case_ids, :probes) AS s (id, tokens))
    SELECT s.id, found.case_id, found.comparison FROM searched s CROSS JOIN LATERAL (
        SELECT case_id, comparison FROM duplicate_index,
            LATERAL (SELECT count(*) AS hits FROM unnest(lookup) AS token WHERE token = ANY(s.probe)) AS shared
        WHERE lookup && s.probe AND version = :version AND case_id <> s.id
        ORDER BY hits DESC, case_id LIMIT :limit) AS found
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)), bindparam("probes", type_=ARRAY(Text)))
# The version before marks with NULL what waits; during an upgrade it still stores cases.
_ADOPT_UNSEARCHED = text("""
    WITH waiting AS (
        UPDATE duplicate_index SET searched_at = now() WHERE searched_at IS NULL RETURNING case_id, comparison)
    INSERT INTO duplicate_unsearched (case_id, digest) SELECT case_id, sha256(comparison) FROM waiting
    ON CONFLICT (case_id) DO UPDATE SET digest = excluded.digest
""")
_FIND_UNSEARCHED = text("""
    SELECT case_id, comparison FROM duplicate_unsearched JOIN duplicate_index USING (case_id)
    WHERE version = :version ORDER BY case_id LIMIT :limit
""")
# A case that has new tokens by now stays to be searched.
_MARK_SEARCHED = text("""
    DELETE FROM duplicate_unsearched USING unnest(:case_ids, :comparisons) AS searched (id, compared)
    WHERE case_id = id AND digest = sha256(compared)
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)), bindparam("comparisons", type_=ARRAY(LargeBinary)))
_FIND_UNINDEXED = text("""
    SELECT k.case_id FROM case_key k LEFT JOIN duplicate_index i USING (case_id)
    WHERE (i.case_id IS NULL OR i.version <> :version) AND k.case_id > :after ORDER BY k.case_id LIMIT :limit
""")
_ADD_OVERLAP = text("""
    INSERT INTO suspected_overlap AS known (case_id, other_case_id, overlap_id, is_likely, suspected_at)
    SELECT least(:case_id, :other_case_id), greatest(:case_id, :other_case_id), :overlap_id, :is_likely, :suspected_at
    FROM case_key WHERE case_id = :other_case_id
    ON CONFLICT (case_id, other_case_id) DO UPDATE SET is_likely = TRUE
    WHERE NOT known.is_likely AND excluded.is_likely RETURNING overlap_id
""").bindparams(bindparam("case_id", type_=Uuid), bindparam("other_case_id", type_=Uuid))
_COUNT_SEARCHES = text("""
    SELECT count(*) FROM duplicate_search WHERE centre = :centre AND searched_at > :since AND outcome <> 'over_budget'
""")
_MARK_REPORTED = text("""
    UPDATE duplicate_search SET reason = :reason, reported_at = :now
    WHERE search_id = :search_id AND centre = :centre AND report_id = :report_id RETURNING search_id
""")
_FIND_CASE = text("SELECT case_id FROM report WHERE report_id = :report_id")


@dataclass(frozen=True, slots=True)
class StoredSearch:
    """One search of a complaint centre."""

    search_id: UUID
    centre: str
    report_id: UUID
    searched_at: datetime
    outcome: str
    agency: str


async def write_indexes(transaction: Transaction, version: str, tokens: Sequence[tuple[UUID, CaseTokens]]) -> None:
    """Stores the tokens of cases, or replaces them; they are then searched again."""
    if not tokens:
        return
    written = {
        "case_ids": [case_id for case_id, _ in tokens],
        "comparisons": [one.comparison for _, one in tokens],
    }
    lookups = [_join(one.lookup) for _, one in tokens]
    await transaction.connection.execute(_WRITE_INDEX, {**written, "version": version, "lookups": lookups})
    await transaction.connection.execute(_ADD_UNSEARCHED, written)


async def find_candidates(
    connection: AsyncConnection, version: str, probes: Mapping[UUID, Sequence[int]]
) -> dict[UUID, list[StoredTokens]]:
    """Finds, for each searched case and its probe, the other cases that share most lookup tokens with it."""
    values = {
        "version": version,
        "case_ids": list(probes),
        "probes": [_join(probe) for probe in probes.values()],
        "limit": CANDIDATES,
    }
    candidates: dict[UUID, list[StoredTokens]] = {case_id: [] for case_id in probes}
    for searched, case_id, comparison in await connection.execute(_FIND_CANDIDATES, values):
        candidates[searched].append(StoredTokens(case_id, comparison))
    return candidates


def _join(tokens: Sequence[int]) -> str:
    """Joins tokens for `string_to_array`, because `unnest` takes no lists of different lengths."""
    return ",".join(map(str, tokens))


async def find_unsearched(transaction: Transaction, version: str, limit: int) -> list[StoredTokens]:
    """Finds some cases whose tokens were not yet compared with the others.

    Takes over those that the version before stored, which may run until the upgrade is complete.
    """
    await transaction.connection.execute(_ADOPT_UNSEARCHED)
    found = await transaction.connection.execute(_FIND_UNSEARCHED, {"version": version, "limit": limit})
    return [StoredTokens(*row) for row in found]


async def mark_searched(transaction: Transaction, searched: Sequence[StoredTokens]) -> None:
    """Records that cases were compared with the others, unless they have new tokens by now."""
    values = {
        "case_ids": [one.case_id for one in searched],
        "comparisons": [one.comparison for one in searched],
    }
    if searched:
        await transaction.connection.execute(_MARK_SEARCHED, values)


async def find_unindexed(transaction: Transaction, version: str, after: UUID, limit: int) -> list[UUID]:
    """Finds some cases behind `after` that have no tokens of this version."""
    values = {"version": version, "after": after, "limit": limit}
    return list((await transaction.connection.execute(_FIND_UNINDEXED, values)).scalars())


async def add_overlap(transaction: Transaction, found: FoundOverlap) -> UUID | None:
    """Stores a suspected overlap; returns its id when it is new or has become likely, and None when it was known."""
    values = {
        "case_id": found.case_id,
        "other_case_id": found.other_case_id,
        "overlap_id": found.overlap_id,
        "is_likely": found.is_likely,
        "suspected_at": transaction.now,
    }
    added: UUID | None = (await transaction.connection.execute(_ADD_OVERLAP, values)).scalar()
    return added


async def find_case_of_report(connection: AsyncConnection, report_id: UUID) -> UUID | None:
    """Finds the case of a report; None while it is not stored."""
    found: UUID | None = (await connection.execute(_FIND_CASE, {"report_id": report_id})).scalar()
    return found


async def count_searches(connection: AsyncConnection, centre: str, since: datetime) -> int:
    """Counts the searches of a centre since a moment."""
    counted: int = (await connection.execute(_COUNT_SEARCHES, {"centre": centre, "since": since})).scalar_one()
    return counted


def add_search(transaction: Transaction, search: StoredSearch) -> None:
    """Stores a search."""
    row = {name: getattr(search, name) for name in StoredSearch.__slots__}
    transaction.add_row(DuplicateSearchRow, row | {"reason": "", "reported_at": None})


async def mark_reported(transaction: Transaction, search_id: UUID, centre: str, report_id: UUID, reason: str) -> bool:
    """Records why a centre reports in spite of its search; False when it has no such search for this report."""
    values = {
        "search_id": search_id,
        "centre": centre,
        "report_id": report_id,
        "reason": reason,
        "now": transaction.now,
    }
    return (await transaction.connection.execute(_MARK_REPORTED, values)).scalar() is not None
