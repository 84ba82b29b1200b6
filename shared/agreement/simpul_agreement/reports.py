"""Maps reports to situations, and reads or invents reports that were never sent to intake."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from simpul_agreement.engine import Origin
from simpul_agreement.event_times import EventTime
from simpul_agreement.facts import (
    ANSWERS,
    CENTRE,
    EVENT_AREA,
    EXCLUDED,
    FACTS,
    NONE,
    RESIDENCE,
    SINCE_EVENT,
    TIME,
    UNKNOWN,
    VIOLENCE,
    Area,
    Situation,
    TimeBand,
    TimeSinceEvent,
    complete_situation,
    values_of,
)
from simpul_agreement.files.values import YEARS
from simpul_agreement.findings import Finding, suggest_nearest
from simpul_agreement.languages import Message
from simpul_agreement.languages import Message as _
from simpul_agreement.loading import Steps, YamlFile, load
from simpul_agreement.model import Agreement
from simpul_agreement.origins import origin_for
from simpul_city import City
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import OUTSIDE_CITY, AgeBand, Answer, Violence

_NOT_READ: Final = frozenset({"report_id", "received_at", "identity", "narrative"})


class ReportUnreadable(Exception):
    """The file holds neither a report for intake nor facts of the agreement.

    `problem` names the mistake; `field` is the field of the report in which it is, where it is in one.
    """

    def __init__(self, problem: Message, field: str = "") -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.field = field


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
    event = EventTime.parse(triage.happened_at, city.zone)
    excluded = frozenset(triage.excluded_agencies)
    centre = city.kinds.get(triage.complaint_centre, "")
    situation = _situation(
        triage,
        since_event=event.before(received_at) if event else TimeSinceEvent.UNKNOWN,
        event_area=area_of(triage.event_kelurahan, city),
        residence=area_of(triage.kelurahan, city),
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


def area_of(kelurahan: str, city: City) -> Area:
    """Where a kelurahan lies; one that the city does not know may be misspelled, so it is unknown and not outside."""
    if city.find_kelurahan(kelurahan):
        return Area.KELURAHAN
    return Area.OUTSIDE if kelurahan == OUTSIDE_CITY else Area.UNKNOWN


def read_72_hours(
    answer: Answer, violence: frozenset[str], since: TimeSinceEvent
) -> tuple[frozenset[str], TimeSinceEvent]:
    """What the answer about sexual violence in the last 72 hours adds to the kinds of violence and to the time.

    `yes` counts as sexual violence of the last 24 hours where no hour or day within the 72 hours is known, because
    waiting for certainty costs the child (R1). `no` places sexual violence of an unknown time before the 72 hours.
    """
    if answer is Answer.YES:
        is_recent = since in (TimeSinceEvent.UNDER_24H, TimeSinceEvent.FROM_24H_TO_72H)
        return violence | {Violence.SEXUAL.value}, since if is_recent else TimeSinceEvent.UNDER_24H
    is_earlier = answer is Answer.NO and Violence.SEXUAL.value in violence and since is TimeSinceEvent.UNKNOWN
    return violence, TimeSinceEvent.OVER_72H if is_earlier else since


def _situation(
    triage: TriageFacts,
    *,
    since_event: TimeSinceEvent,
    event_area: Area,
    residence: Area,
    centre: str,
    excluded: str,
    band: TimeBand,
) -> Situation:
    """The facts of a report; `centre` and `excluded` are kinds of agencies, empty when there is none.

    A sign of trafficking counts as trafficking, because waiting for certainty costs the child. The engine adds what the
    facts imply, see `implications.normalize_situation`.
    """
    reported = {kind.value for kind in triage.violence}
    if triage.trafficking_sign is Answer.YES:
        reported.add(Violence.TRAFFICKING.value)
    violence, since_event = read_72_hours(triage.sexual_under_72h, frozenset(reported), since_event)
    return complete_situation(
        {
            VIOLENCE.name: violence,
            **{name: _single(getattr(triage, name).value) for name in ANSWERS},
            SINCE_EVENT.name: _single(since_event.value),
            "place": _single(triage.place.value),
            EVENT_AREA.name: _single(event_area.value),
            "age_band": _single(triage.age_band.value),
            "perpetrator_relation": _single(triage.perpetrator_relation.value),
            RESIDENCE.name: _single(residence.value),
            CENTRE.name: _single(centre or UNKNOWN),
            EXCLUDED.name: _single(excluded or NONE),
            TIME.name: _single(band.value),
        }
    )


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
        raise ReportUnreadable(_("a report has no field {fields}", fields=", ".join(sorted(unknown))), min(unknown))
    known = {kind.value for kind in Violence}
    facts = TriageFacts.model_validate(
        {"reporter": "other", "place": "other", "violence": [Violence.UNKNOWN]}
        | {name: value for name, value in given.items() if name != "age"}
        | {
            "kelurahan": city.locate_kelurahan(str(given.get("kelurahan", ""))),
            "event_kelurahan": city.locate_kelurahan(str(given.get("event_kelurahan", ""))),
            "age_band": AgeBand.of(given.get("age")),
            "violence": [kind if kind in known else Violence.UNKNOWN for kind in given.get("violence") or ("unknown",)],
        }
    )
    return Report(title, facts, _received_at(content.get("received_at")), city)


def _received_at(written: object) -> datetime:
    """The moment of a report; now where it has none."""
    if written is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(str(written))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year not in YEARS:
        problem = _("received_at: {value} is not a time with a zone", value=str(written)[:60])
        raise ReportUnreadable(problem, "received_at")
    return moment


def read_report(path: Path, agreement: Agreement, city: City) -> tuple[Situation, Origin]:
    """Reads a file with one report: as posted to intake, or as facts of the agreement, in JSON or YAML.

    What the file leaves out is not known; an empty file is a report of which nothing is known.
    """
    file = _load(path)
    content = file.tree or {}
    if not isinstance(content, dict):
        raise ReportUnreadable(_("{where}: write one report, as fields and values", where=file.where()))
    if "channel" in content:
        return _report_for_intake(file, (), path.name, content, city).situation(agreement)
    situation = complete_situation(
        {name: _values_of(file, str(name), value) for name, value in content.items() if value is not None}
    )
    return situation, origin_for(situation, city)


def _values_of(file: YamlFile, name: str, written: object) -> frozenset[str]:
    """The values of a fact as people and programs write them: a text, a list of kinds of violence, true or false."""
    known, where = {fact.name: fact for fact in FACTS}, file.where(name)
    if name not in known:
        raise ReportUnreadable(
            _("{where}: {name} is not a fact; {advice}", where=where, name=name, advice=suggest_nearest(name, known))
        )
    spoken = {True: Answer.YES.value, False: Answer.NO.value}
    text = spoken[written] if isinstance(written, bool) else str(written)
    text = "+".join(map(str, written)) if isinstance(written, list) else text
    try:
        return values_of(known[name], text)
    except KeyError:
        raise ReportUnreadable(
            _(
                "{where}: {value} is not a value of {name}; {advice}",
                where=where,
                value=text[:60],
                name=name,
                advice=suggest_nearest(text, known[name].values),
            )
        ) from None


def _load(path: Path) -> YamlFile:
    """A JSON or YAML file with the position of every value."""
    findings: list[Finding] = []
    written = load(path, str(path), findings, with_positions=True)
    if written is None:
        raise ReportUnreadable(_("{where}: {problem}", where=findings[0].where, problem=findings[0].problem))
    return written


def read_reports(path: Path, city: City) -> list[Report]:
    """Reads a YAML list of reports as posted to intake; an additional `title` names one in the output."""
    file = _load(path)
    if not isinstance(file.tree, list) or not all(isinstance(entry, dict) for entry in file.tree):
        raise ReportUnreadable(_("{where}: write a list of reports, each as fields and values", where=file.where()))
    reports = []
    for index, entry in enumerate(file.tree):
        content = {name: value for name, value in entry.items() if name != "title"}
        reports.append(_report_for_intake(file, (index,), str(entry.get("title", index + 1)), content, city))
    return reports


def _report_for_intake(file: YamlFile, steps: Steps, title: str, content: Mapping[str, Any], city: City) -> Report:
    """The report at a path in a file, with the position of the first field that intake would refuse."""
    try:
        report = report_from_json(title, content, city)
    except ValidationError as error:
        paths = [problem["loc"] for problem in error.errors(include_input=False)]
        fields = ", ".join(".".join(map(str, path)) for path in paths)
        where = file.where(*steps, *paths[0])
        raise ReportUnreadable(_("{where}: intake would refuse {fields}", where=where, fields=fields)) from error
    except ReportUnreadable as error:
        where = file.where(*steps, error.field)
        raise ReportUnreadable(_("{where}: {problem}", where=where, problem=error.problem)) from error
    unknown = set(report.facts.excluded_agencies) - city.agency_codes
    if unknown:
        codes, where = ", ".join(sorted(unknown)), file.where(*steps, "excluded_agencies")
        raise ReportUnreadable(_("{where}: no agency has the code {codes}", where=where, codes=codes))
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
    # Apart, so that the other facts of a seed stay as they are.
    chance_of_event = random.Random(f"event {seed}")
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
            TriageFacts.model_validate(
                drawn
                | {
                    "violence": sorted(violence),
                    "reporter": "other",
                    **_drawn_event(chance_of_event, moment, ward.code, is_recent=under_72h),
                    "kelurahan": "" if chance.random() < 0.04 else ward.code,
                    "complaint_centre": chance.choice(_centres(city, ward.satgas)) if chance.random() < 0.85 else "",
                    "age_band": _drawn(
                        chance,
                        {"under_6": 12, "from_6_to_11": 28, "from_12_to_14": 32, "from_15_to_17": 24, "unknown": 4},
                    ),
                }
            ),
            moment,
            city,
        )


def _drawn_event(chance: random.Random, received_at: datetime, ward: str, *, is_recent: bool) -> dict[str, str]:
    """When and where the violence of an invented report happened; `is_recent` within the last 72 hours."""
    hours = chance.randrange(71) if is_recent else chance.randrange(96, 24 * 60)
    form = _drawn(chance, {"%Y-%m-%dT%H": 50, "%Y-%m-%d": 30, "": 0 if is_recent else 20})
    suspect = _drawn(chance, {"no": 70, "yes": 12, "unknown": 18})
    return {
        "happened_at": (received_at - timedelta(hours=hours)).strftime(form) if form else "",
        "event_kelurahan": {"home": ward, "outside": OUTSIDE_CITY, "": ""}[
            _drawn(chance, {"home": 70, "outside": 8, "": 22})
        ],
        "guardian_is_suspect": suspect,
        "suspect_has_phone": _drawn(chance, {"no": 60, "yes": 10, "unknown": 30}),
    }


def _centres(city: City, satgas: str) -> Sequence[str]:
    return [*(agency.code for agency in city.agencies if not agency.code.startswith("satgas-kel-")), satgas, satgas]


def _drawn(chance: random.Random, weights: Mapping[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _pick(chance: random.Random, weights: Sequence[int]) -> int:
    return chance.choices(range(len(weights)), weights)[0]
