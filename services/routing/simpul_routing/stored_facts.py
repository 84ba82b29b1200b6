"""The facts of a case as routing keeps them, so that its decision can be explained years later."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from simpul_routing.domain.engine import Origin
from simpul_routing.domain.facts import CENTRE, EXCLUDED, NONE, TIME, UNKNOWN, VIOLENCE, Situation
from simpul_schema.messages.referral import ReferralFacts

NOBODY: Final = frozenset({NONE})


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


def amended(before: StoredFacts, now: StoredFacts) -> StoredFacts:
    """The new facts; who was excluded stays excluded, and the report keeps its time and centre."""
    kept = {TIME.name, CENTRE.name}
    situation = {fact: before.situation[fact] if fact in kept else values for fact, values in now.situation.items()}
    facts = StoredFacts(situation, replace(now.origin, centre=before.origin.centre), now.shared)
    return with_excluded(facts, before.origin.excluded, before.situation[EXCLUDED.name])


def with_excluded(facts: StoredFacts, agencies: frozenset[str], kind: frozenset[str]) -> StoredFacts:
    """The same facts with more agencies that receive nothing; `kind` stands for them where none stood before."""
    stands = facts.situation[EXCLUDED.name]
    situation = {**facts.situation, EXCLUDED.name: kind if stands == NOBODY else stands}
    return replace(facts, situation=situation, origin=replace(facts.origin, excluded=facts.origin.excluded | agencies))


def united(facts: StoredFacts, twin: StoredFacts) -> StoredFacts:
    """What two reports of one child say together; where they contradict each other the first counts."""
    situation = dict(facts.situation)
    for fact, values in twin.situation.items():
        if fact == VIOLENCE.name:
            situation[fact] = (situation[fact] | values) - {UNKNOWN} or situation[fact]
        elif situation[fact] == {UNKNOWN}:
            situation[fact] = values
    shared = facts.shared.model_dump()
    for name, value in twin.shared.model_dump().items():
        if shared[name] in (UNKNOWN, ""):
            shared[name] = value
    kinds = dict.fromkeys((*facts.shared.violence, *twin.shared.violence))
    shared["violence"] = [kind for kind in kinds if kind != UNKNOWN] or list(kinds)
    origin = Origin(
        facts.origin.satgas or twin.origin.satgas, facts.origin.kecamatan or twin.origin.kecamatan,
        facts.origin.centre or twin.origin.centre, facts.origin.excluded,
    )  # fmt: skip
    both = StoredFacts(situation, origin, ReferralFacts.model_validate(shared))
    return with_excluded(both, twin.origin.excluded, twin.situation[EXCLUDED.name])


def place_of_note(case_id: UUID) -> str:
    """What binds what a person wrote to its case."""
    return f"note/{case_id}"


def place_of_referral(referral_id: UUID) -> str:
    """What binds the stored clauses to their referral."""
    return f"referral/{referral_id}"


def written_clauses(clauses: Sequence[str]) -> bytes:
    """As they are locked and stored."""
    return json.dumps(list(clauses)).encode()


def read_clauses(stored: bytes) -> tuple[str, ...]:
    """The clauses that asked for a referral."""
    return tuple(json.loads(stored))
