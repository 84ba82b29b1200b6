"""Prover 1: every situation is one bit of an integer, and a question is a few operations on such integers.

A question is laid out over the facts that its clauses read. A fact that none of them reads cannot change the answer and
is left out; nothing is sampled and nothing is skipped.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import combinations
from typing import Final

from simpul_agreement.facts import (
    CENTRE,
    EXCLUDED,
    NOTHING_KNOWN,
    RESIDENCE,
    TIME,
    URGENCY,
    AgencyKind,
    Situation,
)
from simpul_agreement.model import (
    ADDRESSEE,
    COMPLAINT_CENTRE,
    LEVEL_ABOVE,
    Agreement,
    BasisIs,
    Clause,
    ClockName,
    ClockRuns,
    Condition,
    Disclosure,
    EscalationLevel,
    Mediation,
    Party,
    Phase,
    ServiceNeeded,
    SuspectServedBy,
    UrgencyIs,
    answer_of,
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
    Property,
    Reachable,
    ServiceRequired,
    SuspectElsewhere,
    UrgencyMustBe,
)
from simpul_agreement.provers.layout import Layout, View
from simpul_agreement.provers.questions import (
    Answers,
    Broken,
    Dead,
    Gap,
    Overlap,
    Question,
    RightGap,
    RightOverlap,
    TooWide,
    clauses_for,
    clauses_on,
    needs,
    questions_on,
    waives,
)
from simpul_schema.vocabulary import Right, Service, Urgency

_ADDRESSING: Final = frozenset({EXCLUDED.name, RESIDENCE.name, CENTRE.name})


class BitsetProver:
    """Answers every question about the clauses that are valid on one day."""

    name = "bitset"

    def __init__(self, agreement: Agreement, day: date) -> None:
        self.agreement = agreement
        self._day = day
        self.clauses = clauses_on(agreement, day)
        self.urgency = [clause for clause in self.clauses if isinstance(clause.effect, UrgencyIs)]
        self.over: Mapping[str, list[Clause]] = {
            clause.id: [other for other in self.clauses if clause.id in other.overrides] for clause in self.clauses
        }
        self._services = [clause for clause in self.clauses if isinstance(clause.effect, ServiceNeeded)]
        self._views: dict[tuple[frozenset[str], Urgency | None], View] = {}

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
                return self._gap(clauses_for(self.clauses, topic, group), group.urgency if group else None)
            case RightGap(right=right):
                return self._gap([clause for clause in self.clauses if needs(clause, right) or waives(clause, right)])
            case Overlap(topic=topic, group=group):
                return self.find_conflict(
                    combinations(clauses_for(self.clauses, topic, group), 2), group.urgency if group else None
                )
            case RightOverlap(right=right):
                needing = [clause for clause in self.clauses if needs(clause, right)]
                waiving = [clause for clause in self.clauses if waives(clause, right)]
                return self.find_conflict((one, other) for one in needing for other in waiving)
            case Dead(clause=name):
                clause = self.agreement.by_id[name]
                return None if self.view(clause).effective(clause) else NOTHING_KNOWN
            case Broken(property=wanted):
                return next((s for demand in wanted.must for s in self._violations(wanted, demand)), None)

    def view(self, *clauses: Clause, facts: Iterable[str] = (), urgency: Urgency | None = None) -> View:
        """A view over every fact that these clauses read; of a service with an urgency of its own when one is given."""
        read = frozenset(self.facts_read(clauses) | set(facts))
        key = read, urgency
        if key not in self._views:
            self._views[key] = View(self, read, urgency)
        return self._views[key]

    def facts_read(self, clauses: Iterable[Clause]) -> set[str]:
        """The facts that determine whether these clauses decide."""
        found: set[str] = set()
        for clause in clauses:
            for reader in (clause, *self.over[clause.id]):
                found |= {condition.fact for condition in reader.when}
        if URGENCY.name in found:
            found |= self.facts_read(self.urgency)
        return found - {URGENCY.name}

    def _clauses_on(self, topic: tuple[str, str]) -> list[Clause]:
        return [clause for clause in self.clauses if clause.topic == topic]

    def _gap(self, clauses: Sequence[Clause], urgency: Urgency | None = None) -> Situation | None:
        view, possible = self._view_of(clauses, urgency)
        return _witness(view, possible & ~view.any_effective(clauses))

    def find_conflict(self, pairs: Iterable[tuple[Clause, Clause]], urgency: Urgency | None = None) -> Situation | None:
        """A situation in which both clauses of a pair decide, with different answers.

        With `urgency` they decide about a service that has at most this urgency.
        """
        for one, other in pairs:
            if answer_of(one.effect) != answer_of(other.effect):
                view, possible = self._view_of((one, other), urgency)
                found = _witness(view, possible & view.effective(one) & view.effective(other))
                if found:
                    return found
        return None

    def _view_of(self, clauses: Sequence[Clause], urgency: Urgency | None) -> tuple[View, int]:
        """The view of a service with an urgency, and the situations in which the case is at least as urgent."""
        if urgency is None:
            view = self.view(*clauses)
            return view, view.everything
        higher = [c for c in self.urgency if isinstance(c.effect, UrgencyIs) and c.effect.urgency in _from(urgency)]
        facts = self.facts_read((*clauses, *self.urgency))
        case = self.view(facts=facts)
        return self.view(facts=facts, urgency=urgency), case.any_effective(higher)

    def _violations(self, wanted: Property, demand: Demand) -> Iterator[Situation]:
        given = {condition.fact for condition in wanted.when}
        for clauses, facts, violation in self._cases(demand):
            view = self.view(*clauses, facts=given | facts)
            found = _witness(view, view.holding(wanted.when) & violation(view))
            if found:
                yield found

    def _cases(  # noqa: C901, PLR0912 - one short branch for each demand
        self, demand: Demand
    ) -> Iterator[tuple[Sequence[Clause], set[str], Callable[[View], int]]]:
        """The clauses and facts that a demand depends on, and a function for the situations that violate it."""
        # Here and below, a lambda in a loop keeps the loop variable as a default argument. mypy cannot infer the type
        # of such a lambda, hence the ignores.
        everywhere = set(_ADDRESSING)
        match demand:
            case ServiceRequired(service=service):
                clauses = self._serving(service)
                yield clauses, everywhere, lambda view: view.everything & ~_led(view, clauses)
            case Leads(service=service, kind=kind):
                clauses = self._serving(service)
                yield clauses, everywhere, lambda view: ~view.excluded(kind) & ~_led(view, clauses, kind)
            case CentreSupports(service=service):
                clauses = self._serving(service)
                for centre in AgencyKind:
                    yield (
                        clauses,
                        everywhere,
                        lambda view, k=centre: (  # type: ignore[misc]
                            view.centre(k) & ~view.excluded(k) & ~_addressed(view, clauses, k)
                        ),
                    )
            case Addressed(kind=kind):
                yield from self._never_addressed(kind)
            case OfferedAtOnce(service=service):
                clauses = self._serving(service)
                at_once = [c for c in clauses if _need(c).phase is Phase.IMMEDIATE]
                uncapped = [c for c in clauses if _need(c).max_urgency is None]
                yield (
                    clauses,
                    set(),
                    lambda view: (
                        view.any_effective(clauses) & ~(view.any_effective(at_once) & view.any_effective(uncapped))
                    ),
                )
            case MediationIsLocked():
                clauses = [c for c in self.clauses if isinstance(c.effect, Mediation) and c.effect.is_locked]
                yield clauses, set(), lambda view: view.everything & ~view.any_effective(clauses)
            case BasisIsNot(basis=basis):
                for clause in self.clauses:
                    if isinstance(clause.effect, BasisIs) and clause.effect.basis is basis:
                        yield [clause], set(), lambda view, c=clause: view.effective(c)  # type: ignore[misc]
            case UrgencyMustBe(urgency=urgency):
                clauses = [c for c in self.urgency if c.effect == UrgencyIs(urgency)]
                yield clauses, set(), lambda view: view.everything & ~view.any_effective(clauses)
            case ClockLimit():
                clauses = [c for c in self.clauses if _meets_limit(c, demand)]
                yield clauses, set(), lambda view: view.everything & ~view.any_effective(clauses)
            case SuspectElsewhere():
                yield from self._suspect()
            case ExcludedGetNothing():
                yield from self._excluded()
            case OneLeadForEachRight():
                for right in Right:
                    for clause in self.clauses:
                        if needs(clause, right):
                            yield (
                                [clause],
                                everywhere,
                                lambda view, c=clause: (  # type: ignore[misc]
                                    view.effective(c) & ~_led(view, [c])
                                ),
                            )
            case EscalationReachesSomebody():
                yield from self._unanswered_escalations()
            case Reachable():
                for clause in self._services:
                    for kind in AgencyKind:
                        yield (
                            [clause],
                            everywhere | {TIME.name},
                            lambda view, c=clause, k=kind: (  # type: ignore[misc]
                                _addressed(view, [c], k) & ~self._reachable(view, self.agreement.of_kind[k.value])
                            ),
                        )
                for level, party in self._escalation_targets():
                    yield (
                        [level],
                        {TIME.name},
                        lambda view, e=level, p=party: (  # type: ignore[misc]
                            view.effective(e) & ~self._reachable(view, p)
                        ),
                    )
            case Hidden(kind=kind, sections=sections):
                for clause in self._services:
                    for opening in self._clauses_on(("disclosure", _need(clause).service.value)):
                        if isinstance(opening.effect, Disclosure) and opening.effect.sections & sections:
                            yield (
                                [clause, opening],
                                everywhere,
                                lambda view, c=clause, o=opening: (  # type: ignore[misc]
                                    _addressed(view, [c], kind) & view.effective(o)
                                ),
                            )

    def _serving(self, service: Service) -> list[Clause]:
        return self._clauses_on(("service", service.value))

    def _never_addressed(self, kind: AgencyKind) -> Iterator[tuple[Sequence[Clause], set[str], Callable[[View], int]]]:
        """Adds clauses that read few facts first, and stops as soon as they address the kind in every situation."""
        at_once = (clause for clause in self._services if _need(clause).phase is Phase.IMMEDIATE)
        able = sorted(at_once, key=lambda clause: len(self.facts_read([clause])))
        reaching = [c for c in able if kind in _kinds(self.agreement, _need(c))]
        for count in range(1, len(reaching) + 1):
            clauses = reaching[:count]
            view = self.view(*clauses, facts=_ADDRESSING)
            if not view.everything & ~view.excluded(kind) & ~_addressed(view, clauses, kind) or count == len(reaching):
                break
            try:
                Layout(self.facts_read(reaching[: count + 1]) | _ADDRESSING)
            except TooWide:
                break
        else:
            clauses = []
        yield clauses, set(_ADDRESSING), lambda view: ~view.excluded(kind) & ~_addressed(view, clauses, kind)

    def _suspect(self) -> Iterator[tuple[Sequence[Clause], set[str], Callable[[View], int]]]:
        serving = [clause for clause in self.clauses if isinstance(clause.effect, SuspectServedBy)]
        yield serving, set(_ADDRESSING), lambda view: view.everything & ~_served(view, serving)
        for clause in self._services:
            for suspect in serving:
                effect = suspect.effect
                assert isinstance(effect, SuspectServedBy)  # noqa: S101 - chosen so above
                for kind in AgencyKind:
                    yield (
                        [clause, suspect],
                        set(_ADDRESSING),
                        lambda view, c=clause, s=suspect, e=effect, k=kind: (  # type: ignore[misc]
                            _addressed(view, [c], k) & view.effective(s) & view.first(e.lead).get(k, 0)
                        ),
                    )

    def _excluded(self) -> Iterator[tuple[Sequence[Clause], set[str], Callable[[View], int]]]:
        for clause in self._services:
            for kind in AgencyKind:
                yield (
                    [clause],
                    set(_ADDRESSING),
                    lambda view, c=clause, k=kind: (  # type: ignore[misc]
                        _addressed(view, [c], k) & view.excluded(k)
                    ),
                )
        for level in (clause for clause in self.clauses if isinstance(clause.effect, EscalationLevel)):
            effect = level.effect
            assert isinstance(effect, EscalationLevel)  # noqa: S101 - chosen so above
            everybody = (*effect.to, *effect.also)
            yield (
                [level],
                set(_ADDRESSING),
                lambda view, c=level, codes=everybody: (  # type: ignore[misc]
                    view.effective(c) & ~self._any_not_excluded(view, codes)
                ),
            )

    def _unanswered_escalations(self) -> Iterator[tuple[Sequence[Clause], set[str], Callable[[View], int]]]:
        """Where every party that a level could inform is excluded; an excluded party passes to the next in the list."""
        levels = [clause for clause in self.clauses if isinstance(clause.effect, EscalationLevel)]
        for clause in self._services:
            for level in levels:
                effect = level.effect
                assert isinstance(effect, EscalationLevel)  # noqa: S101 - chosen so above
                for kind in AgencyKind:
                    yield (
                        [clause, level],
                        set(_ADDRESSING),
                        lambda view, c=clause, r=level, e=effect, k=kind: (  # type: ignore[misc]
                            _addressed(view, [c], k) & view.effective(r) & ~self._informed(view, e, k)
                        ),
                    )

    def _informed(self, view: View, level: EscalationLevel, addressee: AgencyKind) -> int:
        mask = 0
        for selector in level.to:
            if selector == ADDRESSEE:
                # It has the referral, so it is not excluded.
                return view.everything
            code = self.agreement.of_kind[addressee.value].above if selector == LEVEL_ABOVE else selector
            if code in self.agreement.party_of:
                mask |= view.not_excluded(code)
        return mask

    def _any_not_excluded(self, view: View, codes: Iterable[str]) -> int:
        """Where at least one of them is not excluded."""
        mask = 0
        for code in codes:
            if code in (ADDRESSEE, LEVEL_ABOVE):
                return view.everything
            mask |= view.not_excluded(code)
        return mask

    def _escalation_targets(self) -> Iterator[tuple[Clause, Party]]:
        """Each escalation level with every party that it may inform, except the addressee."""
        for level in (clause for clause in self.clauses if isinstance(clause.effect, EscalationLevel)):
            effect = level.effect
            assert isinstance(effect, EscalationLevel)  # noqa: S101 - chosen so above
            above = [party.above for party in self.agreement.parties if party.kind and party.above]
            codes = above if LEVEL_ABOVE in effect.to else []
            for code in dict.fromkeys((*codes, *effect.to, *effect.also)):
                if code in self.agreement.party_of:
                    yield level, self.agreement.party_of[code]

    @staticmethod
    def _reachable(view: View, party: Party) -> int:
        """Where the party's office is open or its duty contact can be reached."""
        bands = frozenset(band.value for band in party.open_in | party.duty_in)
        return view.layout.holding(Condition(TIME.name, bands)) if bands else 0


def _from(urgency: Urgency) -> Sequence[Urgency]:
    """The urgencies from the highest down to this one."""
    return list(Urgency)[: list(Urgency).index(urgency) + 1]


def _witness(view: View, mask: int) -> Situation | None:
    mask &= view.everything
    return view.layout.situation(mask) if mask else None


def _served(view: View, serving: Iterable[Clause]) -> int:
    """Where a party serves the suspect."""
    mask = 0
    for clause in serving:
        assert isinstance(clause.effect, SuspectServedBy)  # noqa: S101 - chosen so by the caller
        for where in view.first(clause.effect.lead).values():
            mask |= view.effective(clause) & where
    return mask


def _need(clause: Clause) -> ServiceNeeded:
    assert isinstance(clause.effect, ServiceNeeded)  # noqa: S101 - the caller passes service clauses only
    return clause.effect


def _led(view: View, clauses: Iterable[Clause], kind: AgencyKind | None = None) -> int:
    """Where one of the clauses gives a lead, of the kind when one is named."""
    mask = 0
    for clause in clauses:
        for led_by, where in view.first(_need(clause).lead).items():
            if kind is None or led_by is kind:
                mask |= view.effective(clause) & where
    return mask


def _addressed(view: View, clauses: Iterable[Clause], kind: AgencyKind) -> int:
    """Where one of the clauses makes a party of the kind lead or support."""
    mask = 0
    for clause in clauses:
        mask |= view.effective(clause) & view.addressed(_need(clause)).get(kind, 0)
    return mask


def _kinds(agreement: Agreement, need: ServiceNeeded) -> set[AgencyKind]:
    selectors = {*need.lead, *need.support}
    if COMPLAINT_CENTRE in selectors:
        return set(AgencyKind)
    parties = (agreement.party_of.get(selector) for selector in selectors)
    return {party.kind for party in parties if party and party.kind}


def _meets_limit(clause: Clause, demand: ClockLimit) -> bool:
    match clause.effect:
        case ClockRuns(clock=ClockName() as clock, service=service, within=within) as effect:
            return (
                clock is demand.clock
                and service is demand.service
                and effect.concerns(Phase.IMMEDIATE)
                and not (within.working_days or within.office_hours)
                and within.time <= demand.limit
            )
        case _:
            return False
