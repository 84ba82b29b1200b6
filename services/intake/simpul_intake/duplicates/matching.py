"""Decides which candidates may be the same child."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from simpul_intake.duplicates.description import ChildDescription
from simpul_intake.duplicates.scoring import Search, score
from simpul_intake.duplicates.tokens import BlindIndex, encode_value

POSSIBLE_FROM: Final = 2.5
LIKELY_FROM: Final = 8.0
LEAD: Final = 4.0
"""A candidate that is so much less likely than the best one is left out, unless it is likely itself: where the child is
found, brothers, sisters and namesakes are not meant."""


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """A candidate: a case that shares a lookup token with the description."""

    case_id: UUID
    comparison: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Overlap:
    """A case that may be about the same child."""

    candidate: StoredTokens
    score: float

    @property
    def case_id(self) -> UUID:
        """The candidate's case."""
        return self.candidate.case_id

    @property
    def is_likely(self) -> bool:
        """Whether so much agrees that hardly two children can be meant."""
        return self.score >= LIKELY_FROM


def find_overlaps(
    index: BlindIndex, description: ChildDescription, candidates: Iterable[StoredTokens]
) -> list[Overlap]:
    """Returns the candidates that may be the same child, the likeliest first."""
    search = Search(description)
    scored = [
        Overlap(one, score(search.compare(index.open_candidate(one.case_id, one.comparison)))) for one in candidates
    ]
    best = max((overlap.score for overlap in scored), default=0.0)
    least = max(POSSIBLE_FROM, min(best - LEAD, LIKELY_FROM))
    return sorted((overlap for overlap in scored if overlap.score >= least), key=lambda overlap: -overlap.score)


def may_know(index: BlindIndex, overlap: Overlap, agency: str, wards: Collection[str] | None) -> bool:
    """Returns whether an agency may know of an overlap.

    An agency that the case is closed to never may, and a task force only of its own `wards` (None for the whole city).
    """
    has = index.open_candidate(overlap.case_id, overlap.candidate.comparison)
    # Every ward is compared, so that the time reveals nothing.
    in_area = wards is None or sum(has(encode_value("ward", ward)) for ward in wards) > 0
    return not has(encode_value("closed", agency)) and in_area
