"""What a report may say: the fields of the form, which are the columns of a table too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from simpul_city import City
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import Answer, Channel, Place, Relation, Reporter, Sex, Term, Violence

Values = Mapping[str, Sequence[str]]
"""Field -> what was chosen or typed; several for a field that takes many."""


class Kind(StrEnum):
    """How a field is filled in."""

    CHOICE = "choice"
    MANY = "many"
    TEXT = "text"
    LONG = "long"
    NUMBER = "number"
    DAY = "day"
    HOUR = "hour"
    WARD = "ward"
    AGENCIES = "agencies"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a report, under the name by which intake takes it."""

    name: str
    label: str
    kind: Kind
    terms: tuple[Term, ...] = ()
    part: str = ""
    """`identity` or `narrative`, where intake expects the field in one of these."""
    is_basic: bool = False
    """Whether it is asked of everybody; the others are behind `more`."""

    @property
    def default(self) -> str:
        """What is chosen at first: not known, where one of several must be chosen."""
        if self.kind is not Kind.CHOICE:
            return ""
        known = [term.value for term in self.terms]
        return "unknown" if "unknown" in known else "other" if "other" in known else ""


def _choice(name: str, label: str, terms: type[Term], *, is_basic: bool = False) -> Field:
    return Field(name, label, Kind.CHOICE, tuple(terms), is_basic=is_basic)


def _identity(name: str, label: str, *, is_basic: bool = False) -> Field:
    return Field(name, label, Kind.TEXT, part="identity", is_basic=is_basic)


SECTIONS: Final[tuple[tuple[str, tuple[Field, ...]], ...]] = (
    (
        gettext_noop("Is the child safe?"),
        (
            _choice("safe_now", gettext_noop("Is the child safe now?"), Answer, is_basic=True),
            _choice("injured", gettext_noop("Is the child injured?"), Answer, is_basic=True),
            _choice("suicidal_sign", gettext_noop("Any sign of wanting to die?"), Answer, is_basic=True),
        ),
    ),
    (
        gettext_noop("What happened?"),
        (
            Field("violence", gettext_noop("Kind of violence"), Kind.MANY, tuple(Violence), is_basic=True),
            Field("chronology", gettext_noop("What happened, in a few sentences"), Kind.LONG, part="narrative",
                  is_basic=True),
            Field("happened_on", gettext_noop("Day on which it happened last, if known"), Kind.DAY, is_basic=True),
            Field("happened_hour", gettext_noop("Hour, if known"), Kind.HOUR),
            _choice("place", gettext_noop("Where did it happen?"), Place),
            Field("event_kelurahan", gettext_noop("Kelurahan where it happened"), Kind.WARD),
            _choice("trafficking_sign", gettext_noop("Any sign of trafficking?"), Answer),
        ),
    ),
    (
        gettext_noop("About the child"),
        (
            _identity("child_name", gettext_noop("Name of the child"), is_basic=True),
            Field("age", gettext_noop("Age (years)"), Kind.NUMBER, is_basic=True),
            _choice("sex", gettext_noop("Sex"), Sex, is_basic=True),
            Field("kelurahan", gettext_noop("Kelurahan where the child lives"), Kind.WARD, is_basic=True),
            _identity("birth_date", gettext_noop("Date of birth")),
            _identity("nik", gettext_noop("NIK (national identity number)")),
            _identity("address", gettext_noop("Address")),
            _identity("school", gettext_noop("School")),
            _choice("in_school", gettext_noop("Does the child still go to school?"), Answer),
            _choice("pregnant", gettext_noop("Is the child pregnant?"), Answer),
            _choice("disability_need", gettext_noop("Does the child live with a disability?"), Answer),
            _choice("guardian_relation", gettext_noop("Who looks after the child?"), Relation),
            _identity("guardian_name", gettext_noop("Name of the guardian")),
            _identity("guardian_phone", gettext_noop("Phone number of the guardian")),
            _identity("safe_contact", gettext_noop("A number or address that is safe to use")),
            _identity("safe_hours", gettext_noop("Hours at which that is safe")),
        ),
    ),
    (
        gettext_noop("About the suspected person"),
        (
            _choice("perpetrator_relation", gettext_noop("What the person is to the child"), Relation, is_basic=True),
            _choice("perpetrator_lives_with_child", gettext_noop("Does that person live with the child?"), Answer),
            _choice("perpetrator_is_child", gettext_noop("Is that person a child too?"), Answer),
            _choice("guardian_is_suspect", gettext_noop("Is that person the one who looks after the child?"), Answer),
            _choice("suspect_has_phone", gettext_noop("Does the family's telephone belong to that person?"), Answer),
            Field("perpetrator_description", gettext_noop("Who the suspected person is"), Kind.LONG, part="narrative"),
            Field("excluded_agencies", gettext_noop("Agencies that are too close to that person"), Kind.AGENCIES),
        ),
    ),
    (
        gettext_noop("How the report came in"),
        (
            _choice("channel", gettext_noop("How did it come in?"), Channel),
            _choice("reporter", gettext_noop("Who reports?"), Reporter),
        ),
    ),
)  # fmt: skip
"""The headings of the form with their fields, in the order in which they are asked."""
FIELDS: Final[Mapping[str, Field]] = {field.name: field for _, fields in SECTIONS for field in fields}
_DIGITS: Final = 9
"""Of a number that is read here; Python refuses to read thousands of digits, and intake says what is too large."""
_HABITS: Final[Mapping[str, tuple[Channel, Reporter]]] = {
    "satgas": (Channel.SATGAS, Reporter.SATGAS),
    "police": (Channel.POLICE, Reporter.POLICE),
    "school": (Channel.SCHOOL, Reporter.TEACHER),
    "hospital": (Channel.WALK_IN, Reporter.HEALTH_WORKER),
}
"""Kind of agency -> how its reports usually come in, and from whom."""


def usual_values(centre: str, city: City) -> dict[str, Sequence[str]]:
    """Returns what is known of a report before it is filled in, from the centre that files it."""
    kind = city.kinds[centre]
    habits = (habit for start, habit in _HABITS.items() if kind.startswith(start))
    channel, reporter = next(habits, (Channel.WALK_IN, Reporter.OTHER))
    ward = next((ward.code for ward in city.kelurahan if ward.satgas == centre), "")
    return {"channel": [channel.value], "reporter": [reporter.value], "kelurahan": [ward] if ward else []}


def make_report(values: Values, report_id: str) -> dict[str, Any]:
    """Makes the report as intake takes it; what is empty is left out, and intake says what is wrong."""
    report: dict[str, Any] = {"report_id": report_id, "identity": {}, "narrative": {}}
    for field in FIELDS.values():
        given = [text.strip() for text in values.get(field.name, ()) if text.strip()]
        if not given or field.kind in (Kind.DAY, Kind.HOUR):
            continue
        value = given if field.kind in (Kind.MANY, Kind.AGENCIES) else given[-1]
        (report[field.part] if field.part else report)[field.name] = value
    day, hour = _last(values, "happened_on"), _last(values, "happened_hour")
    if day:
        report["happened_at"] = f"{day}T{hour}" if hour else day
    age = str(report.get("age", ""))
    if age.isascii() and age.isdigit() and len(age) <= _DIGITS:
        report["age"] = int(age)
    return report


def field_of(path: str) -> str:
    """Returns the field of the form that intake's problem is about, such as `identity.nik`."""
    names = [part for part in path.split(".") if part in FIELDS or part == "happened_at"]
    return {"happened_at": "happened_on"}.get(names[-1], names[-1]) if names else ""


def _last(values: Values, name: str) -> str:
    return next((text.strip() for text in reversed(values.get(name, ())) if text.strip()), "")
