"""The city's guide as a file, and what the agreement says about each of its answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from simpul_agreement.engine import Engines, Origin
from simpul_agreement.facts import situation_from_text
from simpul_agreement.model import Clause, ClockName, ClockRuns, Mediation, UrgencyIs
from simpul_city import CityInvalid, read_yaml
from simpul_schema.vocabulary import Urgency

MAX_QUESTIONS: Final = 6
FILE: Final = "guide.yaml"
_CLOCKS: Final = frozenset(
    {
        ClockName.ANSWER,
        ClockName.CONTACT,
        ClockName.HEALTH_WINDOW,
        ClockName.POLICE_REPORT,
        ClockName.TEMPORARY_PROTECTION,
    }
)
"""Deadlines of interest to whoever is with the child: what happens, and how soon."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sentence(_Model):
    """A sentence in both languages."""

    id: Annotated[str, Field(min_length=1)]
    en: Annotated[str, Field(min_length=1)]

    def text(self, language: str) -> str:
        """Returns the sentence in a language."""
        return str(getattr(self, language))


class Advice(_Model):
    """What to do, and the facts from which the agreement decides."""

    facts: dict[str, str]
    steps: Annotated[tuple[Sentence, ...], Field(min_length=1)]

    @field_validator("facts")
    @classmethod
    def _are_facts_of_the_agreement(cls, facts: dict[str, str]) -> dict[str, str]:
        try:
            situation_from_text(facts)
        except KeyError as error:
            msg = f"the agreement has no fact or value {error}"
            raise ValueError(msg) from error
        return facts


class Question(Advice):
    """A question; a yes leads to its advice, a no to the next question."""

    question: Sentence


class Guide(_Model):
    """The questions in their order, and the advice if the answer to all of them is no."""

    questions: Annotated[tuple[Question, ...], Field(min_length=1, max_length=MAX_QUESTIONS)]
    otherwise: Advice


def read_guide(folder: Path) -> Guide | None:
    """Reads the guide of a city; None if it has none. Raises CityInvalid."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        return Guide.model_validate(read_yaml(path))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        msg = f"{path}: {problems}"
        raise CityInvalid(msg) from error


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the agreement decides for the facts of an answer."""

    urgency: Urgency | None
    clauses: Sequence[Clause]
    """Why it is urgent, what must happen until when, and whether mediation is forbidden."""


def rule_on(advice: Advice, engines: Engines, day: date) -> Ruling:
    """Lets the agreement decide about the facts of an answer."""
    decision = engines.on(day).decide(situation_from_text(advice.facts), Origin())
    found = _relevant(decision.effective)
    return Ruling(decision.urgency, sorted(found, key=lambda clause: not isinstance(clause.effect, UrgencyIs)))


def _relevant(clauses: Sequence[Clause]) -> Iterator[Clause]:
    for clause in clauses:
        match clause.effect:
            case UrgencyIs():
                yield clause
            case Mediation(is_locked=True):
                yield clause
            case ClockRuns(clock=clock) if clock in _CLOCKS:
                yield clause
            case _:
                continue
