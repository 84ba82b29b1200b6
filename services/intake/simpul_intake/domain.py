"""A report as intake understands it: plain data and the rules on it."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from simpul_schema.vocabulary import AgeBand, Answer, Channel, Place, Relation, Reporter, Sex, Violence

RECEIPT_WORDS = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What a complaint centre or a person on the public form told."""

    report_id: UUID
    received_at: datetime
    channel: Channel
    complaint_centre: str
    reporter: Reporter
    violence: tuple[str, ...]
    place: Place
    kelurahan: str
    age: int | None
    sex: Sex
    perpetrator_relation: Relation
    answers: Mapping[str, Answer]
    excluded_agencies: tuple[str, ...]
    """Receive nothing; an authenticated centre says so."""
    suggested_exclusions: tuple[str, ...]
    """Too close to the suspect, as a source says that nobody knows: a person decides."""
    identity: Mapping[str, str] = field(repr=False)
    narrative: Mapping[str, str] = field(repr=False)

    @property
    def age_band(self) -> AgeBand:
        """The band that may travel, in place of the age."""
        return AgeBand.of(self.age)

    @property
    def known_violence(self) -> tuple[Violence, ...]:
        """The categories of the agreement, each once; a word that is none of them counts as unknown (R9)."""
        known = {term.value: term for term in Violence}
        return tuple(dict.fromkeys(known.get(word, Violence.UNKNOWN) for word in self.violence)) or (Violence.UNKNOWN,)

    def facts(self) -> dict[str, object]:
        """What routing decides on; the words as given, so that nothing said is lost."""
        return {
            "channel": self.channel.value,
            "complaint_centre": self.complaint_centre,
            "reporter": self.reporter.value,
            "violence": list(self.violence),
            "place": self.place.value,
            "kelurahan": self.kelurahan,
            "age": self.age,
            "sex": self.sex.value,
            "perpetrator_relation": self.perpetrator_relation.value,
            "answers": {name: answer.value for name, answer in self.answers.items()},
            "excluded_agencies": list(self.excluded_agencies),
            "suggested_exclusions": list(self.suggested_exclusions),
        }

    def sections(self) -> dict[str, Mapping[str, object]]:
        """What the vault keeps, by section."""
        return {"triage": self.facts(), "identity": self.identity, "narrative": self.narrative}


@dataclass(frozen=True, slots=True)
class Amendment:
    """What somebody who holds the receipt adds or corrects; what is not named stays."""

    amendment_id: UUID
    case_id: UUID
    receipt: str = field(repr=False)
    facts: Mapping[str, Any]
    identity: Mapping[str, str] = field(repr=False)
    narrative: Mapping[str, str] = field(repr=False)


def report_of(report_id: UUID, received_at: datetime, sections: Mapping[str, Mapping[str, Any]]) -> Report:
    """The report that the sections of a vault tell."""
    facts = sections["triage"]
    return Report(
        report_id=report_id,
        received_at=received_at,
        channel=Channel(facts["channel"]),
        complaint_centre=facts["complaint_centre"],
        reporter=Reporter(facts["reporter"]),
        violence=tuple(facts["violence"]),
        place=Place(facts["place"]),
        kelurahan=facts["kelurahan"],
        age=facts["age"],
        sex=Sex(facts["sex"]),
        perpetrator_relation=Relation(facts["perpetrator_relation"]),
        answers={name: Answer(answer) for name, answer in facts["answers"].items()},
        excluded_agencies=tuple(facts["excluded_agencies"]),
        # A report that was stored by an older version has none.
        suggested_exclusions=tuple(facts.get("suggested_exclusions", ())),
        identity=sections["identity"],
        narrative=sections["narrative"],
    )


def amended(report: Report, amendment: Amendment) -> Report:
    """The report with what is new. An agency that was excluded stays so.

    Whoever holds a receipt is not known, so an exclusion in an amendment is a suggestion.
    """
    facts = dict(amendment.facts)
    answers = {**report.answers, **{name: facts.pop(name) for name in report.answers if name in facts}}
    named = dict.fromkeys((*report.suggested_exclusions, *facts.pop("excluded_agencies", ())))
    suggested = tuple(code for code in named if code not in report.excluded_agencies)
    return replace(
        report, **facts, answers=answers, suggested_exclusions=suggested,
        identity={**report.identity, **amendment.identity}, narrative={**report.narrative, **amendment.narrative},
    )  # fmt: skip


def receipt_words(report_id: UUID, key: bytes, words: Sequence[str]) -> str:
    """The receipt of a report: the same each time it is asked for, unguessable without the key."""
    number = int.from_bytes(hmac.digest(key, b"receipt|" + report_id.bytes, "sha256"), "big")
    chosen = []
    for _ in range(RECEIPT_WORDS):
        number, index = divmod(number, len(words))
        chosen.append(words[index])
    return " ".join(chosen)
