"""The facts of a case as routing keeps them, so that its decision can be explained years later."""

import json
from uuid import UUID

from simpul_routing.domain.engine import Origin
from simpul_routing.domain.facts import Situation


def place_of(case_id: UUID) -> str:
    """What binds the stored facts to their case."""
    return f"case_plan/{case_id}"


def written(situation: Situation, origin: Origin) -> bytes:
    """As they are locked and stored."""
    told = {
        "situation": {fact: sorted(values) for fact, values in situation.items()},
        "satgas": origin.satgas,
        "kecamatan": origin.kecamatan,
        "centre": origin.centre,
        "excluded": sorted(origin.excluded),
    }
    return json.dumps(told).encode()


def read(stored: bytes) -> tuple[Situation, Origin]:
    """As they were decided on."""
    told = json.loads(stored)
    situation = {fact: frozenset(values) for fact, values in told["situation"].items()}
    return situation, Origin(told["satgas"], told["kecamatan"], told["centre"], frozenset(told["excluded"]))
