"""The questions about an agreement that both provers answer, each in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from simpul_agreement.facts import Situation
from simpul_agreement.model import Agreement, Clause, ClockRuns, Phase, RightNotNeeded, ServiceNeeded, Topic
from simpul_agreement.properties import EXACTLY_ONE, PROPERTIES, RIGHTS, SERVICE_PLAN, Property
from simpul_schema.vocabulary import Right, Urgency


@dataclass(frozen=True, slots=True)
class ServiceGroup:
    """The services of one phase that have the urgency of the case, or at most this one where the case has more."""

    phase: Phase
    urgency: Urgency | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Is there a situation in which no clause decides the topic? Of a deadline: for a service of the group."""

    topic: Topic
    group: ServiceGroup | None = None


@dataclass(frozen=True, slots=True)
class RightGap:
    """Is there a situation in which a right has neither a service nor a `not_needed`?"""

    right: Right


@dataclass(frozen=True, slots=True)
class Overlap:
    """Is there a situation in which two clauses decide the topic differently?

    Of a deadline: for a service of the group.
    """

    topic: Topic
    group: ServiceGroup | None = None


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
    """A question reads more facts than fit into memory."""

    def __init__(self, facts: Sequence[str]) -> None:
        super().__init__(f"too many situations over {', '.join(facts)}")
        self.facts = facts


def questions_on(agreement: Agreement, day: date) -> Sequence[Question]:
    """The questions for one day; each must be answered with no."""
    clauses = clauses_on(agreement, day)
    topics = list(dict.fromkeys(clause.topic for clause in clauses))
    groups = _groups(clauses)
    is_planned = any(group.phase is Phase.PLANNED for group in groups)
    decided = (*EXACTLY_ONE, SERVICE_PLAN) if is_planned else EXACTLY_ONE
    return [
        *(Gap(topic, group) for topic in decided for group in _groups_of(topic, groups)),
        *map(RightGap, RIGHTS),
        *(Overlap(topic, group) for topic in topics for group in _groups_of(topic, groups)),
        *map(RightOverlap, RIGHTS),
        *(Dead(clause.id) for clause in clauses),
        *map(Broken, PROPERTIES),
    ]


def _groups(clauses: Sequence[Clause]) -> Sequence[ServiceGroup]:
    """Every group that a service can belong to; one that no clause needs is immediate, with the urgency of the case."""
    needs = [clause.effect for clause in clauses if isinstance(clause.effect, ServiceNeeded)]
    found = {ServiceGroup(Phase.IMMEDIATE): None}
    for need in needs:
        if need.phase is Phase.PLANNED:
            found[ServiceGroup(Phase.PLANNED, need.max_urgency)] = None
            continue
        # A service that one clause makes immediate may be more urgent by another clause.
        for other in needs:
            if other.service is need.service:
                found[ServiceGroup(Phase.IMMEDIATE, _higher(need.max_urgency, other.max_urgency))] = None
    return list(found)


def _higher(one: Urgency | None, other: Urgency | None) -> Urgency | None:
    """The higher of two caps; without a cap it is that of the case."""
    return min(one, other, key=list(Urgency).index) if one and other else None


def _groups_of(topic: Topic, groups: Sequence[ServiceGroup]) -> Sequence[ServiceGroup | None]:
    """The groups for which a question is asked: all of them about a deadline, none about anything else."""
    return groups if topic[0] == "clock" else [None]


def clauses_for(clauses: Sequence[Clause], topic: Topic, group: ServiceGroup | None) -> list[Clause]:
    """The clauses on a topic that concern the services of a group."""
    return [
        clause
        for clause in clauses
        if clause.topic == topic
        and (group is None or not isinstance(clause.effect, ClockRuns) or clause.effect.concerns(group.phase))
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
