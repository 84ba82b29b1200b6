"""The finite facts of the agreement; every report maps to exactly one situation over them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from itertools import combinations
from types import MappingProxyType
from typing import Final

from simpul_agreement.languages import TranslatedTerm
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import OUTSIDE_CITY, AgeBand, Answer, Place, Relation, Urgency, Violence

UNKNOWN: Final = "unknown"
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Fact:
    """One field with all the values it can have; of `violence` several hold at once, of all others exactly one.

    `default` stands where a report or a stored case has no value, so a new fact never breaks an open case.
    """

    name: str
    values: tuple[str, ...]
    holds_many: bool = False
    default: str = UNKNOWN

    def __post_init__(self) -> None:
        if self.default not in self.values:
            msg = f"{self.name}: the default {self.default} is not one of {', '.join(self.values)}"
            raise ValueError(msg)


class AgencyKind(TranslatedTerm):
    """The kind of a party: one agency, or one in each kelurahan or kecamatan."""

    POLICE = "police", gettext_noop("Police unit")
    HUB = "hub", gettext_noop("Protection service")
    FOUNDATION = "foundation", gettext_noop("Foundation")
    SOCIAL_WORKERS = "social_workers", gettext_noop("Social workers")
    SCHOOL_CLINIC = "school_clinic", gettext_noop("School clinic")
    HOSPITAL = "hospital", gettext_noop("Referral hospital")
    SATGAS_KELURAHAN = "satgas_kelurahan", gettext_noop("Task force of the kelurahan")
    SATGAS_KECAMATAN = "satgas_kecamatan", gettext_noop("Task force of the kecamatan")


class Area(StrEnum):
    """Whether a kelurahan is one of the city's."""

    KELURAHAN = "kelurahan"
    OUTSIDE = OUTSIDE_CITY
    UNKNOWN = "unknown"


class TimeSinceEvent(StrEnum):
    """The time from the event to the report, by the bands that decide about treatment and evidence."""

    UNDER_24H = "under_24h"
    FROM_24H_TO_72H = "from_24h_to_72h"
    OVER_72H = "over_72h"
    UNKNOWN = "unknown"


class TimeBand(TranslatedTerm):
    """The time of the report, by the bands that the agreement declares."""

    OFFICE_HOURS = "office_hours", gettext_noop("Office hours")
    EVENING = "evening", gettext_noop("Evening")
    NIGHT = "night", gettext_noop("Night")
    DAY_OFF = "day_off", gettext_noop("Day off")


def _values(terms: type[Enum]) -> tuple[str, ...]:
    return tuple(str(term.value) for term in terms)


ANSWERS: Final = (
    "perpetrator_is_child",
    "perpetrator_lives_with_child",
    "guardian_is_suspect",
    "safe_now",
    "injured",
    "suicidal_sign",
    "pregnant",
    "disability_need",
    "in_school",
)
VIOLENCE: Final = Fact("violence", _values(Violence), holds_many=True)
SINCE_EVENT: Final = Fact("time_since_event", _values(TimeSinceEvent))
EVENT_AREA: Final = Fact("event_area", _values(Area))
RESIDENCE: Final = Fact("residence", _values(Area))
CENTRE: Final = Fact("complaint_centre", (*_values(AgencyKind), UNKNOWN))
EXCLUDED: Final = Fact("excluded", (NONE, *_values(AgencyKind)), default=NONE)
"""The kind of party that is too close to the suspect and receives nothing (R6)."""
TIME: Final = Fact("time_of_report", _values(TimeBand), default=TimeBand.OFFICE_HOURS.value)
FACTS: Final = (
    VIOLENCE,
    *(Fact(name, _values(Answer)) for name in ANSWERS),
    SINCE_EVENT,
    Fact("place", _values(Place), default=Place.OTHER.value),
    EVENT_AREA,
    Fact("age_band", _values(AgeBand)),
    Fact("perpetrator_relation", _values(Relation)),
    RESIDENCE,
    CENTRE,
    EXCLUDED,
    TIME,
)
URGENCY: Final = Fact("urgency", _values(Urgency), default=Urgency.HIGH.value)
"""Not reported but decided from the facts; the clauses that are decided after it may read it."""
BY_NAME: Final[Mapping[str, Fact]] = MappingProxyType({fact.name: fact for fact in (*FACTS, URGENCY)})

Situation = Mapping[str, frozenset[str]]
"""Fact -> the values that hold; for every fact of FACTS."""

NOTHING_KNOWN: Final[Situation] = MappingProxyType({fact.name: frozenset({fact.default}) for fact in FACTS})
"""The situation of an empty report: every fact has its default."""


def all_sets(fact: Fact) -> Iterator[frozenset[str]]:
    """Every non-empty set of values of a fact that holds several at once."""
    for size in range(1, len(fact.values) + 1):
        yield from map(frozenset, combinations(fact.values, size))


def values_of(fact: Fact, text: str) -> frozenset[str]:
    """The values written in an example or a scenario; kinds of violence that hold together are joined by `+`.

    Raises KeyError for a value that the fact does not have.
    """
    values = frozenset(text.split("+")) if fact.holds_many else frozenset({text})
    if not values <= set(fact.values):
        raise KeyError(text)
    return values


def situation_from_text(reported: Mapping[str, str]) -> Situation:
    """A complete situation from the facts of a scenario or a report; KeyError for an unknown fact or value."""
    by_name = {fact.name: fact for fact in FACTS}
    return complete_situation({name: values_of(by_name[name], text) for name, text in reported.items()})


def complete_situation(reported: Mapping[str, frozenset[str]]) -> Situation:
    """A situation with a value for every fact: the default where the report or the stored case has none."""
    return {**NOTHING_KNOWN, **reported}
