"""Prover 2: the same questions as formulas over all facts for the solver Z3.

It is written from the definition of the agreement and not from prover 1, so a mistake in one shows in the other.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

import z3

from simpul_agreement.facts import FACTS, AgencyKind, Situation
from simpul_agreement.implications import IMPLICATIONS
from simpul_agreement.model import (
    ADDRESSEE,
    COMPLAINT_CENTRE,
    KECAMATAN_OF_RESIDENCE,
    LEVEL_ABOVE,
    SATGAS_OF_RESIDENCE,
    Agreement,
    BasisIs,
    Clause,
    ClockRuns,
    Condition,
    Disclosure,
    Effect,
    EscalationLevel,
    Mediation,
    Party,
    Phase,
    ServiceNeeded,
    SuspectServedBy,
    Topic,
    UrgencyIs,
    answer_of,
    topic_of,
)
from simpul_agreement.properties import (
    Addressed,
    BasisIsNot,
    CentreSupports,
    ClockLimit,
    Demand,
    EscalationReachesSomebody,
    ExcludedGetNothing,
    Hidden,
    Leads,
    MediationIsLocked,
    OfferedAtOnce,
    OneLeadForEachRight,
    Reachable,
    ServiceRequired,
    SuspectElsewhere,
    UrgencyMustBe,
)
from simpul_agreement.provers.questions import (
    Answers,
    Broken,
    Dead,
    Gap,
    Overlap,
    Question,
    RightGap,
    RightOverlap,
    ServiceGroup,
    questions_on,
)
from simpul_schema.vocabulary import Urgency

Formula = Any
"""A Z3 formula; the package has no types for them that fit."""


class SolverProver:
    """Answers every question about the clauses that are valid on one day."""

    name = "z3"

    def __init__(self, agreement: Agreement, day: date) -> None:
        self.agreement = agreement
        self._day = day
        self._context = z3.Context()
        self._clauses = {clause.id: clause for clause in agreement.clauses if clause.is_valid_on(day)}
        self._values: dict[tuple[str, str], Formula] = {}
        self._solver = z3.Solver(ctx=self._context)
        for fact in FACTS:
            holds = [z3.Bool(f"{fact.name}={value}", self._context) for value in fact.values]
            self._values |= {(fact.name, value): atom for value, atom in zip(fact.values, holds, strict=True)}
            self._solver.add(z3.Or(holds))
            if not fact.holds_many:
                self._solver.add(z3.AtMost(*holds, 1))
        for implication in IMPLICATIONS:
            implies = self._and(*(self._condition(condition) for condition in implication.when))
            self._solver.add(z3.Implies(implies, self._values["violence", implication.kind.value]))
        self._in_force = {name: self._decides(clause) for name, clause in self._clauses.items()}

    def answers(self, progress: Callable[[], None] = lambda: None) -> Answers:
        """For each question a situation that shows the defect, or None."""
        found: Answers = {}
        for question in questions_on(self.agreement, self._day):
            found[question] = self.answer(question)
            progress()
        return found

    def answer(self, question: Question) -> Situation | None:
        """A situation that shows the defect, or None."""
        match question:
            case Gap(topic=topic, group=group):
                return self._model(self._and(self._possible(group), self._none(self._answering(topic, group))))
            case RightGap(right=right):
                return self._model(self._none(self._deciding(lambda effect: getattr(effect, "right", None) is right)))
            case Overlap(topic=topic, group=group):
                return self._model(self._and(self._possible(group), self._conflicting(topic, group)))
            case RightOverlap(right=right):
                of_right = [(n, c) for n, c in self._clauses.items() if getattr(c.effect, "right", None) is right]
                served = [self._in_force[n] for n, c in of_right if isinstance(c.effect, ServiceNeeded)]
                waived = [self._in_force[n] for n, c in of_right if not isinstance(c.effect, ServiceNeeded)]
                return self._model(self._and(self._any(served), self._any(waived)))
            case Dead(clause=name):
                alive = self._model(self._in_force[name])
                return None if alive else {fact.name: frozenset(fact.values[-1:]) for fact in FACTS}
            case Broken(property=wanted):
                given = [self._condition(condition) for condition in wanted.when]
                broken = self._any(self._not(self._met(demand)) for demand in wanted.must)
                return self._model(self._and(*given, broken))

    # Formulas

    def _and(self, *formulas: Formula) -> Formula:
        return z3.And([z3.BoolVal(True, self._context), *formulas])

    def _any(self, formulas: Iterable[Formula]) -> Formula:
        return z3.Or([z3.BoolVal(False, self._context), *formulas])

    def _not(self, formula: Formula) -> Formula:
        return z3.Not(formula, self._context)

    def _none(self, formulas: Iterable[Formula]) -> Formula:
        return self._not(self._any(formulas))

    def _model(self, formula: Formula) -> Situation | None:
        self._solver.push()
        try:
            self._solver.add(formula)
            if self._solver.check() == z3.unsat:
                return None
            model = self._solver.model()
            return {
                fact.name: frozenset(
                    value
                    for value in fact.values
                    if z3.is_true(model.eval(self._values[fact.name, value], model_completion=True))
                )
                for fact in FACTS
            }
        finally:
            self._solver.pop()

    # Services with an urgency of their own

    def _possible(self, group: ServiceGroup | None) -> Formula:
        """Where a service of the group can be: the case is at least as urgent."""
        if group is None or group.urgency is None:
            return z3.BoolVal(True, self._context)
        order = list(Urgency)
        return self._any(self._urgency_is(u.value) for u in order[: order.index(group.urgency) + 1])

    def _answering(self, topic: Topic, group: ServiceGroup | None) -> list[Formula]:
        return [formula for _effect, formula in self._find_answers(topic, group)]

    def _find_answers(self, topic: Topic, group: ServiceGroup | None) -> Iterator[tuple[Effect, Formula]]:
        """The effects of the clauses that answer a question for the group, and where each of them decides."""
        for clause in self._clauses.values():
            is_for_other = group and isinstance(clause.effect, ClockRuns) and not clause.effect.concerns(group.phase)
            if topic_of(clause.effect) == topic and not is_for_other:
                yield clause.effect, self._decides(clause, group.urgency if group else None)

    # Clauses

    def _condition(self, condition: Condition, urgency: Urgency | None = None) -> Formula:
        if condition.fact == "urgency" and urgency:
            return z3.BoolVal(urgency.value in condition.any_of, self._context)
        if condition.fact == "urgency":
            return self._any(self._urgency_is(value) for value in condition.any_of)
        some = self._any(self._values[condition.fact, value] for value in condition.any_of)
        barred = self._none(self._values[condition.fact, value] for value in condition.none_of)
        return self._and(some if condition.any_of else z3.BoolVal(True, self._context), barred)

    def _urgency_is(self, value: str) -> Formula:
        return self._any(
            self._decides(clause)
            for clause in self._clauses.values()
            if isinstance(clause.effect, UrgencyIs) and clause.effect.urgency.value == value
        )

    def _fits(self, clause: Clause, urgency: Urgency | None = None) -> Formula:
        return self._and(*(self._condition(condition, urgency) for condition in clause.when))

    def _decides(self, clause: Clause, urgency: Urgency | None = None) -> Formula:
        winners = [other for other in self._clauses.values() if clause.id in other.overrides]
        return self._and(self._fits(clause, urgency), *(self._not(self._fits(other, urgency)) for other in winners))

    def _deciding(self, is_wanted: Callable[[Effect], bool]) -> list[Formula]:
        return [self._in_force[name] for name, clause in self._clauses.items() if is_wanted(clause.effect)]

    def _conflicting(self, topic: Topic, group: ServiceGroup | None) -> Formula:
        by_answer: dict[Effect, list[Formula]] = {}
        for effect, decides in self._find_answers(topic, group):
            by_answer.setdefault(answer_of(effect), []).append(decides)
        effects = [self._any(formulas) for formulas in by_answer.values()]
        if len(effects) < 2:
            return z3.BoolVal(False, self._context)
        return self._not(z3.AtMost(*effects, 1))

    # Parties

    def _may_be_addressed(self, selector: str, kind: AgencyKind | None) -> Formula:
        """Where a selector is an addressable party of the kind; kind None is a party that takes no referrals."""
        party = self.agreement.party_of.get(selector)
        if selector == COMPLAINT_CENTRE:
            if kind is None:
                return z3.BoolVal(False, self._context)
            is_there = self._values["complaint_centre", kind.value]
        elif party is None or party.kind is not kind:
            return z3.BoolVal(False, self._context)
        elif selector in (SATGAS_OF_RESIDENCE, KECAMATAN_OF_RESIDENCE):
            is_there = self._values["residence", "kelurahan"]
        else:
            is_there = z3.BoolVal(True, self._context)
        belongs_to = kind if selector == COMPLAINT_CENTRE else self.agreement.excluded_with(selector)
        if belongs_to is None:
            return is_there
        return self._and(is_there, self._not(self._values["excluded", belongs_to.value]))

    def _chosen(self, selectors: tuple[str, ...], kind: AgencyKind | None) -> Formula:
        """Where the first of the selectors that may be addressed is of the kind."""
        kinds = (*AgencyKind, None)
        return self._any(
            self._and(
                self._may_be_addressed(selector, kind),
                *(self._not(self._may_be_addressed(b, other)) for b in selectors[:position] for other in kinds),
            )
            for position, selector in enumerate(selectors)
        )

    def _leads(self, need: ServiceNeeded, kind: AgencyKind) -> Formula:
        return self._chosen(need.lead, kind)

    def _takes_part(self, need: ServiceNeeded, kind: AgencyKind) -> Formula:
        return self._any((self._leads(need, kind), *(self._may_be_addressed(s, kind) for s in need.support)))

    def _services(self) -> list[tuple[Formula, ServiceNeeded]]:
        return [
            (self._in_force[name], clause.effect)
            for name, clause in self._clauses.items()
            if isinstance(clause.effect, ServiceNeeded)
        ]

    def _involved(self, kind: AgencyKind, *, at_once: bool = False) -> Formula:
        """Where a party of the kind takes part in a service; `at_once` counts only what is offered at once."""
        return self._any(
            self._and(holds, self._takes_part(need, kind))
            for holds, need in self._services()
            if not at_once or need.phase is Phase.IMMEDIATE
        )

    # Demands

    def _met(self, demand: Demand) -> Formula:  # noqa: C901, PLR0911, PLR0912 - one branch for each demand
        services = self._services()
        match demand:
            case ServiceRequired(service=service):
                return self._any(
                    self._and(holds, self._any(self._chosen(need.lead, kind) for kind in (*AgencyKind, None)))
                    for holds, need in services
                    if need.service is service
                )
            case Leads(service=service, kind=kind):
                led = self._any(
                    self._and(holds, self._leads(need, kind)) for holds, need in services if need.service is service
                )
                return self._any((self._values["excluded", kind.value], led))
            case Addressed(kind=kind):
                return self._any((self._values["excluded", kind.value], self._involved(kind, at_once=True)))
            case CentreSupports(service=service):
                return self._and(
                    *(
                        self._any(
                            (
                                self._not(self._values["complaint_centre", kind.value]),
                                self._values["excluded", kind.value],
                                *(
                                    self._and(holds, self._takes_part(need, kind))
                                    for holds, need in services
                                    if need.service is service
                                ),
                            )
                        )
                        for kind in AgencyKind
                    )
                )
            case OfferedAtOnce(service=service):
                needing = [(holds, need) for holds, need in services if need.service is service]
                needed = self._any(holds for holds, _ in needing)
                at_once = self._any(holds for holds, need in needing if need.phase is Phase.IMMEDIATE)
                uncapped = self._any(holds for holds, need in needing if need.max_urgency is None)
                return self._any((self._not(needed), self._and(at_once, uncapped)))
            case MediationIsLocked():
                return self._any(self._deciding(lambda effect: isinstance(effect, Mediation) and effect.is_locked))
            case BasisIsNot(basis=basis):
                return self._none(self._deciding(lambda effect: effect == BasisIs(basis)))
            case UrgencyMustBe(urgency=urgency):
                return self._urgency_is(urgency.value)
            case ClockLimit(clock=clock, limit=limit, service=service):
                return self._any(
                    self._deciding(
                        lambda effect: (
                            isinstance(effect, ClockRuns)
                            and effect.clock is clock
                            and effect.service is service
                            and effect.concerns(Phase.IMMEDIATE)
                            and effect.within.working_days == effect.within.office_hours == 0
                            and effect.within.time <= limit
                        )
                    )
                )
            case SuspectElsewhere():
                return self._suspect_is_elsewhere()
            case ExcludedGetNothing():
                return self._excluded_get_nothing()
            case OneLeadForEachRight():
                return self._and(
                    *(
                        self._any(
                            (
                                self._not(holds),
                                self._any(self._chosen(need.lead, kind) for kind in (*AgencyKind, None)),
                            )
                        )
                        for holds, need in services
                    )
                )
            case EscalationReachesSomebody():
                return self._escalation_reaches_somebody()
            case Reachable():
                return self._and(
                    self._escalation_is_reachable(),
                    *(
                        self._any(
                            (self._not(self._involved(kind)), self._is_reachable(self.agreement.of_kind[kind.value]))
                        )
                        for kind in AgencyKind
                    ),
                )
            case Hidden(kind=kind, sections=sections):
                return self._none(
                    self._and(holds, self._takes_part(need, kind), opened)
                    for holds, need in services
                    for opened in self._deciding(
                        lambda effect, wanted=need.service: (
                            isinstance(effect, Disclosure)  # type: ignore[misc]
                            and effect.service is wanted
                            and bool(effect.sections & sections)
                        )
                    )
                )

    def _suspect_is_elsewhere(self) -> Formula:
        serving = [
            (self._in_force[name], clause.effect.lead)
            for name, clause in self._clauses.items()
            if isinstance(clause.effect, SuspectServedBy)
        ]
        served = self._any(
            self._and(holds, self._chosen(lead, kind)) for holds, lead in serving for kind in (*AgencyKind, None)
        )
        shared = self._any(
            self._and(holds, self._chosen(lead, kind), self._involved(kind))
            for holds, lead in serving
            for kind in AgencyKind
        )
        return self._and(served, self._not(shared))

    def _excluded_get_nothing(self) -> Formula:
        uninformed = [
            self._and(
                self._in_force[name], self._none(self._is_informed(selector, AgencyKind.HUB) for selector in codes)
            )
            for name, clause in self._clauses.items()
            if isinstance(clause.effect, EscalationLevel)
            for codes in [(*clause.effect.to, *clause.effect.also)]
            if not {ADDRESSEE, LEVEL_ABOVE} & set(codes)
        ]
        addressed = [self._and(self._values["excluded", kind.value], self._involved(kind)) for kind in AgencyKind]
        return self._none([*uninformed, *addressed])

    def _escalation_reaches_somebody(self) -> Formula:
        stuck = []
        for name, clause in self._clauses.items():
            if not isinstance(clause.effect, EscalationLevel):
                continue
            for kind in AgencyKind:
                informed = [self._is_informed(selector, kind) for selector in clause.effect.to]
                stuck.append(self._and(self._in_force[name], self._involved(kind), self._none(informed)))
        return self._none(stuck)

    def _is_informed(self, selector: str, addressee: AgencyKind) -> Formula:
        """Where an escalation informs the selector; the level above depends on the addressee only."""
        if selector == ADDRESSEE:
            return self._not(self._values["excluded", addressee.value])
        code = self.agreement.of_kind[addressee.value].above if selector == LEVEL_ABOVE else selector
        if not code:
            return z3.BoolVal(False, self._context)
        if code not in self.agreement.party_of:
            return z3.BoolVal(False, self._context)
        kind = self.agreement.excluded_with(code)
        return z3.BoolVal(True, self._context) if kind is None else self._not(self._values["excluded", kind.value])

    def _escalation_is_reachable(self) -> Formula:
        """Every party that an escalation may inform, except the addressee, can be reached."""
        absent = []
        for name, clause in self._clauses.items():
            if isinstance(clause.effect, EscalationLevel):
                codes = {*clause.effect.to, *clause.effect.also}
                if LEVEL_ABOVE in codes:
                    codes |= {party.above for party in self.agreement.parties if party.kind}
                parties = [party for party in self.agreement.parties if party.code in codes]
                absent += [self._and(self._in_force[name], self._not(self._is_reachable(party))) for party in parties]
        return self._none(absent)

    def _is_reachable(self, party: Party) -> Formula:
        return self._any(self._values["time_of_report", band.value] for band in party.open_in | party.duty_in)
