"""Decides by the agreement: for each value of each fact one integer whose bits are the clauses that admit it.

A decision is the AND of one integer per fact, followed by a scan of the remaining bits. It costs nearly the same for
fifty clauses and for ten thousand, and never depends on the order in which clauses are written.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from typing import Final, NamedTuple

from simpul_agreement.deadlines import Within
from simpul_agreement.facts import FACTS, URGENCY, VIOLENCE, Fact, Situation, all_sets
from simpul_agreement.implications import normalize_situation
from simpul_agreement.masks import Masks, bits_of, mask_of
from simpul_agreement.model import (
    COMPLAINT_CENTRE,
    KECAMATAN_OF_RESIDENCE,
    SATGAS_OF_RESIDENCE,
    SELECTORS,
    Agreement,
    BasisIs,
    Clause,
    ClockName,
    ClockRuns,
    Effect,
    Mediation,
    Phase,
    PlanDeadline,
    ServiceNeeded,
    SuspectServedBy,
    UrgencyIs,
)
from simpul_schema.vocabulary import Right, Service, Urgency

_ORDER: Final = tuple(Urgency)
"""The urgencies, the highest first; the position of each is its rank."""
_RANKED: Final = {
    frozenset(_ORDER.index(urgency) for urgency in some): frozenset(urgency.value for urgency in some)
    for size in range(len(_ORDER) + 1)
    for some in combinations(_ORDER, size)
}
"""Ranks -> the urgencies as values of a fact; hashing a rank is cheaper than hashing a member of an enumeration."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The codes of the agencies that only a report can name (empty when it does not), and the excluded agencies."""

    satgas: str = ""
    kecamatan: str = ""
    centre: str = ""
    excluded: frozenset[str] = frozenset()

    def resolve(self, selector: str) -> str:
        """The code of an agency that may be addressed; empty when there is none."""
        if selector == SATGAS_OF_RESIDENCE:
            code = self.satgas
        elif selector == KECAMATAN_OF_RESIDENCE:
            code = self.kecamatan
        else:
            code = self.centre if selector == COMPLAINT_CENTRE else selector
        return "" if code in self.excluded else code

    def first(self, selectors: Iterable[str]) -> str:
        """The first of them that may be addressed; empty when none may be."""
        for selector in selectors:
            code = self.resolve(selector)
            if code:
                return code
        return ""


class Assignment(NamedTuple):
    """One service that is needed, with its lead and its supporting agencies."""

    service: Service
    right: Right
    lead: str
    support: tuple[str, ...]
    clauses: tuple[str, ...]
    phase: Phase = Phase.IMMEDIATE
    max_urgency: Urgency | None = None


@dataclass(frozen=True, slots=True)
class ServiceTerms:
    """When a service is offered, and how urgent it is."""

    phase: Phase
    urgency: Urgency


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from a situation; `effective` holds every clause that decides."""

    urgency: Urgency | None
    answer: Within | None
    mediation: Mediation | None
    basis: BasisIs | None
    suspect_served_by: str
    assignments: tuple[Assignment, ...]
    effective: tuple[Clause, ...]
    engine: "Engine" = field(repr=False, compare=False)
    by_facts: int = field(repr=False, compare=False)
    """The clauses of the engine that apply by the facts alone, whatever the urgency."""

    @property
    def mediation_is_locked(self) -> bool:
        """Whether mediation is forbidden; it is where no clause decides."""
        return self.mediation is None or self.mediation.is_locked

    def terms_of(self, service: Service) -> ServiceTerms:
        """When a service is offered and how urgent it is; one that no clause needs now has the terms it usually has."""
        assigned = next((one for one in self.assignments if one.service is service), None)
        phase, max_urgency = (assigned.phase, assigned.max_urgency) if assigned else self.engine.usual_terms(service)
        urgency = self.urgency or Urgency.HIGH
        return ServiceTerms(phase, max(urgency, max_urgency, key=_ORDER.index) if max_urgency else urgency)

    def clocks_of(self, terms: ServiceTerms) -> tuple[Clause, ...]:
        """The clauses that set the deadlines of a service with these terms."""
        return self.engine.clocks_at(self.by_facts, terms)

    def answer_of(self, terms: ServiceTerms) -> Within | None:
        """The time to answer for a service with these terms; None where no clause sets one."""
        effects = (clause.effect for clause in self.clocks_of(terms))
        return next(
            (e.within for e in effects if isinstance(e, ClockRuns) and e.clock is ClockName.ANSWER and not e.service),
            None,
        )

    @property
    def plan_deadline(self) -> PlanDeadline | None:
        """The time in which the service plan is confirmed; None where no clause sets one."""
        return next((c.effect for c in self.effective if isinstance(c.effect, PlanDeadline)), None)

    @property
    def clause_ids(self) -> tuple[str, ...]:
        """The ids of the clauses that decide."""
        return tuple([clause.id for clause in self.effective])


class _Need(NamedTuple):
    """What one or several clauses need of one service; the first of them names the agencies."""

    agencies: ServiceNeeded
    has_selectors: bool
    assignment: Assignment
    """Where nobody is excluded, if it has no selectors."""


class _ServiceNeeds(dict[int, _Need]):
    """What sets of clauses need that need one service; combined once for each set that occurs."""

    def __init__(self, clauses: Sequence[Clause]) -> None:
        super().__init__()
        self._clauses = clauses
        needs = [(n, clause.effect) for n, clause in enumerate(clauses) if isinstance(clause.effect, ServiceNeeded)]
        self.of_service: dict[Service, int] = {}
        for number, need in needs:
            self.of_service[need.service] = self.of_service.get(need.service, 0) | 1 << number
        self._immediate = mask_of(number for number, need in needs if need.phase is Phase.IMMEDIATE)
        self._allowing = [(u, mask_of(n for n, need in needs if need.max_urgency is u)) for u in (None, *_ORDER)]
        """The highest urgency that clauses allow, None for that of the case, and these clauses."""

    def assign(self, effective: int, origin: Origin) -> tuple[Assignment, ...]:
        """The services that the clauses in force need, each with the agencies that may be addressed."""
        needs = [self[needing] for of_service in self.of_service.values() if (needing := effective & of_service)]
        return tuple(
            [
                _assign(need.assignment, need.agencies, origin)
                if need.has_selectors or origin.excluded
                else need.assignment
                for need in needs
            ]
        )

    def terms_of(self, needing: int) -> tuple[Phase, Urgency | None]:
        """The earlier phase and the higher urgency of several clauses that need one service."""
        phase = Phase.IMMEDIATE if needing & self._immediate else Phase.PLANNED
        return phase, next(urgency for urgency, clauses in self._allowing if needing & clauses)

    def __missing__(self, needing: int) -> _Need:
        clauses = [self._clauses[number] for number in bits_of(needing)]
        first = clauses[0].effect
        assert isinstance(first, ServiceNeeded)  # noqa: S101 - so are all clauses in `of_service`
        unassigned = Assignment(
            first.service, first.right, "", (), tuple(clause.id for clause in clauses), *self.terms_of(needing)
        )
        selectors = (*first.lead, *first.support)
        need = _Need(first, not set(SELECTORS).isdisjoint(selectors), _assign(unassigned, first, Origin()))
        self[needing] = need
        return need


def _assign(assignment: Assignment, agencies: ServiceNeeded, origin: Origin) -> Assignment:
    """The assignment with the agencies that may be addressed."""
    service, right, _, _, clauses, phase, max_urgency = assignment
    lead = origin.first(agencies.lead)
    support: list[str] = []
    for selector in agencies.support:
        code = origin.resolve(selector)
        if code and code != lead and code not in support:
            support.append(code)
    return Assignment(service, right, lead, tuple(support), clauses, phase, max_urgency)


class Engine:
    """Decides by the clauses that are valid on one day."""

    def __init__(self, agreement: Agreement, day: date) -> None:
        valid = [clause for clause in agreement.clauses if clause.is_valid_on(day)]
        overridden = {other for clause in valid for other in clause.overrides}
        # Clauses that always hold and that a decision does not read, such as retention, are set aside once.
        self._standing = tuple(
            clause
            for clause in valid
            if not clause.when and not clause.overrides and clause.id not in overridden and not _is_read(clause.effect)
        )
        # Urgency clauses come first: they are the lowest bits, so reading them is cheap.
        standing = {clause.id for clause in self._standing}
        conditional = (clause for clause in valid if clause.id not in standing)
        self._conditional = tuple(sorted(conditional, key=lambda clause: not isinstance(clause.effect, UrgencyIs)))
        self.clauses = (*self._conditional, *self._standing)
        effects = [clause.effect for clause in self._conditional]
        self._needs = _ServiceNeeds(self._conditional)
        self._rank_of = [_ORDER.index(effect.urgency) for effect in effects if isinstance(effect, UrgencyIs)]
        self._urgency_clauses = (1 << len(self._rank_of)) - 1
        self._everything = (1 << len(effects)) - 1
        self._clocks = mask_of(n for n, effect in enumerate(effects) if isinstance(effect, ClockRuns))
        answers = (n for n, e in enumerate(effects) if _is_read(e) and not isinstance(e, ServiceNeeded | UrgencyIs))
        self._answers = mask_of(answers)
        position = {clause.id: number for number, clause in enumerate(self._conditional)}
        self._overrides = {
            number: mask_of(position[other] for other in clause.overrides if other in position)
            for number, clause in enumerate(self._conditional)
            if clause.overrides
        }
        self._overriding = mask_of(self._overrides)
        tables = {fact.name: self._masks(fact) for fact in (*FACTS, URGENCY)}
        for kinds in all_sets(VIOLENCE):
            _ = tables[VIOLENCE.name][kinds]
        self._by_urgency = tables.pop(URGENCY.name)
        self._tables = tuple((name, table) for name, table in tables.items() if table.conditions)
        self._standing_clocks = tuple(clause for clause in self._standing if isinstance(clause.effect, ClockRuns))

    def _masks(self, fact: Fact) -> Masks:
        reading = {
            number: condition
            for number, clause in enumerate(self._conditional)
            for condition in clause.when
            if condition.fact == fact.name
        }
        return Masks(reading, self._everything)

    def decide(self, situation: Situation, origin: Origin, by_hand: Urgency | None = None) -> Decision:
        """Decides a situation as reported; `by_hand` replaces the urgency where a person has set it.

        What the facts imply is added here and nowhere else, so no decision misses it.
        """
        situation = normalize_situation(situation)
        by_facts = self._everything
        for fact, table in self._tables:
            by_facts &= table[situation[fact]]
        if by_hand:
            ranks = {_ORDER.index(by_hand)}
        else:
            ranks = {self._rank_of[number] for number in bits_of(self._effective(by_facts & self._urgency_clauses))}
        applying = by_facts & self._by_urgency[_RANKED[frozenset(ranks)]]
        # A proof guarantees exactly one; without a proof the highest urgency is the safe choice.
        urgency = _ORDER[min(ranks)] if ranks else None
        return self._build_decision(self._effective(applying), by_facts, urgency, origin)

    def usual_terms(self, service: Service) -> tuple[Phase, Urgency | None]:
        """The phase and the highest urgency of a service by all clauses together."""
        needing = self._needs.of_service.get(service)
        return self._needs.terms_of(needing) if needing else (Phase.IMMEDIATE, None)

    def clocks_at(self, by_facts: int, terms: ServiceTerms) -> tuple[Clause, ...]:
        """The clauses that set the deadlines of a service; its own urgency stands for that of the case."""
        applying = by_facts & self._clocks & self._by_urgency[frozenset({terms.urgency.value})]
        deciding = (*self._clauses_at(self._effective(applying)), *self._standing_clocks)
        return tuple(c for c in deciding if isinstance(c.effect, ClockRuns) and c.effect.concerns(terms.phase))

    def _effective(self, applying: int) -> int:
        """The clauses in force: those that apply and that no other one overrides."""
        overridden = 0
        for number in bits_of(applying & self._overriding):
            overridden |= self._overrides[number]
        return applying & ~overridden if overridden else applying

    def _clauses_at(self, mask: int) -> list[Clause]:
        conditional = self._conditional
        return [conditional[number] for number in bits_of(mask)]

    def _build_decision(self, effective: int, by_facts: int, urgency: Urgency | None, origin: Origin) -> Decision:
        answer, basis, suspect = None, None, ""
        mediation: Mediation | None = None
        for clause in self._clauses_at(effective & self._answers):
            match clause.effect:
                case ClockRuns(within=within) as clock:
                    answer = within if clock.concerns(Phase.IMMEDIATE) else answer
                case Mediation() as found_mediation:
                    # A proof guarantees one answer; without a proof forbidding mediation is the safe choice.
                    mediation = found_mediation if mediation is None or found_mediation.is_locked else mediation
                case BasisIs() as found:
                    basis = found
                case SuspectServedBy(lead=lead):
                    suspect = origin.first(lead)
                case _:
                    pass
        return Decision(
            urgency=urgency,
            answer=answer,
            mediation=mediation,
            basis=basis,
            suspect_served_by=suspect,
            assignments=self._needs.assign(effective, origin),
            effective=(*self._clauses_at(effective), *self._standing),
            engine=self,
            by_facts=by_facts,
        )


def _is_read(effect: Effect) -> bool:
    """Whether a field of the decision is read from the effect."""
    if isinstance(effect, ClockRuns):
        return effect.clock is ClockName.ANSWER and effect.service is None
    return isinstance(effect, ServiceNeeded | UrgencyIs | Mediation | BasisIs | SuspectServedBy)


class Engines:
    """One engine for each period between two days on which clauses start or end."""

    def __init__(self, agreement: Agreement, digest: str = "") -> None:
        self.agreement = agreement
        self.digest = digest
        self._days = agreement.periods()
        self._engines = [Engine(agreement, day) for day in self._days]

    def on(self, day: date) -> Engine:
        """The engine of a day; before the first period, the first."""
        return self._engines[max(bisect_right(self._days, day) - 1, 0)]
