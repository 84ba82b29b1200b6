"""A report as intake understands it: plain data and the rules on it."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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

    def sections(self) -> dict[str, Mapping[str, object]]:
        """What the vault keeps, by section; the words as given, so that nothing said is lost."""
        given = {"violence": list(self.violence), "kelurahan": self.kelurahan, "age": self.age}
        return {"identity": self.identity, "narrative": {**self.narrative, "as_given": given}}


def receipt_words(report_id: UUID, key: bytes, words: Sequence[str]) -> str:
    """The receipt of a report: the same each time it is asked for, unguessable without the key."""
    number = int.from_bytes(hmac.digest(key, b"receipt|" + report_id.bytes, "sha256"), "big")
    chosen = []
    for _ in range(RECEIPT_WORDS):
        number, index = divmod(number, len(words))
        chosen.append(words[index])
    return " ".join(chosen)
