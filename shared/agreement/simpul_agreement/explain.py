"""Explains a decision: every clause with the reason why it applies or not, and the smallest changes that alter it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from simpul_agreement.engine import Decision, Engine, Origin
from simpul_agreement.facts import CENTRE, EXCLUDED, FACTS, RESIDENCE, URGENCY, VIOLENCE, Fact, Situation
from simpul_agreement.implications import implications_of, normalize_situation
from simpul_agreement.model import Agreement, Clause, ServiceNeeded
from simpul_agreement.origins import origin_for
from simpul_agreement.phrases import (
    FACT_LABELS,
    clause_sentence,
    describe_condition,
    describe_duration,
    describe_effect,
    describe_implication,
    describe_party,
    describe_source,
    describe_value,
)
from simpul_city import City
from simpul_schema.vocabulary import Term


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
            describe_implication(
                implication,
                "; ".join(self._describe_fact(condition.fact, language) for condition in implication.when),
                language,
            )
            for implication in implications_of(self.reported)
            if implication.kind.value not in self.reported[VIOLENCE.name]
        ]

    def clause_reasons(self, language: str) -> Iterator[Reason]:
        """Every clause that is valid on the day, by chapter."""
        deciding = set(self.decision.clause_ids)
        for clause in sorted(self._engine.clauses, key=lambda c: (c.chapter, c.where.line)):
            if clause.id in deciding:
                shown = [describe_condition(condition, language) for condition in clause.when]
                yield Reason(clause, True, "; ".join(shown) or ("selalu" if language == "id" else "always"))
                continue
            unmet = [c for c in clause.when if not c.admits(self._values(c.fact))]
            if unmet:
                yield Reason(clause, False, "; ".join(self._describe_fact(c.fact, language) for c in unmet))
            else:
                winners = [c.id for c in self.decision.effective if clause.id in c.overrides] or [
                    c.id for c in self._engine.clauses if clause.id in c.overrides and self._applies(c)
                ]
                over = "dikalahkan oleh" if language == "id" else "overridden by"
                yield Reason(clause, False, f"{over} {', '.join(winners)}")

    def describe_assignments(self, language: str) -> Iterator[str]:
        """The agencies of each service, the clauses that assign them, and why this agency leads."""
        for assigned in self.decision.assignments:
            clause = self.agreement.by_id[assigned.clauses[0]]
            effect = clause.effect
            lead = assigned.lead or "-"
            passed = []
            if isinstance(effect, ServiceNeeded):
                for selector in effect.lead:
                    if self._origin.resolve(selector) == assigned.lead:
                        break
                    passed.append(describe_party(self.agreement, selector, language))
            not_able = "tidak dapat atau dikecualikan" if language == "id" else "not there or excluded"
            because = f" ({', '.join(passed)}: {not_able})" if passed else ""
            support = f" + {', '.join(assigned.support)}" if assigned.support else ""
            yield f"{assigned.service.label(language)}: {lead}{support}{because} [{', '.join(assigned.clauses)}]"

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
        return "; ".join(
            f"{FACT_LABELS[fact].in_language(language)}: "
            + ", ".join(describe_value(fact, value, language) for value in sorted(values))
            for fact, values in change.facts.items()
        )

    def _difference(self, other: Situation, language: str) -> tuple[str, ...]:
        decided = self._engine.decide(other, self._origin_of(other))
        if _result(decided) == _result(self.decision):
            return ()
        before, after = set(self.decision.clause_ids), set(decided.clause_ids)
        return tuple(
            f"{sign} {describe_effect(self.agreement.by_id[name], self.agreement, language)} [{name}]"
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
            home.satgas, home.kecamatan, (assumed if is_changed(CENTRE) else self._origin).centre,
            (assumed if is_changed(EXCLUDED) else self._origin).excluded,
        )  # fmt: skip

    def _applies(self, clause: Clause) -> bool:
        return all(condition.admits(self._values(condition.fact)) for condition in clause.when)

    def _values(self, fact: str) -> frozenset[str]:
        if fact == URGENCY.name:
            return frozenset({self.decision.urgency.value}) if self.decision.urgency else frozenset()
        return self.situation[fact]

    def _describe_fact(self, fact: str, language: str) -> str:
        shown = ", ".join(describe_value(fact, value, language) for value in sorted(self._values(fact)))
        return f"{FACT_LABELS[fact].in_language(language)} = {shown}"


def _alternatives(fact: Fact, values: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """The other values that a report could have for one fact; for violence, one kind more or less."""
    for value in fact.values:
        other = values ^ {value} if fact.holds_many else frozenset({value})
        if other and other != values:
            yield fact.name, other


def _result(decision: Decision) -> tuple[object, ...]:
    return (
        decision.urgency, decision.answer, decision.mediation_is_locked, decision.basis, decision.suspect_served_by,
        frozenset((a.service, a.lead, a.support) for a in decision.assignments),
    )  # fmt: skip


def as_text(explanation: Explanation, language: str, *, all_clauses: bool) -> str:
    """The explanation as text in one language."""
    indonesian = language == "id"
    decision, agreement = explanation.decision, explanation.agreement

    def label(term: Term | None) -> str:
        return term.label(language) if term else "-"

    lines = [
        f"{'Kesepakatan' if indonesian else 'Agreement'}: {agreement.version}",
        f"{'Kegentingan' if indonesian else 'Urgency'}: {label(decision.urgency)}",
        f"{'Jawaban paling lambat' if indonesian else 'Answer within'}: {explanation.describe_deadline(language)}",
        f"{'Mediasi dilarang' if indonesian else 'Mediation locked'}: {_yes(decision.mediation_is_locked, language)}",
        f"{'Dasar' if indonesian else 'Basis'}: {label(decision.basis.basis if decision.basis else None)}",
        *_implied(explanation, language),
        "",
        "Rujukan:" if indonesian else "Referrals:",
        *(f"  {line}" for line in explanation.describe_assignments(language)),
        "",
        "Ketentuan yang berlaku:" if indonesian else "Clauses that decide:",
    ]
    reasons = list(explanation.clause_reasons(language))
    deciding = [r for r in reasons if r.decides]
    for reason in (r for r in deciding if r.clause.when or all_clauses):
        lines += [
            f"  {reason.clause.id}: {clause_sentence(reason.clause, agreement, language)}",
            f"      {describe_source(reason.clause.source, language)}",
        ]
    if not all_clauses:
        always = "selalu berlaku" if indonesian else "always"
        lines.append(f"  {always}: {', '.join(r.clause.id for r in deciding if not r.clause.when)}")
    others = [r for r in reasons if not r.decides]
    lines += ["", f"{'Ketentuan yang tidak berlaku' if indonesian else 'Clauses that do not'}: {len(others)}"]
    if all_clauses:
        not_since = "tidak, karena" if indonesian else "not, because"
        lines += [f"  {reason.clause.id}: {not_since} {reason.why}" for reason in others]
    lines += [
        "",
        "Perubahan terkecil yang mengubah hasil:" if indonesian else "The smallest changes that alter the result:",
    ]
    for change in explanation.smallest_changes(language):
        lines += [
            f"  {explanation.describe_change(change, language)}",
            *(f"      {effect}" for effect in change.effects),
        ]
    return "\n".join(lines)


def _implied(explanation: Explanation, language: str) -> list[str]:
    heading = "Disimpulkan dari fakta lain:" if language == "id" else "Implied by other facts:"
    lines = explanation.implied_violence(language)
    return ["", heading, *(f"  {line}" for line in lines)] if lines else []


def _yes(value: bool, language: str) -> str:
    return ("ya" if value else "tidak") if language == "id" else ("yes" if value else "no")
