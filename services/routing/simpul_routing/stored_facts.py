"""The facts of a case as routing keeps them, so that its decision can be explained years later."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from simpul_routing.domain.engine import Origin
from simpul_routing.domain.facts import Situation
from simpul_schema.messages.referral import ReferralFacts


def place_of(case_id: UUID) -> str:
    """What binds the stored facts to their case."""
    return f"case_plan/{case_id}"


def written(situation: Situation, origin: Origin, shared: ReferralFacts) -> bytes:
    """As they are locked and stored; `shared` is what every addressed agency gets, so that nobody asks twice (R4)."""
    told = {
        "situation": {fact: sorted(values) for fact, values in situation.items()},
        "satgas": origin.satgas,
        "kecamatan": origin.kecamatan,
        "centre": origin.centre,
        "excluded": sorted(origin.excluded),
        "shared": shared.model_dump(mode="json"),
    }
    return json.dumps(told).encode()


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """What a case was decided on."""

    situation: Situation
    origin: Origin
    shared: ReferralFacts


def read(stored: bytes) -> StoredFacts:
    """As they were decided on."""
    told = json.loads(stored)
    return StoredFacts(
        situation={fact: frozenset(values) for fact, values in told["situation"].items()},
        origin=Origin(told["satgas"], told["kecamatan"], told["centre"], frozenset(told["excluded"])),
        shared=ReferralFacts.model_validate(told["shared"]),
    )


def place_of_referral(referral_id: UUID) -> str:
    """What binds the stored clauses to their referral."""
    return f"referral/{referral_id}"


def written_clauses(clauses: Sequence[str]) -> bytes:
    """As they are locked and stored."""
    return json.dumps(list(clauses)).encode()


def read_clauses(stored: bytes) -> tuple[str, ...]:
    """The clauses that asked for a referral."""
    return tuple(json.loads(stored))
