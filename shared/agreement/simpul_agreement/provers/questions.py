"""The questions about an agreement that both provers answer, each in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from simpul_agreement.facts import Situation
from simpul_agreement.model import Agreement, Clause, RightNotNeeded, ServiceNeeded, Topic
from simpul_agreement.properties import EXACTLY_ONE, PROPERTIES, RIGHTS, Property
from simpul_schema.vocabulary import Right


@dataclass(frozen=True, slots=True)
class Gap:
    """Is there a situation in which no clause decides the topic?"""

    topic: Topic


@dataclass(frozen=True, slots=True)
class RightGap:
    """Is there a situation in which a right has neither a service nor a `not_needed`?"""

    right: Right


@dataclass(frozen=True, slots=True)
class Overlap:
    """Is there a situation in which two clauses decide the topic differently?"""

    topic: Topic


@dataclass(frozen=True, slots=True)
class RightOverlap:
    """Is there a situation in which a right has both a service and a `not_needed`?"""

    right: Right


@dataclass(frozen=True, slots=True)
class Dead:
    """Is there no situation in which the clause decides anything?"""

    clause: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Is there a situation in which the property does not hold?"""

    property: Property


Question = Gap | RightGap | Overlap | RightOverlap | Dead | Broken
Answers = dict[Question, Situation | None]
"""For each question a situation that shows the defect, or None; for a dead clause any situation."""


class TooWide(Exception):
    """A question reads more facts than fit into memory; split the clause that it names."""


def questions_on(agreement: Agreement, day: date) -> Sequence[Question]:
    """The questions for one day; each must be answered with no."""
    clauses = clauses_on(agreement, day)
    topics = list(dict.fromkeys(clause.topic for clause in clauses))
    return [
        *map(Gap, EXACTLY_ONE),
        *map(RightGap, RIGHTS),
        *map(Overlap, topics),
        *map(RightOverlap, RIGHTS),
        *(Dead(clause.id) for clause in clauses),
        *map(Broken, PROPERTIES),
    ]


def clauses_on(agreement: Agreement, day: date) -> list[Clause]:
    """The clauses that are valid on that day."""
    return [clause for clause in agreement.clauses if clause.is_valid_on(day)]


def needs(clause: Clause, right: Right) -> bool:
    """Whether the clause requires a service for the right."""
    return isinstance(clause.effect, ServiceNeeded) and clause.effect.right is right


def waives(clause: Clause, right: Right) -> bool:
    """Whether the clause gives a reason why the right needs no service."""
    return isinstance(clause.effect, RightNotNeeded) and clause.effect.right is right
