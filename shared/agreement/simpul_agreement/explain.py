"""Explains a decision: every clause with the reason why it applies or not, and the smallest changes that alter it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from simpul_agreement.engine import Assignment, Decision, Engine, Origin
from simpul_agreement.fact_phrases import describe_fact
from simpul_agreement.facts import CENTRE, EXCLUDED, FACTS, RESIDENCE, URGENCY, VIOLENCE, Fact, Situation
from simpul_agreement.implications import implications_of, normalize_situation
from simpul_agreement.languages import join_sentences, translator, with_capital
from simpul_agreement.model import Agreement, Clause, Phase, ServiceNeeded
from simpul_agreement.origins import origin_for
from simpul_agreement.phrases import (
    clause_sentence,
    describe_conditions,
    describe_duration,
    describe_effect,
    describe_implication,
    describe_party,
    describe_roles,
    describe_source,
)
from simpul_city import City


@dataclass(frozen=True, slots=True)
class Reason:
    """A clause, whether it decides, and the reason."""

    clause: Clause
    decides: bool
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """Changed facts and the effects that follow from them."""

    facts: Mapping[str, frozenset[str]]
    effects: tuple[str, ...]


class Explanation:
    """A decision with its reasons."""

    def __init__(self, agreement: Agreement, engine: Engine, situation: Situation, origin: Origin, city: City) -> None:
        self.agreement = agreement
        self.reported = situation
        self.situation = normalize_situation(situation)
        self.decision = engine.decide(situation, origin)
        self._engine = engine
        self._origin = origin
        self._city = city

    def implied_violence(self, language: str) -> list[str]:
        """Kinds of violence that the report does not name, each with the facts that imply it."""
        return [
            f"{describe_implication(implication, language)} [{describe_source(implication.source, language)}]"
            for implication in implications_of(self.reported)
            if implication.kind.value not in self.reported[VIOLENCE.name]
        ]

    def clause_reasons(self, language: str) -> Iterator[Reason]:
        """Every clause that is valid on the day, by chapter."""
        _ = translator(language)
        deciding = set(self.decision.clause_ids)
        for clause in sorted(self._engine.clauses, key=lambda c: (c.chapter, c.where.line)):
            if clause.id in deciding:
                yield Reason(clause, True, describe_conditions(clause.when, language) or _("always"))
                continue
            unmet = [c for c in clause.when if not c.admits(self._values(c.fact))]
            if unmet:
                facts = [describe_fact(c.fact, self._values(c.fact), language) for c in unmet]
                yield Reason(clause, False, join_sentences(facts, language))
            else:
                winners = [c.id for c in self.decision.effective if clause.id in c.overrides] or [
                    c.id for c in self._engine.clauses if clause.id in c.overrides and self._applies(c)
                ]
                yield Reason(clause, False, _("overridden by {clauses}").format(clauses=", ".join(winners)))

    def describe_assignments(self, language: str) -> Iterator[str]:
        """The agencies of each service, the clauses that assign them, why this agency leads, and when it is offered."""
        _ = translator(language)
        for assigned in self.decision.assignments:
            lead = assigned.lead or "-"
            passed = ", ".join(self._passed_over(assigned, language))
            because = " " + _("({parties}: not there or excluded)").format(parties=passed) if passed else ""
            support = f" + {', '.join(assigned.support)}" if assigned.support else ""
            yield f"{assigned.service.label(language)}: {lead}{support}{because} [{', '.join(assigned.clauses)}]"
            yield f"    {self._describe_terms(assigned, language)}"

    def _describe_terms(self, assigned: Assignment, language: str) -> str:
        """When a service is offered, its urgency and the time to answer."""
        terms = self.decision.terms_of(assigned.service)
        answer = self.decision.answer_of(terms)
        duration = describe_duration(answer, language) if answer else "-"
        _ = translator(language)
        return _("{phase}, urgency {urgency}, answer within {duration}").format(
            phase=terms.phase.label(language), urgency=terms.urgency.label(language).lower(), duration=duration
        )

    def describe_plan(self, language: str) -> str:
        """The time for the service plan; empty where no service is planned."""
        deadline = self.decision.plan_deadline
        is_planned = any(assigned.phase is Phase.PLANNED for assigned in self.decision.assignments)
        clause = next((c for c in self.decision.effective if c.effect is deadline), None)
        if clause is None or not is_planned:
            return ""
        return f"{with_capital(describe_effect(clause, self.agreement, language))} [{clause.id}]"

    def _passed_over(self, assigned: Assignment, language: str) -> Iterator[str]:
        """The parties that come before the lead and could not be addressed."""
        effect = self.agreement.by_id[assigned.clauses[0]].effect
        for selector in effect.lead if isinstance(effect, ServiceNeeded) else ():
            if self._origin.resolve(selector) == assigned.lead:
                return
            yield describe_party(self.agreement, selector, language)

    def describe_deadline(self, language: str) -> str:
        """The time that agencies have to answer, with the clause and its source."""
        clause = next((c for c in self.decision.effective if c.topic == ("clock", "answer")), None)
        if clause is None or self.decision.answer is None:
            return "-"
        urgency = self.decision.urgency.label(language) if self.decision.urgency else "-"
        return (
            f"{describe_duration(self.decision.answer, language)} ({urgency}) [{clause.id}; "
            f"{describe_source(clause.source, language)}]"
        )

    def smallest_changes(self, language: str, limit: int = 5) -> list[Change]:
        """The smallest changes of facts that alter the result: one fact where one suffices, else two."""
        singles = [change for fact in FACTS for change in _alternatives(fact, self.reported[fact.name])]
        for facts in (map(dict, ((change,) for change in singles)), map(dict, combinations(singles, 2))):
            found = []
            for changed in facts:
                effects = self._difference({**self.reported, **changed}, language)
                if effects:
                    found.append(Change(changed, effects))
            if found:
                # Several changes may have the same effects; one of them is enough.
                distinct = {change.effects: change for change in reversed(found)}
                return sorted(distinct.values(), key=lambda change: len(change.effects))[:limit]
        return []

    def describe_change(self, change: Change, language: str) -> str:
        """A change in plain language."""
        facts = (describe_fact(fact, values, language) for fact, values in change.facts.items())
        _ = translator(language)
        return _("if {conditions}").format(conditions=join_sentences(facts, language))

    def _difference(self, other: Situation, language: str) -> tuple[str, ...]:
        decided = self._engine.decide(other, self._origin_of(other))
        if _result(decided) == _result(self.decision):
            return ()
        before, after = set(self.decision.clause_ids), set(decided.clause_ids)
        return tuple(
            f"{sign} {with_capital(describe_effect(self.agreement.by_id[name], self.agreement, language))} [{name}]"
            for sign, names in (("+", after - before), ("-", before - after))
            for name in sorted(names)
        )

    def _origin_of(self, other: Situation) -> Origin:
        """The case's own agencies, and invented ones only for the facts that were changed."""
        assumed = origin_for(other, self._city)

        def is_changed(fact: Fact) -> bool:
            return other[fact.name] != self.situation[fact.name]

        home = assumed if is_changed(RESIDENCE) else self._origin
        return Origin(
            home.satgas,
            home.kecamatan,
            (assumed if is_changed(CENTRE) else self._origin).centre,
            (assumed if is_changed(EXCLUDED) else self._origin).excluded,
        )

    def _applies(self, clause: Clause) -> bool:
        return all(condition.admits(self._values(condition.fact)) for condition in clause.when)

    def _values(self, fact: str) -> frozenset[str]:
        if fact == URGENCY.name:
            return frozenset({self.decision.urgency.value}) if self.decision.urgency else frozenset()
        return self.situation[fact]


def _alternatives(fact: Fact, values: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """The other values that a report could have for one fact; for violence, one kind more or less."""
    for value in fact.values:
        other = values ^ {value} if fact.holds_many else frozenset({value})
        if other and other != values:
            yield fact.name, other


def _result(decision: Decision) -> tuple[object, ...]:
    return (
        decision.urgency,
        decision.answer,
        decision.mediation,
        decision.basis,
        decision.suspect_served_by,
        frozenset((a.service, a.lead, a.support, decision.terms_of(a.service)) for a in decision.assignments),
    )


def as_text(explanation: Explanation, language: str, *, all_clauses: bool) -> str:
    """The explanation as text in one language."""
    lines = [
        *_describe_result(explanation, language),
        *_describe_implied(explanation, language),
        *_describe_clauses(explanation, language, all_clauses=all_clauses),
        *_describe_changes(explanation, language),
    ]
    return "\n".join(lines)


def _describe_result(explanation: Explanation, language: str) -> Iterator[str]:
    _ = translator(language)
    decision = explanation.decision
    yield _("Agreement: {version}").format(version=explanation.agreement.version)
    yield _("Urgency: {urgency}").format(urgency=decision.urgency.label(language) if decision.urgency else "-")
    yield _("Answer within: {deadline}").format(deadline=explanation.describe_deadline(language))
    yield _describe_mediation(decision, language)
    basis = decision.basis.basis.label(language) if decision.basis else "-"
    yield _("Basis of disclosure: {basis}").format(basis=basis)
    yield ""
    yield _("Referrals:")
    yield from (f"  {line}" for line in explanation.describe_assignments(language))
    if plan := explanation.describe_plan(language):
        yield f"  {plan}"


def _describe_mediation(decision: Decision, language: str) -> str:
    _ = translator(language)
    if decision.mediation is None or decision.mediation.is_locked:
        return _("Mediation: forbidden")
    roles = describe_roles(decision.mediation.opened_by, language)
    return _("Mediation: only {roles} may open it").format(roles=roles)


def _describe_implied(explanation: Explanation, language: str) -> Iterator[str]:
    _ = translator(language)
    lines = explanation.implied_violence(language)
    if lines:
        yield ""
        yield _("Implied by other facts:")
        yield from (f"  {line}" for line in lines)


def _describe_clauses(explanation: Explanation, language: str, *, all_clauses: bool) -> Iterator[str]:
    _ = translator(language)
    reasons = list(explanation.clause_reasons(language))
    deciding = [reason for reason in reasons if reason.decides]
    yield ""
    yield _("Clauses that decide:")
    for reason in deciding:
        if reason.clause.when or all_clauses:
            yield f"  {reason.clause.id}: {clause_sentence(reason.clause, explanation.agreement, language)}"
            yield f"      {describe_source(reason.clause.source, language)}"
    if not all_clauses:
        always = ", ".join(reason.clause.id for reason in deciding if not reason.clause.when)
        yield "  " + _("always: {clauses}").format(clauses=always)
    others = [reason for reason in reasons if not reason.decides]
    yield ""
    yield _("Clauses that do not decide: {count}").format(count=len(others))
    for reason in others if all_clauses else ():
        yield "  " + _("{clause}: not, because {reason}").format(clause=reason.clause.id, reason=reason.why)


def _describe_changes(explanation: Explanation, language: str) -> Iterator[str]:
    _ = translator(language)
    yield ""
    yield _("The smallest changes that alter the result:")
    for change in explanation.smallest_changes(language):
        yield f"  {explanation.describe_change(change, language)}"
        yield from (f"      {effect}" for effect in change.effects)
