"""The facts of a case as routing stores them, so that a decision can be explained years later."""

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
    # Mediation is allowed where the suspect is a child, so no report may dispute it.
    **dict.fromkeys(("safe_now", "perpetrator_is_child"), "no"),
    **dict.fromkeys(
        (
            "injured", "sexual_under_72h", "suicidal_sign", "trafficking_sign", "pregnant", "disability_need",
            "perpetrator_lives_with_child",
        ),
        "yes",
    ),
}  # fmt: skip
"""The answer that prevails where two reports of one child contradict each other."""


@dataclass(frozen=True, slots=True)
class ReportedFacts:
    """The facts of one report."""

    situation: Situation
    origin: Origin
    shared: ReferralFacts
    """Sent to every addressed agency, so that nobody has to ask the child again (R4)."""


@dataclass(frozen=True)
class StoredFacts:
    """The facts that a case is decided on: those of every report of the child, and exclusions made by hand."""

    reports: Mapping[str, ReportedFacts]
    """By the id of the case that the report opened: the case's own first, then those of merged duplicates."""
    excluded: frozenset[str] = frozenset()
    excluded_kind: frozenset[str] = _NOBODY
    """The kind of the excluded agency, which is all that the facts of the agreement know."""
    mediation_locked: bool = True
    suggestions: Mapping[str, Suggestion] = field(default_factory=dict)
    """By agency: exclusions that an unverified source suggested."""

    @cached_property
    def pending(self) -> frozenset[str]:
        """Agencies whose suggested exclusion is undecided, without those that are excluded for another reason."""
        undecided = {code for code, one in self.suggestions.items() if one.state is SuggestionState.PENDING}
        return frozenset(undecided - self.origin.excluded)

    @cached_property
    def situation(self) -> Situation:
        """The facts of all reports combined."""
        first, *others = (one.situation for one in self.reports.values())
        found = dict(first)
        for other in others:
            for fact, values in other.items():
                found[fact] = _combine_values(fact, found[fact], values)
        if found[EXCLUDED.name] == _NOBODY:
            found[EXCLUDED.name] = self.excluded_kind
        return found

    @cached_property
    def origin(self) -> Origin:
        """Where the child lives and reported; an agency that any report excludes is excluded."""
        origins = [one.origin for one in self.reports.values()]
        return Origin(
            satgas=next((origin.satgas for origin in origins if origin.satgas), ""),
            kecamatan=next((origin.kecamatan for origin in origins if origin.kecamatan), ""),
            centre=next((origin.centre for origin in origins if origin.centre), ""),
            excluded=self.excluded.union(*(origin.excluded for origin in origins)),
        )

    @cached_property
    def shared(self) -> ReferralFacts:
        """The facts for every addressed agency: reported kinds of violence first, then those that the facts imply."""
        first, *others = (one.shared.model_dump(mode="json") for one in self.reports.values())
        for other in others:
            kinds = dict.fromkeys((*first["violence"], *other["violence"]))
            for name, value in other.items():
                if name not in ("violence", "implied_violence", "mediation_locked"):
                    [first[name]] = _combine_values(name, frozenset({first[name]}), frozenset({value}))
            first["violence"] = [kind for kind in kinds if kind != UNKNOWN] or list(kinds)
        counting = normalize_situation(self.situation)[VIOLENCE.name]
        implied = [kind.value for kind in Violence if kind.value in counting.difference(first["violence"])]
        return ReferralFacts.model_validate(first | {
            "violence": [*first["violence"], *implied], "implied_violence": implied,
            "mediation_locked": self.mediation_locked,
        })  # fmt: skip

    def amend_report(self, case_id: UUID, now: ReportedFacts) -> "StoredFacts":
        """Returns the facts with one report replaced; its time, its centre and its exclusions stay."""
        before = self.reports[str(case_id)]
        kept = {TIME.name, CENTRE.name}
        excluded_kind = before.situation[EXCLUDED.name]
        situation = {fact: before.situation[fact] if fact in kept else values for fact, values in now.situation.items()}
        if excluded_kind != _NOBODY:
            situation[EXCLUDED.name] = excluded_kind
        origin = replace(now.origin, centre=before.origin.centre, excluded=now.origin.excluded | before.origin.excluded)
        return replace(self, reports={**self.reports, str(case_id): ReportedFacts(situation, origin, now.shared)})

    def exclude_agencies(self, agencies: frozenset[str], kind: str) -> "StoredFacts":
        """Returns the facts with more agencies excluded."""
        excluded_kind = frozenset({kind}) if self.excluded_kind == _NOBODY else self.excluded_kind
        return replace(self, excluded=self.excluded | agencies, excluded_kind=excluded_kind)

    def add_suggestions(self, agencies: Iterable[str], now: datetime) -> "StoredFacts":
        """Returns the facts with more suggested exclusions; decisions about earlier suggestions stay."""
        new = {code: Suggestion(SuggestionState.PENDING, now) for code in agencies if code not in self.origin.excluded}
        return replace(self, suggestions={**new, **self.suggestions})

    def decide_suggestion(self, agency: str, state: SuggestionState, by: str, now: datetime) -> "StoredFacts":
        """Returns the facts after a person decided about a suggested exclusion."""
        one = replace(self.suggestions[agency], state=state, decided_at=now, decided_by=by)
        return replace(self, suggestions={**self.suggestions, agency: one})

    def merge_duplicate(self, duplicate: "StoredFacts") -> "StoredFacts":
        """Returns the facts combined with those of a duplicate case: all reports and all exclusions."""
        excluded_kind = duplicate.excluded_kind if self.excluded_kind == _NOBODY else self.excluded_kind
        combined = replace(
            self, reports={**self.reports, **duplicate.reports},
            excluded=self.excluded | duplicate.excluded, excluded_kind=excluded_kind,
        )  # fmt: skip
        suggestions = _combine_suggestions(self.suggestions, duplicate.suggestions)
        for code in suggestions.keys() & combined.origin.excluded:
            suggestions[code] = replace(suggestions[code], state=SuggestionState.CONFIRMED)
        return replace(combined, suggestions=suggestions)


def _combine_values(fact: str, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Combines two answers to one fact: a known answer beats an unknown one, the more dangerous of two prevails."""
    if fact == VIOLENCE.name:
        return (one | other) - {UNKNOWN} or one
    if one == other or other in ({UNKNOWN}, {""}):
        return one
    if one in ({UNKNOWN}, {""}):
        return other
    if fact == "age_band":
        # Younger children need more services.
        return next(found for band in AgeBand if (found := frozenset({band.value})) in (one, other))
    dangerous = frozenset({_DANGEROUS.get(fact, "")})
    return dangerous if dangerous in (one, other) else one


_PRECEDENCE: Final = (SuggestionState.CONFIRMED, SuggestionState.PENDING, SuggestionState.REJECTED)
"""Of two merged suggestions the earlier in this order prevails: a rejection in one case is reviewed again."""


def _combine_suggestions(one: Mapping[str, Suggestion], other: Mapping[str, Suggestion]) -> dict[str, Suggestion]:
    combined = {**other, **one}
    for code in one.keys() & other.keys():
        combined[code] = min(one[code], other[code], key=lambda found: _PRECEDENCE.index(found.state))
    return combined


def case_context(case_id: UUID) -> str:
    """The encryption context of a case's stored facts."""
    return f"case_plan/{case_id}"


def note_context(case_id: UUID) -> str:
    """The encryption context of a note in a case's history."""
    return f"note/{case_id}"


def referral_context(referral_id: UUID) -> str:
    """The encryption context of a referral's stored clauses."""
    return f"referral/{referral_id}"


def encode_facts(facts: StoredFacts) -> bytes:
    """Serializes facts to JSON, which the caller encrypts."""
    return json.dumps({
        "reports": {case_id: _encode_report(report) for case_id, report in facts.reports.items()},
        "excluded": sorted(facts.excluded),
        "excluded_kind": sorted(facts.excluded_kind),
        "mediation_locked": facts.mediation_locked,
        "suggestions": {code: _encode_suggestion(one) for code, one in facts.suggestions.items()},
    }).encode()  # fmt: skip


def decode_facts(stored: bytes) -> StoredFacts:
    """Deserializes decrypted facts."""
    found = json.loads(stored)
    # Cases that were stored before 2026-11-26 have the older name.
    reports = found["reports"] if "reports" in found else found["told"]
    return StoredFacts(
        reports={case_id: _decode_report(report) for case_id, report in reports.items()},
        excluded=frozenset(found["excluded"]),
        excluded_kind=frozenset(found["excluded_kind"]),
        mediation_locked=found["mediation_locked"],
        # Cases that an older version stored have no suggestions.
        suggestions={code: _decode_suggestion(one) for code, one in found.get("suggestions", {}).items()},
    )


def encode_clauses(clauses: Sequence[str]) -> bytes:
    """Serializes the ids of clauses to JSON, which the caller encrypts."""
    return json.dumps(list(clauses)).encode()


def decode_clauses(stored: bytes) -> tuple[str, ...]:
    """Deserializes the decrypted ids of the clauses that require a referral."""
    return tuple(json.loads(stored))


def _encode_report(report: ReportedFacts) -> dict[str, Any]:
    return {
        "situation": {fact: sorted(values) for fact, values in report.situation.items()},
        "satgas": report.origin.satgas,
        "kecamatan": report.origin.kecamatan,
        "centre": report.origin.centre,
        "excluded": sorted(report.origin.excluded),
        "shared": report.shared.model_dump(mode="json"),
    }


def _decode_report(found: Mapping[str, Any]) -> ReportedFacts:
    return ReportedFacts(
        # A case that was stored before a fact was added has the fact's default.
        situation=complete_situation({fact: frozenset(values) for fact, values in found["situation"].items()}),
        origin=Origin(found["satgas"], found["kecamatan"], found["centre"], frozenset(found["excluded"])),
        shared=ReferralFacts.model_validate(found["shared"]),
    )


def _encode_suggestion(one: Suggestion) -> dict[str, str]:
    decided_at = one.decided_at.isoformat() if one.decided_at else ""
    return {"state": one.state.value, "suggested_at": one.suggested_at.isoformat(), "decided_at": decided_at,
            "decided_by": one.decided_by}  # fmt: skip


def _decode_suggestion(found: Mapping[str, str]) -> Suggestion:
    decided_at = datetime.fromisoformat(found["decided_at"]) if found["decided_at"] else None
    suggested_at = datetime.fromisoformat(found["suggested_at"])
    return Suggestion(SuggestionState(found["state"]), suggested_at, decided_at, found["decided_by"])
