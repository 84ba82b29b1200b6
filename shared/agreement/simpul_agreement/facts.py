"""The finite facts of the agreement; every report maps to exactly one situation over them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from types import MappingProxyType
from typing import Final

from simpul_schema.vocabulary import AgeBand, Answer, Place, Relation, Term, Urgency, Violence

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


class AgencyKind(Term):
    """The kind of a party: one agency, or one in each kelurahan or kecamatan."""

    POLICE = "police", "Unit PPA kepolisian", "Police unit"
    HUB = "hub", "UPT PPA", "Protection service"
    FOUNDATION = "foundation", "Yayasan", "Foundation"
    SOCIAL_WORKERS = "social_workers", "Peksos Dinas Sosial", "Social workers"
    SCHOOL_CLINIC = "school_clinic", "Klinik pendidikan", "School clinic"
    HOSPITAL = "hospital", "Rumah sakit rujukan", "Referral hospital"
    SATGAS_KELURAHAN = "satgas_kelurahan", "Satgas PPA kelurahan", "Task force of the kelurahan"
    SATGAS_KECAMATAN = "satgas_kecamatan", "Satgas PPA kecamatan", "Task force of the kecamatan"


class Residence(Term):
    """Whether the kelurahan of the child's home is one of the city's."""

    KELURAHAN = "kelurahan", "Salah satu kelurahan kota", "A kelurahan of the city"
    UNKNOWN = "unknown", "Belum diketahui atau di luar kota", "Not known, or outside the city"


class TimeBand(Term):
    """The time of the report, by the bands that the agreement declares."""

    OFFICE_HOURS = "office_hours", "Jam kerja", "Office hours"
    EVENING = "evening", "Sore", "Evening"
    NIGHT = "night", "Malam", "Night"
    DAY_OFF = "day_off", "Hari libur", "Day off"


def _values(terms: type[Enum]) -> tuple[str, ...]:
    return tuple(str(term.value) for term in terms)


ANSWERS: Final = (
    "perpetrator_is_child", "perpetrator_lives_with_child", "safe_now", "injured", "sexual_under_72h",
    "suicidal_sign", "pregnant", "disability_need", "in_school",
)  # fmt: skip
VIOLENCE: Final = Fact("violence", _values(Violence), holds_many=True)
RESIDENCE: Final = Fact("residence", _values(Residence))
CENTRE: Final = Fact("complaint_centre", (*_values(AgencyKind), UNKNOWN))
EXCLUDED: Final = Fact("excluded", (NONE, *_values(AgencyKind)), default=NONE)
"""The kind of party that is too close to the suspect and receives nothing (R6)."""
TIME: Final = Fact("time_of_report", _values(TimeBand), default=TimeBand.OFFICE_HOURS.value)
FACTS: Final = (
    VIOLENCE,
    *(Fact(name, _values(Answer)) for name in ANSWERS),
    Fact("place", _values(Place), default=Place.OTHER.value),
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
