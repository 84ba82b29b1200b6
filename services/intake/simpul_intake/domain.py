"""Reports, amendments and receipts: plain data and the rules on them."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from simpul_schema.vocabulary import AgeBand, Answer, Channel, Place, Relation, Reporter, Sex, Violence

RECEIPT_WORD_COUNT = 8
"""Eight words out of 1,024 carry 80 bits."""


@dataclass(frozen=True, slots=True)
class Report:
    """One report by a complaint centre or through the public form."""

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
    """Agencies that must receive nothing of the case, as stated by an authenticated complaint centre."""
    suggested_exclusions: tuple[str, ...]
    """Agencies that an anonymous source calls too close to the suspect; a person decides about them."""
    identity: Mapping[str, str] = field(repr=False)
    narrative: Mapping[str, str] = field(repr=False)

    @property
    def age_band(self) -> AgeBand:
        """The age band, which replaces the exact age in messages."""
        return AgeBand.of(self.age)

    @property
    def known_violence(self) -> tuple[Violence, ...]:
        """The agreement's categories without duplicates; an unknown category becomes `unknown` (R9)."""
        known = {term.value: term for term in Violence}
        categories = (known.get(category, Violence.UNKNOWN) for category in self.violence)
        return tuple(dict.fromkeys(categories)) or (Violence.UNKNOWN,)

    def triage_facts(self) -> dict[str, object]:
        """The facts that routing decides on, with the reporter's own category names."""
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
        """The content of each vault section."""
        return {"triage": self.triage_facts(), "identity": self.identity, "narrative": self.narrative}


@dataclass(frozen=True, slots=True)
class Amendment:
    """Additions and corrections by somebody who holds the receipt; fields that are left out stay unchanged."""

    amendment_id: UUID
    case_id: UUID
    receipt: str = field(repr=False)
    facts: Mapping[str, Any]
    identity: Mapping[str, str] = field(repr=False)
    narrative: Mapping[str, str] = field(repr=False)


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
        kelurahan=facts["kelurahan"],
        age=facts["age"],
        sex=Sex(facts["sex"]),
        perpetrator_relation=Relation(facts["perpetrator_relation"]),
        answers={name: Answer(answer) for name, answer in facts["answers"].items()},
        excluded_agencies=tuple(facts["excluded_agencies"]),
        # Reports stored by older versions lack this field.
        suggested_exclusions=tuple(facts.get("suggested_exclusions", ())),
        identity=sections["identity"],
        narrative=sections["narrative"],
    )


def apply_amendment(report: Report, amendment: Amendment) -> Report:
    """Returns the amended report. Existing exclusions stay.

    The holder of a receipt is not authenticated, so an exclusion in an amendment is a suggestion.
    """
    facts = dict(amendment.facts)
    answers = {**report.answers, **{name: facts.pop(name) for name in report.answers if name in facts}}
    named = dict.fromkeys((*report.suggested_exclusions, *facts.pop("excluded_agencies", ())))
    suggested = tuple(code for code in named if code not in report.excluded_agencies)
    return replace(
        report, **facts, answers=answers, suggested_exclusions=suggested,
        identity={**report.identity, **amendment.identity}, narrative={**report.narrative, **amendment.narrative},
    )  # fmt: skip


def receipt_phrase(report_id: UUID, key: bytes, words: Sequence[str]) -> str:
    """Derives the receipt of a report: always the same words, unguessable without the key."""
    number = int.from_bytes(hmac.digest(key, b"receipt|" + report_id.bytes, "sha256"), "big")
    chosen = []
    for _ in range(RECEIPT_WORD_COUNT):
        number, index = divmod(number, len(words))
        chosen.append(words[index])
    return " ".join(chosen)
