"""The facts of a case as routing keeps them, so that its decision can be explained years later."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from uuid import UUID

from simpul_agreement.engine import Origin
from simpul_agreement.facts import CENTRE, EXCLUDED, NONE, TIME, UNKNOWN, VIOLENCE, Situation, complete_situation
from simpul_agreement.implications import normalize_situation
from simpul_routing.domain.exclusions import Suggestion, SuggestionState
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import AgeBand, Violence

_NOBODY: Final = frozenset({NONE})
_DANGEROUS: Final[Mapping[str, str]] = {
    # A child who is the suspect may be mediated with, so it must be undisputed.
    **dict.fromkeys(("safe_now", "perpetrator_is_child"), "no"),
    **dict.fromkeys(
        (
            "injured", "sexual_under_72h", "suicidal_sign", "trafficking_sign", "pregnant", "disability_need",
            "perpetrator_lives_with_child",
        ),
        "yes",
    ),
}  # fmt: skip
"""Which answer counts where two reports of one child contradict each other."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one report says."""

    situation: Situation
    origin: Origin
    shared: ReferralFacts
    """What every addressed agency gets, so that nobody asks twice (R4)."""


@dataclass(frozen=True)
class StoredFacts:
    """What a case is decided on: what each report of the child says, and who was excluded besides."""

    told: Mapping[str, Told]
    """By the case that the report opened; the first is the case's own, the others those of merged twins."""
    excluded: frozenset[str] = frozenset()
    excluded_kind: frozenset[str] = _NOBODY
    """The kind of agency that stands for them in the facts of the agreement."""
    mediation_locked: bool = True
    suggestions: Mapping[str, Suggestion] = field(default_factory=dict)
    """Agencies whose exclusion a source suggested that nobody knows, each once."""

    @cached_property
    def pending(self) -> frozenset[str]:
        """The agencies about which a person must decide; one that is excluded for another reason is decided."""
        open_ones = {code for code, one in self.suggestions.items() if one.state is SuggestionState.PENDING}
        return frozenset(open_ones - self.origin.excluded)

    @cached_property
    def situation(self) -> Situation:
        """What the reports say together."""
        first, *others = (one.situation for one in self.told.values())
        found = dict(first)
        for other in others:
            for fact, values in other.items():
                found[fact] = _together(fact, found[fact], values)
        if found[EXCLUDED.name] == _NOBODY:
            found[EXCLUDED.name] = self.excluded_kind
        return found

    @cached_property
    def origin(self) -> Origin:
        """The agencies that the reports tell; whoever is excluded by one of them is excluded."""
        origins = [one.origin for one in self.told.values()]
        return Origin(
            satgas=next((origin.satgas for origin in origins if origin.satgas), ""),
            kecamatan=next((origin.kecamatan for origin in origins if origin.kecamatan), ""),
            centre=next((origin.centre for origin in origins if origin.centre), ""),
            excluded=self.excluded.union(*(origin.excluded for origin in origins)),
        )

    @cached_property
    def shared(self) -> ReferralFacts:
        """What every addressed agency gets; a kind of violence that the facts imply stands beside those reported."""
        first, *others = (one.shared.model_dump(mode="json") for one in self.told.values())
        for other in others:
            kinds = dict.fromkeys((*first["violence"], *other["violence"]))
            for name, value in other.items():
                if name not in ("violence", "implied_violence", "mediation_locked"):
                    [first[name]] = _together(name, frozenset({first[name]}), frozenset({value}))
            first["violence"] = [kind for kind in kinds if kind != UNKNOWN] or list(kinds)
        counting = normalize_situation(self.situation)[VIOLENCE.name]
        implied = [kind.value for kind in Violence if kind.value in counting.difference(first["violence"])]
        return ReferralFacts.model_validate(first | {
            "violence": [*first["violence"], *implied], "implied_violence": implied,
            "mediation_locked": self.mediation_locked,
        })  # fmt: skip

    def amended(self, case_id: UUID, now: Told) -> "StoredFacts":
        """One report says something else now; it keeps its time and centre, and whoever it excluded."""
        before = self.told[str(case_id)]
        kept = {TIME.name, CENTRE.name}
        stands = before.situation[EXCLUDED.name]
        situation = {fact: before.situation[fact] if fact in kept else values for fact, values in now.situation.items()}
        if stands != _NOBODY:
            situation[EXCLUDED.name] = stands
        origin = replace(now.origin, centre=before.origin.centre, excluded=now.origin.excluded | before.origin.excluded)
        return replace(self, told={**self.told, str(case_id): Told(situation, origin, now.shared)})

    def without(self, agencies: frozenset[str], kind: str) -> "StoredFacts":
        """The same with more agencies that receive nothing."""
        stands = frozenset({kind}) if self.excluded_kind == _NOBODY else self.excluded_kind
        return replace(self, excluded=self.excluded | agencies, excluded_kind=stands)

    def suggesting(self, agencies: Iterable[str], now: datetime) -> "StoredFacts":
        """The same with suggested exclusions; what was suggested before stays as it was decided."""
        new = {code: Suggestion(SuggestionState.PENDING, now) for code in agencies if code not in self.origin.excluded}
        return replace(self, suggestions={**new, **self.suggestions})

    def decided(self, agency: str, state: SuggestionState, by: str, now: datetime) -> "StoredFacts":
        """The same after a person has decided about a suggested exclusion."""
        one = replace(self.suggestions[agency], state=state, decided_at=now, decided_by=by)
        return replace(self, suggestions={**self.suggestions, agency: one})

    def with_twin(self, twin: "StoredFacts") -> "StoredFacts":
        """Two cases of one child: everything that was told, and everybody who was excluded."""
        stands = twin.excluded_kind if self.excluded_kind == _NOBODY else self.excluded_kind
        together = replace(
            self, told={**self.told, **twin.told},
            excluded=self.excluded | twin.excluded, excluded_kind=stands,
        )  # fmt: skip
        suggestions = _suggestions_together(self.suggestions, twin.suggestions)
        for code in suggestions.keys() & together.origin.excluded:
            suggestions[code] = replace(suggestions[code], state=SuggestionState.CONFIRMED)
        return replace(together, suggestions=suggestions)


def _together(fact: str, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """What two reports say of a fact: what is known counts, and where both know, the more dangerous."""
    if fact == VIOLENCE.name:
        return (one | other) - {UNKNOWN} or one
    if one == other or other in ({UNKNOWN}, {""}):
        return one
    if one in ({UNKNOWN}, {""}):
        return other
    if fact == "age_band":
        # The younger child is the one that needs more.
        return next(found for band in AgeBand if (found := frozenset({band.value})) in (one, other))
    dangerous = frozenset({_DANGEROUS.get(fact, "")})
    return dangerous if dangerous in (one, other) else one


_STANDS_BEFORE: Final = (SuggestionState.CONFIRMED, SuggestionState.PENDING, SuggestionState.REJECTED)
"""What is confirmed in one case counts in both; what is rejected in one is looked at again with both."""


def _suggestions_together(one: Mapping[str, Suggestion], other: Mapping[str, Suggestion]) -> dict[str, Suggestion]:
    together = {**other, **one}
    for code in one.keys() & other.keys():
        together[code] = min(one[code], other[code], key=lambda found: _STANDS_BEFORE.index(found.state))
    return together


def place_of(case_id: UUID) -> str:
    """What binds the stored facts to their case."""
    return f"case_plan/{case_id}"


def place_of_note(case_id: UUID) -> str:
    """What binds what a person wrote to its case."""
    return f"note/{case_id}"


def place_of_referral(referral_id: UUID) -> str:
    """What binds the stored clauses to their referral."""
    return f"referral/{referral_id}"


def written(facts: StoredFacts) -> bytes:
    """As they are locked and stored."""
    return json.dumps({
        "told": {report: _told_out(told) for report, told in facts.told.items()},
        "excluded": sorted(facts.excluded),
        "excluded_kind": sorted(facts.excluded_kind),
        "mediation_locked": facts.mediation_locked,
        "suggestions": {code: _suggestion_out(one) for code, one in facts.suggestions.items()},
    }).encode()  # fmt: skip


def read(stored: bytes) -> StoredFacts:
    """As they were decided on."""
    found = json.loads(stored)
    return StoredFacts(
        told={report: _told_in(told) for report, told in found["told"].items()},
        excluded=frozenset(found["excluded"]),
        excluded_kind=frozenset(found["excluded_kind"]),
        mediation_locked=found["mediation_locked"],
        # A case that was stored by an older version has none.
        suggestions={code: _suggestion_in(one) for code, one in found.get("suggestions", {}).items()},
    )


def written_clauses(clauses: Sequence[str]) -> bytes:
    """As they are locked and stored."""
    return json.dumps(list(clauses)).encode()


def read_clauses(stored: bytes) -> tuple[str, ...]:
    """The clauses that asked for a referral."""
    return tuple(json.loads(stored))


def _told_out(told: Told) -> dict[str, Any]:
    return {
        "situation": {fact: sorted(values) for fact, values in told.situation.items()},
        "satgas": told.origin.satgas,
        "kecamatan": told.origin.kecamatan,
        "centre": told.origin.centre,
        "excluded": sorted(told.origin.excluded),
        "shared": told.shared.model_dump(mode="json"),
    }


def _told_in(found: Mapping[str, Any]) -> Told:
    return Told(
        # A case that was stored before a fact was added has the fact's default.
        situation=complete_situation({fact: frozenset(values) for fact, values in found["situation"].items()}),
        origin=Origin(found["satgas"], found["kecamatan"], found["centre"], frozenset(found["excluded"])),
        shared=ReferralFacts.model_validate(found["shared"]),
    )


def _suggestion_out(one: Suggestion) -> dict[str, str]:
    decided_at = one.decided_at.isoformat() if one.decided_at else ""
    return {"state": one.state.value, "suggested_at": one.suggested_at.isoformat(), "decided_at": decided_at,
            "decided_by": one.decided_by}  # fmt: skip


def _suggestion_in(found: Mapping[str, str]) -> Suggestion:
    decided_at = datetime.fromisoformat(found["decided_at"]) if found["decided_at"] else None
    suggested_at = datetime.fromisoformat(found["suggested_at"])
    return Suggestion(SuggestionState(found["state"]), suggested_at, decided_at, found["decided_by"])
