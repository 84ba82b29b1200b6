"""Reports, amendments and receipts: plain data and the rules on them."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from simpul_agreement.event_times import EventTime
from simpul_intake.duplicates import ChildDescription, describe_child, read_date
from simpul_intake.errors import EventTimeImpossible, EventTimeProblem
from simpul_schema.vocabulary import AgeBand, Answer, Channel, Place, Relation, Reporter, Sex, Violence

ADULT_AGE = 18
"""A person below this age is a child (UU 35/2014 art. 1)."""
ANSWER_FIELDS: Final = (
    "perpetrator_is_child",
    "perpetrator_lives_with_child",
    "guardian_is_suspect",
    "suspect_has_phone",
    "safe_now",
    "injured",
    "sexual_under_72h",
    "suicidal_sign",
    "trafficking_sign",
    "pregnant",
    "disability_need",
    "in_school",
)
RECEIPT_WORD_COUNT = 11
"""Eleven words out of 1,024 carry 110 bits, so that guessing is hopeless without any lock."""


class DuplicateReason(StrEnum):
    """Why a complaint centre reports a child who may have been reported before."""

    OTHER_CHILD = "other_child"
    """The agency that was asked knows no such child."""
    NEW_FACTS = "new_facts"
    """It is the same child, and something new has happened."""
    NO_ANSWER = "no_answer"
    """The agency could not be reached."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report by a complaint centre or through the public form."""

    report_id: UUID
    received_at: datetime
    channel: Channel
    complaint_centre: str
    reporter: Reporter
    violence: tuple[str, ...] = field(repr=False)
    place: Place
    happened_at: str
    """A day and an hour such as 2026-11-24T21, or a day, in local time; empty if it is not known."""
    event_kelurahan: str = field(repr=False)
    kelurahan: str = field(repr=False)
    age: int | None
    sex: Sex
    perpetrator_relation: Relation
    guardian_relation: Relation
    answers: Mapping[str, Answer]
    excluded_agencies: tuple[str, ...]
    """Agencies that must receive nothing of the case, as stated by an authenticated complaint centre."""
    suggested_exclusions: tuple[str, ...]
    """Agencies that an anonymous source calls too close to the suspect; a person decides about them.

    One that was named again stands here again, because a decision is about what was known before.
    """
    identity: Mapping[str, str] = field(repr=False)
    narrative: Mapping[str, str] = field(repr=False)
    authenticated_centre: str = field(default="", compare=False)
    """The complaint centre whose token the request carried; empty for an anonymous source, and once it is stored."""

    @property
    def age_band(self) -> AgeBand:
        """The age band, which replaces the exact age in messages."""
        return AgeBand.UNKNOWN if self.is_adult else AgeBand.of(self.age)

    @property
    def is_adult(self) -> bool:
        """Whether the stated age is not that of a child, so that a person has to look at the report."""
        return self.age is not None and self.age >= ADULT_AGE

    @property
    def known_violence(self) -> tuple[Violence, ...]:
        """The agreement's categories without duplicates; an unknown category becomes `unknown` (R9).

        The report of an adult has `unknown` as well, so that it goes to manual triage.
        """
        known = {term.value: term for term in Violence}
        categories = [known.get(category, Violence.UNKNOWN) for category in self.violence]
        categories += [Violence.UNKNOWN] if self.is_adult else []
        return tuple(dict.fromkeys(categories)) or (Violence.UNKNOWN,)

    @property
    def may_wait(self) -> bool:
        """Whether the report says that the child is safe now and shows no sign of danger.

        Sexual violence of the last days is one: treatment helps for 72 hours only.
        """
        answers = self.answers
        signs = ("injured", "sexual_under_72h", "suicidal_sign", "trafficking_sign")
        has_sign = self._is_recent_sexual_violence or any(answers[sign] is Answer.YES for sign in signs)
        return answers["safe_now"] is Answer.YES and not has_sign

    @property
    def _is_recent_sexual_violence(self) -> bool:
        if not self.happened_at or Violence.SEXUAL not in self.known_violence:
            return False
        # Days, not hours: a day more than needed does no harm.
        return date.fromisoformat(self.happened_at[:10]) >= self.received_at.date() - timedelta(days=4)

    def describe_child(self, ward: str) -> ChildDescription:
        """Describes the child as it is compared with others; `ward` is the code of the kelurahan."""
        return describe_child(
            self.identity,
            ward=ward,
            age=self.age,
            sex=self.sex.value,
            reported_at=self.received_at,
            # An agency that is only suggested for exclusion learns nothing either: the coordinator still does.
            closed_to=tuple(dict.fromkeys((*self.excluded_agencies, *self.suggested_exclusions))),
        )

    def triage_facts(self) -> dict[str, object]:
        """The facts that routing decides on, with the reporter's own category names."""
        return {
            "channel": self.channel.value,
            "complaint_centre": self.complaint_centre,
            "reporter": self.reporter.value,
            "violence": list(self.violence),
            "place": self.place.value,
            "happened_at": self.happened_at,
            "event_kelurahan": self.event_kelurahan,
            "kelurahan": self.kelurahan,
            "age": self.age,
            "sex": self.sex.value,
            "perpetrator_relation": self.perpetrator_relation.value,
            "guardian_relation": self.guardian_relation.value,
            "answers": {name: answer.value for name, answer in self.answers.items()},
            "excluded_agencies": list(self.excluded_agencies),
            "suggested_exclusions": list(self.suggested_exclusions),
        }

    def sections(self) -> dict[str, Mapping[str, object]]:
        """The content of each vault section."""
        return {"triage": self.triage_facts(), "identity": self.identity, "narrative": self.narrative}


class Progress(StrEnum):
    """What a reporting person may know of what became of the report."""

    RECEIVED = "received"
    BEING_HANDLED = "being_handled"
    """An agency has accepted; which one, and what it does, only those know who help."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Amendment:
    """Additions and corrections by somebody who holds the receipt; fields that are left out stay unchanged."""

    amendment_id: UUID
    case_id: UUID
    receipt: str = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)
    identity: Mapping[str, str] = field(repr=False)
    narrative: Mapping[str, str] = field(repr=False)
    addition: str = field(default="", repr=False)
    """A text that is appended to the chronology, because its writer does not see what the chronology says."""
    answers: Mapping[UUID, str] = field(default_factory=dict, repr=False)
    """The answer to each question of the case manager; it is appended to the chronology as well."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the case manager asks whoever holds the receipt."""

    question_id: UUID
    text: str = field(repr=False)
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Followed:
    """What the holder of a receipt learns of the report."""

    progress: Progress
    questions: tuple[Question, ...]
    """Those that nobody has answered, the oldest first."""


@dataclass(frozen=True, slots=True)
class FoundOverlap:
    """Two cases that may be about one child."""

    overlap_id: UUID
    case_id: UUID
    other_case_id: UUID
    is_likely: bool


def report_from_sections(report_id: UUID, received_at: datetime, sections: Mapping[str, Mapping[str, Any]]) -> Report:
    """Rebuilds a report from its decrypted vault sections."""
    facts = sections["triage"]
    return Report(
        report_id=report_id,
        received_at=received_at,
        channel=Channel(facts["channel"]),
        complaint_centre=facts["complaint_centre"],
        reporter=Reporter(facts["reporter"]),
        violence=tuple(facts["violence"]),
        place=Place(facts["place"]),
        # Reports stored by older versions lack the facts with a default here.
        happened_at=facts.get("happened_at", ""),
        event_kelurahan=facts.get("event_kelurahan", ""),
        kelurahan=facts["kelurahan"],
        age=facts["age"],
        sex=Sex(facts["sex"]),
        perpetrator_relation=Relation(facts["perpetrator_relation"]),
        guardian_relation=Relation(facts.get("guardian_relation", Relation.UNKNOWN)),
        answers={name: Answer(facts["answers"].get(name, Answer.UNKNOWN)) for name in ANSWER_FIELDS},
        excluded_agencies=tuple(facts["excluded_agencies"]),
        suggested_exclusions=tuple(facts.get("suggested_exclusions", ())),
        # Retention erases sections one by one.
        identity=sections.get("identity", {}),
        narrative=sections.get("narrative", {}),
    )


def apply_amendment(report: Report, amendment: Amendment) -> Report:
    """Returns the amended report. Existing exclusions stay.

    The holder of a receipt is not authenticated, so an exclusion in an amendment is a suggestion.
    """
    facts = dict(amendment.facts)
    answers = {**report.answers, **{name: facts.pop(name) for name in report.answers if name in facts}}
    named = (*report.suggested_exclusions, *dict.fromkeys(facts.pop("excluded_agencies", ())))
    suggested = tuple(code for code in named if code not in report.excluded_agencies)
    return replace(
        report,
        **facts,
        answers=answers,
        suggested_exclusions=suggested,
        identity={**report.identity, **amendment.identity},
        narrative=_append({**report.narrative, **amendment.narrative}, amendment.addition),
    )


def _append(narrative: dict[str, str], addition: str) -> dict[str, str]:
    if addition:
        narrative["chronology"] = "\n\n".join(filter(None, (narrative.get("chronology", ""), addition)))
    return narrative


def combine_reports(reports: Sequence[Report]) -> Report:
    """Combines several reports of one child; the first is that of the case that continues.

    Nothing of any of them is lost: where two differ about the identity or about who somebody is to the child, both
    stand side by side. A danger that one of them reports counts, and of two times of the event the later one, as it
    does for the services.
    """
    first, *others = reports
    for other in others:
        answers = {name: _combine_answers(name, answer, other.answers[name]) for name, answer in first.answers.items()}
        first = replace(
            first,
            # Written with the year first, so the order of the texts is that of the times; an unknown one is empty.
            happened_at=max(first.happened_at, other.happened_at),
            sex=other.sex if first.sex is Sex.UNKNOWN else first.sex,
            perpetrator_relation=_known(first.perpetrator_relation, other.perpetrator_relation),
            guardian_relation=_known(first.guardian_relation, other.guardian_relation),
            answers=answers,
            identity=_combine_texts(
                first.identity,
                _add_relation(other.identity, "guardian_name", first.guardian_relation, other.guardian_relation),
                "; ",
            ),
            narrative=_combine_texts(
                first.narrative,
                _add_relation(
                    other.narrative, "perpetrator_description", first.perpetrator_relation, other.perpetrator_relation
                ),
                "\n\n",
            ),
        )
    return first


def _combine_answers(name: str, one: Answer, other: Answer) -> Answer:
    danger = Answer.NO if name == "safe_now" else Answer.YES
    if danger in (one, other):
        return danger
    return other if one is Answer.UNKNOWN else one


def _known(one: Relation, other: Relation) -> Relation:
    return other if one is Relation.UNKNOWN else one


def _add_relation(texts: Mapping[str, str], name: str, one: Relation, other: Relation) -> Mapping[str, str]:
    """Adds a relation to the text about a person, because the field of the dossier has another one."""
    if other is one or Relation.UNKNOWN in (one, other):
        return texts
    return {**texts, name: f"{texts.get(name, '')} ({other.label('id')})".strip()}


def _combine_texts(one: Mapping[str, str], other: Mapping[str, str], separator: str) -> dict[str, str]:
    """Joins texts that differ in more than their letters' case."""
    combined = dict(one)
    for name, text in other.items():
        known = combined.get(name, "")
        if text.casefold() not in (part.casefold() for part in known.split(separator)):
            combined[name] = separator.join(filter(None, (known, text)))
    return combined


def check_event_time(report: Report, latest: datetime, zone: ZoneInfo) -> None:
    """Raises EventTimeImpossible if the event has no real date, lies after `latest` or before the child's birth.

    The birth is taken from the date of birth, or else from the age, which is counted from the report.
    """
    if not report.happened_at:
        return
    event = EventTime.parse(report.happened_at, zone)
    if event is None:
        raise EventTimeImpossible(EventTimeProblem.NO_SUCH_DATE)
    if event.earliest > latest:
        raise EventTimeImpossible(EventTimeProblem.IN_FUTURE)
    born = _earliest_birth(report, zone)
    if born and event.latest.date() <= born:
        raise EventTimeImpossible(EventTimeProblem.BEFORE_BIRTH)


def _earliest_birth(report: Report, zone: ZoneInfo) -> date | None:
    """The earliest day on which the child can have been born; None if nothing is known about it."""
    reported = report.received_at.astimezone(zone).date()
    written = read_date(report.identity.get("birth_date", ""), reported)
    if written or report.age is None:
        return written
    # A person of nine years was born less than ten years ago.
    return date(max(reported.year - report.age - 1, 1), reported.month, min(reported.day, 28))


def is_receipt(text: str, report_id: UUID, numbers: Sequence[int], key: bytes, word_list: Sequence[str]) -> bool:
    """Whether a text is one of these receipts of a report, in any case and with any spaces."""
    given = " ".join(text.casefold().split()).encode()
    return any(
        hmac.compare_digest(given, receipt_phrase(report_id, number, key, word_list).encode()) for number in numbers
    )


def receipt_phrase(report_id: UUID, number: int, key: bytes, word_list: Sequence[str]) -> str:
    """Derives the receipt of a report: always the same words, unguessable without the key.

    `number` counts how often it was replaced; nobody who knows the words of one number learns those of another.
    """
    replaced = f"|{number}".encode() if number else b""
    digest = int.from_bytes(hmac.digest(key, b"receipt|" + report_id.bytes + replaced, "sha256"), "big")
    chosen = []
    for _ in range(RECEIPT_WORD_COUNT):
        digest, index = divmod(digest, len(word_list))
        chosen.append(word_list[index])
    return " ".join(chosen)
