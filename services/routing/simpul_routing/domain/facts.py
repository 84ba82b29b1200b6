"""The facts that a case is decided on: those of every report of the child, and exclusions made by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Final
from uuid import UUID

from simpul_agreement.engine import Origin
from simpul_agreement.event_times import EventTime
from simpul_agreement.facts import (
    CENTRE,
    EXCLUDED,
    NONE,
    SINCE_EVENT,
    TIME,
    UNKNOWN,
    VIOLENCE,
    Situation,
    TimeSinceEvent,
)
from simpul_agreement.implications import normalize_situation
from simpul_agreement.model import Agreement
from simpul_agreement.reports import situation_from_report
from simpul_city import City
from simpul_routing.domain.consents import Consent, combine_consents
from simpul_routing.domain.exclusions import Suggestion, SuggestionState, find_units
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import OUTSIDE_CITY, AgeBand, Answer, Service, Violence

_NOBODY: Final = frozenset({NONE})
_DANGEROUS: Final[Mapping[str, str]] = {
    # A suspect who is a child is treated more mildly, so no report may dispute it.
    **dict.fromkeys(("safe_now", "perpetrator_is_child"), "no"),
    **dict.fromkeys(
        (
            "injured",
            "sexual_under_72h",
            "suicidal_sign",
            "trafficking_sign",
            "pregnant",
            "disability_need",
            "perpetrator_lives_with_child",
            "guardian_is_suspect",
            "suspect_has_phone",
        ),
        "yes",
    ),
}
"""The answer that prevails where two reports of one child contradict each other."""
_PREVAILING: Final[Mapping[str, tuple[str, ...]]] = {
    # Younger children need more services, and a later event leaves more to be done.
    "age_band": tuple(band.value for band in AgeBand),
    SINCE_EVENT.name: tuple(band.value for band in TimeSinceEvent),
}
"""Of two contradicting values the earlier in this order prevails."""
_EMPTY: Final = (frozenset({UNKNOWN}), frozenset({""}))
_ANSWERED: Final[Mapping[str, str]] = {
    TimeSinceEvent.UNDER_24H.value: Answer.YES.value,
    TimeSinceEvent.FROM_24H_TO_72H.value: Answer.YES.value,
    TimeSinceEvent.OVER_72H.value: Answer.NO.value,
}
"""Whether sexual violence happened in the 72 hours before the report, by the time since the event."""
_WITHIN_72H: Final = frozenset(since for since, answer in _ANSWERED.items() if answer == Answer.YES.value)


@dataclass(frozen=True, slots=True)
class ReportedFacts:
    """The facts of one report."""

    situation: Situation
    origin: Origin
    shared: ReferralFacts
    """Sent to every addressed agency, so that nobody has to ask the child again (R4)."""
    received_at: datetime | None = None
    """When the report was received; None for a case that an older version stored."""
    happened_at: datetime | None = None
    """The earliest moment of the event by the hour or the day that was reported; None if it is not known."""
    named: tuple[str, ...] = ()
    """Agencies that an unverified source called too close to the suspect, each as often as it named them."""


@dataclass(frozen=True)
class CaseFacts:
    """The facts that a case is decided on: those of every report of the child, and exclusions made by hand."""

    reports: Mapping[str, ReportedFacts]
    """By the id of the case that the report opened: the case's own first, then those of merged duplicates."""
    excluded: frozenset[str] = frozenset()
    excluded_kind: frozenset[str] = _NOBODY
    """The kind of the excluded agency, which is all that the facts of the agreement know."""
    mediation_locked: bool = True
    suggestions: Mapping[str, Suggestion] = field(default_factory=dict)
    """By agency: exclusions that an unverified source suggested."""
    left_out: frozenset[Service] = frozenset()
    """Services that a person left out of a service plan; they are offered only where they cannot wait for one."""
    consents: tuple[Consent, ...] = ()
    """Every consent that was recorded, those that were withdrawn included."""

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
        if Violence.SEXUAL.value in counting:
            [since] = self.situation[SINCE_EVENT.name]
            first["sexual_under_72h"] = _ANSWERED.get(since, first["sexual_under_72h"])
        return ReferralFacts.model_validate(
            first
            | {
                "violence": [*first["violence"], *implied],
                "implied_violence": implied,
                "mediation_locked": self.mediation_locked,
            }
        )

    def find_window_start(self, otherwise: datetime) -> tuple[datetime, datetime]:
        """Returns when the time for treatment and evidence began, and when the violence was reported.

        It began with the earliest event that the agreement places within the last 72 hours, else with the report:
        never with the decision. `otherwise` stands for a report that an older version stored without its time.
        """
        reported = min((one.received_at or otherwise for one in self.reports.values()), default=otherwise)
        events = [
            one.happened_at
            for one in self.reports.values()
            if one.happened_at and one.situation[SINCE_EVENT.name] <= _WITHIN_72H
        ]
        return min(events, default=reported), reported

    def find_received_at(self, case_id: UUID, otherwise: datetime) -> datetime:
        """Returns when the report that opened a case was received; `otherwise` if an older version stored it."""
        return self.reports[str(case_id)].received_at or otherwise

    def amend_report(self, case_id: UUID, now: ReportedFacts) -> "CaseFacts":
        """Returns the facts with one report replaced; its time, its centre and its exclusions stay."""
        before = self.reports[str(case_id)]
        kept = {TIME.name, CENTRE.name}
        excluded_kind = before.situation[EXCLUDED.name]
        situation = {fact: before.situation[fact] if fact in kept else values for fact, values in now.situation.items()}
        if excluded_kind != _NOBODY:
            situation[EXCLUDED.name] = excluded_kind
        origin = replace(now.origin, centre=before.origin.centre, excluded=now.origin.excluded | before.origin.excluded)
        amended = replace(now, situation=situation, origin=origin, received_at=before.received_at)
        return replace(self, reports={**self.reports, str(case_id): amended})

    def exclude_agencies(self, agencies: frozenset[str], kind: str) -> "CaseFacts":
        """Returns the facts with more agencies excluded."""
        excluded_kind = frozenset({kind}) if self.excluded_kind == _NOBODY else self.excluded_kind
        return replace(self, excluded=self.excluded | agencies, excluded_kind=excluded_kind)

    def add_suggestions(self, agencies: Iterable[str], now: datetime) -> "CaseFacts":
        """Returns the facts with more suggested exclusions.

        A confirmed suggestion stays; one that was rejected before a report named the agency again is undecided again.
        """
        new = {code: Suggestion(SuggestionState.PENDING, now) for code in agencies if code not in self.origin.excluded}
        kept = {code: one for code, one in self.suggestions.items() if code not in new or not self._is_outdated(code)}
        return replace(self, suggestions={**new, **kept})

    def count_namings(self, agency: str) -> int:
        """Counts how often the reports name an agency as too close to the suspect."""
        return sum(one.named.count(agency) for one in self.reports.values())

    def _is_outdated(self, agency: str) -> bool:
        one = self.suggestions[agency]
        return one.state is SuggestionState.REJECTED and self.count_namings(agency) > one.namings

    def decide_suggestion(self, agency: str, state: SuggestionState, by: str, now: datetime) -> "CaseFacts":
        """Returns the facts after a person decided about a suggested exclusion."""
        namings = self.count_namings(agency)
        one = replace(self.suggestions[agency], state=state, decided_at=now, decided_by=by, namings=namings)
        return replace(self, suggestions={**self.suggestions, agency: one})

    def merge_duplicate(self, duplicate: "CaseFacts") -> "CaseFacts":
        """Returns the facts combined with those of a duplicate case: all reports and all exclusions."""
        excluded_kind = duplicate.excluded_kind if self.excluded_kind == _NOBODY else self.excluded_kind
        combined = replace(
            self,
            reports={**self.reports, **duplicate.reports},
            excluded=self.excluded | duplicate.excluded,
            excluded_kind=excluded_kind,
            consents=combine_consents(self.consents, duplicate.consents),
        )
        suggestions = _combine_suggestions(self.suggestions, duplicate.suggestions)
        for code in suggestions.keys() & combined.origin.excluded:
            suggestions[code] = replace(suggestions[code], state=SuggestionState.CONFIRMED)
        return replace(combined, suggestions=suggestions)


def _combine_values(fact: str, one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """Combines two answers to one fact: a known answer beats an unknown one, the more dangerous of two prevails."""
    if fact == VIOLENCE.name:
        return (one | other) - {UNKNOWN} or one
    if one == other or other in _EMPTY:
        return one
    if one in _EMPTY:
        return other
    if fact == "happened_at":
        return max(one, other, key=sorted)
    if fact in _PREVAILING:
        return next(found for value in _PREVAILING[fact] if (found := frozenset({value})) in (one, other))
    dangerous = frozenset({_DANGEROUS.get(fact, "")})
    return dangerous if dangerous in (one, other) else one


_PRECEDENCE: Final = (SuggestionState.CONFIRMED, SuggestionState.PENDING, SuggestionState.REJECTED)
"""Of two merged suggestions the earlier in this order prevails: a rejection in one case is reviewed again."""


def _combine_suggestions(one: Mapping[str, Suggestion], other: Mapping[str, Suggestion]) -> dict[str, Suggestion]:
    combined = {**other, **one}
    for code in one.keys() & other.keys():
        prevailing = min(one[code], other[code], key=lambda found: _PRECEDENCE.index(found.state))
        combined[code] = replace(prevailing, namings=one[code].namings + other[code].namings)
    return combined


def referral_facts(triage: TriageFacts, city: City, *, mediation_locked: bool) -> ReferralFacts:
    """Returns what an addressed agency may know before it accepts: tier T1, nothing of T2 or T3."""
    shared = ReferralFacts.model_fields.keys() & TriageFacts.model_fields.keys()
    known = {name: getattr(triage, name) for name in shared}
    return ReferralFacts(
        kecamatan=_find_kecamatan(triage.kelurahan, city),
        event_kecamatan=_find_kecamatan(triage.event_kelurahan, city),
        mediation_locked=mediation_locked,
        **known,
    )


def _find_kecamatan(kelurahan: str, city: City) -> str:
    """Returns the kecamatan of a kelurahan, `outside` for one outside the city, and nothing for an unknown one."""
    ward = city.find_kelurahan(kelurahan)
    return ward.kecamatan if ward else kelurahan if kelurahan == OUTSIDE_CITY else ""


def read_report(triage: TriageFacts, city: City, agreement: Agreement, received_at: datetime) -> ReportedFacts:
    """Returns the facts of a report as the agreement reads them."""
    situation, origin = situation_from_report(triage, city, agreement, received_at)
    origin = replace(origin, excluded=find_units(origin.excluded, agreement) & (origin.excluded | city.agency_codes))
    event = EventTime.parse(triage.happened_at, city.zone)
    shared = referral_facts(triage, city, mediation_locked=True)
    return ReportedFacts(
        situation, origin, shared, received_at, event.earliest if event else None, triage.suggested_exclusions
    )
