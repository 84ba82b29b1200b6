"""The finite facts of the agreement, and the one situation that every report maps to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import combinations
from types import MappingProxyType
from typing import Final

from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import AgeBand, Answer, Place, Relation, Term, Urgency, Violence

UNKNOWN: Final = "unknown"
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class Fact:
    """One field with all the values it can have; of `violence` several hold at once, of all others exactly one."""

    name: str
    values: tuple[str, ...]
    holds_many: bool = False


class AgencyKind(Term):
    """What a party is; a kind stands for one agency, or for one in each kelurahan or kecamatan."""

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
    """When the report came in, by the bands that the agreement declares."""

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
EXCLUDED: Final = Fact("excluded", (NONE, *_values(AgencyKind)))
"""The kind of party that is too close to the suspect and receives nothing (R6)."""
TIME: Final = Fact("time_of_report", _values(TimeBand))
FACTS: Final = (
    VIOLENCE,
    *(Fact(name, _values(Answer)) for name in ANSWERS),
    Fact("place", _values(Place)),
    Fact("age_band", _values(AgeBand)),
    Fact("perpetrator_relation", _values(Relation)),
    RESIDENCE,
    CENTRE,
    EXCLUDED,
    TIME,
)
URGENCY: Final = Fact("urgency", _values(Urgency))
"""Not told but decided, from the facts; clauses decided after it may ask for it."""
BY_NAME: Final[Mapping[str, Fact]] = MappingProxyType({fact.name: fact for fact in (*FACTS, URGENCY)})

Situation = Mapping[str, frozenset[str]]
"""Fact -> the values that hold; for every fact of FACTS."""

NOTHING_KNOWN: Final[Situation] = MappingProxyType(
    {fact.name: frozenset({UNKNOWN}) for fact in FACTS if UNKNOWN in fact.values}
    | {"place": frozenset({"other"}), EXCLUDED.name: frozenset({NONE}), TIME.name: frozenset({"office_hours"})}
)
"""What a report says that says nothing."""


def all_sets(fact: Fact) -> Iterator[frozenset[str]]:
    """Every set of values of a fact of which several hold at once; at least one always does."""
    for size in range(1, len(fact.values) + 1):
        yield from map(frozenset, combinations(fact.values, size))


def values_of(fact: Fact, word: str) -> frozenset[str]:
    """The values that a word of an example or scenario means; kinds of violence that hold together are joined by +.

    KeyError when it is no value of the fact.
    """
    values = frozenset(word.split("+")) if fact.holds_many else frozenset({word})
    if not values <= set(fact.values):
        raise KeyError(word)
    return values


def meant(told: Mapping[str, str]) -> Situation:
    """A whole situation from the words of a scenario or a report; KeyError for what is no fact and no value of one."""
    by_name = {fact.name: fact for fact in FACTS}
    return situation({name: values_of(by_name[name], word) for name, word in told.items()})


def situation(told: Mapping[str, frozenset[str]]) -> Situation:
    """A whole situation from what is told; all else is not known."""
    return {**NOTHING_KNOWN, **told}


def situation_of(triage: TriageFacts, *, lives_in_city: bool, centre: str, excluded: str, band: TimeBand) -> Situation:
    """The situation of a report; `centre` and `excluded` are kinds of agencies, empty when there is none.

    A sign of trafficking counts as trafficking, because waiting for certainty costs the child. What the facts of the
    agreement imply besides is added where a situation is decided, see `implications.normalize_situation`.
    """
    violence = {kind.value for kind in triage.violence}
    if triage.trafficking_sign is Answer.YES:
        violence.add(Violence.TRAFFICKING.value)
    return {
        VIOLENCE.name: frozenset(violence),
        **{name: _single(getattr(triage, name).value) for name in ANSWERS},
        "place": _single(triage.place.value),
        "age_band": _single(triage.age_band.value),
        "perpetrator_relation": _single(triage.perpetrator_relation.value),
        RESIDENCE.name: _single(Residence.KELURAHAN.value if lives_in_city else UNKNOWN),
        CENTRE.name: _single(centre or UNKNOWN),
        EXCLUDED.name: _single(excluded or NONE),
        TIME.name: _single(band.value),
    }


_singles: Final[dict[str, frozenset[str]]] = {
    value: frozenset({value}) for fact in FACTS if not fact.holds_many for value in fact.values
}


def _single(value: str) -> frozenset[str]:
    return _singles[value]
