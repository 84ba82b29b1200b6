"""Maps reports to situations, and reads or invents reports that were never sent to intake."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from simpul_agreement.engine import Origin
from simpul_agreement.facts import (
    ANSWERS,
    CENTRE,
    EXCLUDED,
    FACTS,
    NONE,
    RESIDENCE,
    TIME,
    UNKNOWN,
    VIOLENCE,
    Residence,
    Situation,
    TimeBand,
    complete_situation,
    situation_from_text,
)
from simpul_agreement.model import Agreement
from simpul_agreement.origins import origin_for
from simpul_city import City
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import AgeBand, Answer, Violence

_NOT_READ: Final = frozenset({"report_id", "received_at", "identity", "narrative"})


class ReportUnreadable(Exception):
    """The file holds neither a report for intake nor facts of the agreement; the message names the mistake."""


@dataclass(frozen=True, slots=True)
class Report:
    """The triage facts of a report, as routing receives them."""

    title: str
    facts: TriageFacts
    received_at: datetime
    city: City

    def situation(self, agreement: Agreement) -> tuple[Situation, Origin]:
        """The finite facts of the report, and the agencies that it names."""
        return situation_from_report(self.facts, self.city, agreement, self.received_at)


def situation_from_report(
    triage: TriageFacts, city: City, agreement: Agreement, received_at: datetime
) -> tuple[Situation, Origin]:
    """The finite facts of a report, and the agencies that only the report can name."""
    ward = city.find_kelurahan(triage.kelurahan)
    excluded = frozenset(triage.excluded_agencies)
    centre = city.kinds.get(triage.complaint_centre, "")
    situation = _situation(
        triage,
        lives_in_city=ward is not None,
        centre=centre,
        # The facts hold one kind for several excluded agencies; the origin excludes each of them.
        excluded=city.kinds.get(min(excluded, default=""), ""),
        band=agreement.band_at(received_at, city.zone),
    )
    origin = Origin(
        satgas=ward.satgas if ward else "",
        kecamatan=ward.satgas_kecamatan if ward else "",
        centre=triage.complaint_centre if centre else "",
        excluded=excluded,
    )
    return situation, origin


def _situation(triage: TriageFacts, *, lives_in_city: bool, centre: str, excluded: str, band: TimeBand) -> Situation:
    """The facts of a report; `centre` and `excluded` are kinds of agencies, empty when there is none.

    A sign of trafficking counts as trafficking, because waiting for certainty costs the child. The engine adds what the
    facts imply, see `implications.normalize_situation`.
    """
    violence = {kind.value for kind in triage.violence}
    if triage.trafficking_sign is Answer.YES:
        violence.add(Violence.TRAFFICKING.value)
    return complete_situation({
        VIOLENCE.name: frozenset(violence),
        **{name: _single(getattr(triage, name).value) for name in ANSWERS},
        "place": _single(triage.place.value),
        "age_band": _single(triage.age_band.value),
        "perpetrator_relation": _single(triage.perpetrator_relation.value),
        RESIDENCE.name: _single(Residence.KELURAHAN.value if lives_in_city else UNKNOWN),
        CENTRE.name: _single(centre or UNKNOWN),
        EXCLUDED.name: _single(excluded or NONE),
        TIME.name: _single(band.value),
    })  # fmt: skip


_singles: Final[dict[str, frozenset[str]]] = {
    value: frozenset({value}) for fact in FACTS if not fact.holds_many for value in fact.values
}


def _single(value: str) -> frozenset[str]:
    return _singles[value]


def report_from_json(title: str, content: Mapping[str, Any], city: City) -> Report:
    """Reads a report in the form in which it is posted to intake; ValidationError names the fields that do not fit.

    Identity and narrative are ignored, because no clause may depend on them.
    """
    given = {name: value for name, value in content.items() if name not in _NOT_READ}
    unknown = given.keys() - TriageFacts.model_fields.keys() - {"age"}
    if unknown:
        msg = f"a report has no field {', '.join(sorted(unknown))}"
        raise ReportUnreadable(msg)
    ward = city.find_kelurahan(str(given.get("kelurahan", "")))
    known = {kind.value for kind in Violence}
    facts = TriageFacts.model_validate(
        {"reporter": "other", "place": "other"}
        | {name: value for name, value in given.items() if name != "age"}
        | {
            "kelurahan": ward.code if ward else "",
            "age_band": AgeBand.of(given.get("age")),
            "violence": [kind if kind in known else Violence.UNKNOWN for kind in given.get("violence", ())],
        }
    )
    received_at = content.get("received_at")
    return Report(title, facts, datetime.fromisoformat(received_at) if received_at else datetime.now(UTC), city)


def read_report(path: Path, agreement: Agreement, city: City) -> tuple[Situation, Origin]:
    """Reads a file with one report: as posted to intake, or as facts of the agreement, in JSON or YAML."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        msg = f"{path}: not YAML or JSON in UTF-8"
        raise ReportUnreadable(msg) from error
    if not isinstance(content, dict):
        msg = f"{path}: write one report, as fields and values"
        raise ReportUnreadable(msg)
    if "channel" in content:
        return _report_for_intake(str(path), path.name, content, city).situation(agreement)
    try:
        situation = situation_from_text({name: str(value) for name, value in content.items()})
        return situation, origin_for(situation, city)
    except KeyError as error:
        known = ", ".join(fact.name for fact in FACTS)
        msg = f"{path}: {error.args[0]} is neither a fact nor a value of one; the facts are {known}"
        raise ReportUnreadable(msg) from error


def read_reports(path: Path, city: City) -> list[Report]:
    """Reads a YAML list of reports as posted to intake; an additional `title` names one in the output."""
    try:
        listed = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        msg = f"{path}: not YAML or JSON in UTF-8"
        raise ReportUnreadable(msg) from error
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        msg = f"{path}: write a list of reports, each as fields and values"
        raise ReportUnreadable(msg)
    return [
        _report_for_intake(f"{path}, report {number}", str(entry.pop("title", number)), entry, city)
        for number, entry in enumerate(listed, 1)
    ]


def _report_for_intake(position: str, title: str, content: Mapping[str, Any], city: City) -> Report:
    """The report, with its position in every refusal."""
    try:
        report = report_from_json(title, content, city)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False))
        msg = f"{position}: intake would refuse {fields}"
        raise ReportUnreadable(msg) from error
    except ReportUnreadable as error:
        msg = f"{position}: {error}"
        raise ReportUnreadable(msg) from error
    unknown = set(report.facts.excluded_agencies) - city.agency_codes
    if unknown:
        msg = f"{position}: no agency has the code {', '.join(sorted(unknown))}"
        raise ReportUnreadable(msg)
    return report


_WEIGHTS: Final[Mapping[str, Mapping[str, int]]] = {
    # Shares in an invented city; only their order follows the figures that SIMFONI PPA publishes.
    "violence": {"sexual": 38, "physical": 26, "psychological": 20, "neglect": 8, "other": 4, "exploitation": 2,
                 "trafficking": 1, "unknown": 3},
    "place": {"household": 52, "school": 14, "public_facility": 12, "online": 9, "other": 10, "workplace": 3},
    "channel": {"walk_in": 30, "phone": 18, "whatsapp": 22, "satgas": 12, "school": 6, "police": 8, "sapa129": 4},
    "perpetrator_relation": {"partner_friend": 22, "parent": 20, "neighbour": 14, "relative": 12, "step_parent": 5,
                             "teacher": 5, "stranger": 8, "other": 6, "unknown": 8},
    "safe_now": {"yes": 62, "no": 14, "unknown": 24},
    "injured": {"no": 62, "yes": 20, "unknown": 18},
    "suicidal_sign": {"no": 72, "yes": 5, "unknown": 23},
    "trafficking_sign": {"no": 93, "yes": 1, "unknown": 6},
    "pregnant": {"no": 82, "yes": 3, "unknown": 15},
    "disability_need": {"no": 88, "yes": 5, "unknown": 7},
    "in_school": {"yes": 74, "no": 12, "unknown": 14},
    "perpetrator_is_child": {"no": 70, "yes": 16, "unknown": 14},
    "perpetrator_lives_with_child": {"no": 58, "yes": 28, "unknown": 14},
}  # fmt: skip
_HOURS: Final = (1, 1, 1, 1, 1, 2, 3, 6, 9, 10, 10, 8, 6, 8, 9, 8, 6, 6, 7, 8, 7, 5, 3, 2)
"""Relative number of reports in each hour of the day."""


def invented_year(city: City, year: int, count: int, seed: int) -> Iterator[Report]:
    """Invented reports of one year in order of time; the same seed gives the same reports."""
    chance = random.Random(seed)
    start = datetime(year, 1, 1, tzinfo=city.zone)
    days = (datetime(year + 1, 1, 1, tzinfo=city.zone) - start).days
    moments = sorted(
        start + timedelta(days=chance.randrange(days), hours=_pick(chance, _HOURS), minutes=chance.randrange(60))
        for _ in range(count)
    )
    for number, moment in enumerate(moments, 1):
        drawn = {name: _drawn(chance, weights) for name, weights in _WEIGHTS.items()}
        violence = {drawn.pop("violence")} | ({"psychological"} if chance.random() < 0.2 else set())
        ward = chance.choice(city.kelurahan)
        under_72h = "sexual" in violence and chance.random() < 0.3
        yield Report(
            f"{number}",
            TriageFacts.model_validate(drawn | {
                "violence": sorted(violence), "reporter": "other", "sexual_under_72h": "yes" if under_72h else "no",
                "kelurahan": "" if chance.random() < 0.04 else ward.code,
                "complaint_centre": chance.choice(_centres(city, ward.satgas)) if chance.random() < 0.85 else "",
                "age_band": _drawn(chance, {"under_6": 12, "from_6_to_11": 28, "from_12_to_14": 32,
                                            "from_15_to_17": 24, "unknown": 4}),
            }),
            moment, city,
        )  # fmt: skip


def _centres(city: City, satgas: str) -> Sequence[str]:
    return [*(agency.code for agency in city.agencies if not agency.code.startswith("satgas-kel-")), satgas, satgas]


def _drawn(chance: random.Random, weights: Mapping[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _pick(chance: random.Random, weights: Sequence[int]) -> int:
    return chance.choices(range(len(weights)), weights)[0]
