"""What changes between two versions: which situations, which past referrals, whose work."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from simpul_agreement.engine import Decision, Engine, Origin
from simpul_agreement.facts import Situation
from simpul_agreement.model import Agreement, Clause, Condition, Effect, Party, Topic, Words
from simpul_agreement.phrases import condition_words, effect_words, source_words
from simpul_agreement.properties import QUESTION_WORDS
from simpul_agreement.provers.bitset import BitsetProver
from simpul_agreement.provers.layout import Layout, View
from simpul_agreement.reports import Report

MOST_SENTENCES: Final = 40
"""Sentences on one question; a change that needs more is easier read in the two documents."""
_NOBODY: Final = {"id": "tidak diatur", "en": "not provided for"}


@dataclass(frozen=True, slots=True)
class Changed:
    """Situations in which one question is answered otherwise."""

    topic: Topic
    situations: int
    before: str
    after: str
    where: str


class Comparison:
    """Two versions, each as it is on the day it becomes active."""

    def __init__(self, old: Agreement, new: Agreement, language: str) -> None:
        self._old = BitsetProver(old, old.active_from.date())
        self._new = BitsetProver(new, new.active_from.date())
        self._engines = Engine(old, old.active_from.date()), Engine(new, new.active_from.date())
        self._language = language

    def changes(self) -> Iterator[Changed]:
        """Every question that some situation answers otherwise, in the fewest sentences that say where."""
        topics = dict.fromkeys(clause.topic for prover in (self._old, self._new) for clause in prover.clauses)
        for topic in topics:
            old, new = self._saying(self._old, topic), self._saying(self._new, topic)
            facts = self._old.facts_read(old) | self._new.facts_read(new)
            views = View(self._old, facts), View(self._new, facts)
            before, after = _answers(views[0], old), _answers(views[1], new)
            layout = views[0].layout
            for effect, where in before.items():
                for other, there in after.items():
                    changed = where & there
                    if effect != other and changed:
                        yield Changed(
                            topic, layout.count(changed), self._words(effect, self._old.agreement, old),
                            self._words(other, self._new.agreement, new), self._where(layout, changed),
                        )  # fmt: skip

    def beside(self) -> Iterator[str]:
        """What changes beside the clauses' effects: parties, hours, holidays, sources."""
        old, new = self._old.agreement, self._new.agreement
        for code in dict.fromkeys((*old.party_of, *new.party_of)):
            before, after = old.party_of.get(code), new.party_of.get(code)
            if before is None or after is None:
                yield f"{code}: {'+' if before is None else '-'}"
                continue
            for field in fields(Party):
                values = getattr(before, field.name), getattr(after, field.name)
                if field.name != "where" and values[0] != values[1]:
                    yield f"{code}, {field.name}: {_shown(values[0])} -> {_shown(values[1])}"
        if old.hours != new.hours:
            yield f"bands: {len([m for m in old.hours if old.hours[m] is not new.hours.get(m)])} min"
        if old.holidays != new.holidays:
            yield f"holidays: {', '.join(map(str, sorted(old.holidays ^ new.holidays)))}"
        for name in old.by_id.keys() & new.by_id.keys():
            one, other = old.by_id[name].source, new.by_id[name].source
            if one != other:
                yield f"{name}: {source_words(one, self._language)} -> {source_words(other, self._language)}"

    def referrals(self, situations: Sequence[tuple[str, Situation, Origin]]) -> Iterator[tuple[str, list[str]]]:
        """Titled situations whose referrals, urgency or protection would differ, with what differs."""
        for title, situation, origin in situations:
            before, after = (engine.decide(situation, origin) for engine in self._engines)
            differences = list(_differences(before, after))
            if differences:
                yield title, differences

    def work(self, reports: Sequence[Report]) -> Mapping[str, tuple[int, int]]:
        """Referrals of each agency whose number changes, before and after."""
        counts: list[Counter[str]] = []
        for engine in self._engines:
            decisions = (engine.decide(*self._seen(report, engine)) for report in reports)
            counts.append(Counter(
                agency for decision in decisions for assigned in decision.assignments
                for agency in (assigned.lead, *assigned.support)
            ))  # fmt: skip
        before, after = counts
        return {
            agency: (before[agency], after[agency])
            for agency in sorted(before | after) if before[agency] != after[agency]
        }  # fmt: skip

    def _seen(self, report: Report, engine: Engine) -> tuple[Situation, Origin]:
        return report.situation(self._old.agreement if engine is self._engines[0] else self._new.agreement)

    @staticmethod
    def _saying(prover: BitsetProver, topic: Topic) -> list[Clause]:
        return [clause for clause in prover.clauses if clause.topic == topic]

    def _words(self, effect: Effect | None, agreement: Agreement, clauses: Sequence[Clause]) -> str:
        if effect is None:
            return _NOBODY[self._language]
        clause = next(clause for clause in clauses if clause.effect == effect)
        return effect_words(clause, agreement, self._language)

    def _where(self, layout: Layout, mask: int) -> str:
        always = "selalu" if self._language == "id" else "always"
        either = " ATAU " if self._language == "id" else " OR "
        cubes = cover(layout, mask)
        shown = ["; ".join(condition_words(c, self._language) for c in cube) or always for cube in cubes]
        more = len(shown) - MOST_SENTENCES
        rest = [f"... ({more})"] if more > 0 else []
        return either.join([*shown[:MOST_SENTENCES], *rest])


def _answers(view: View, clauses: Sequence[Clause]) -> dict[Effect | None, int]:
    found: dict[Effect | None, int] = {}
    for clause in clauses:
        found[clause.effect] = found.get(clause.effect, 0) | view.effective(clause)
    said = 0
    for mask in found.values():
        said |= mask
    if view.everything & ~said:
        found[None] = view.everything & ~said
    return found


def cover(layout: Layout, target: int) -> list[tuple[Condition, ...]]:
    """Conjunctions that together are exactly the target: each is widened as far as it goes before the next begins."""
    left, cubes = target, []
    while left:
        cube = _widened(layout, layout.situation(left), target)
        mask = layout.everything
        for condition in cube:
            mask &= layout.holding(condition)
        left &= ~mask
        cubes.append(cube)
    return cubes


def _widened(layout: Layout, situation: Mapping[str, frozenset[str]], target: int) -> tuple[Condition, ...]:
    cube: list[Condition] = []
    for fact in layout.facts:
        values = situation[fact.name]
        if fact.holds_many:
            cube += [
                Condition(fact.name, any_of=frozenset({value})) if value in values
                else Condition(fact.name, none_of=frozenset({value})) for value in fact.values
            ]  # fmt: skip
        else:
            cube.append(Condition(fact.name, values))
    masks = [layout.holding(condition) for condition in cube]
    kept = list(range(len(cube)))

    def fits(places: Sequence[int], instead: tuple[int, int] | None = None) -> bool:
        mask = layout.everything
        for place in places:
            mask &= instead[1] if instead and instead[0] == place else masks[place]
        return not mask & ~target

    for place in range(len(cube)):
        fewer = [other for other in kept if other != place]
        if fits(fewer):
            kept = fewer
    for place in kept:
        fact = next(fact for fact in layout.facts if fact.name == cube[place].fact)
        for value in fact.values if not fact.holds_many else ():
            wider = Condition(fact.name, cube[place].any_of | {value})
            mask = layout.holding(wider)
            if fits(kept, (place, mask)):
                cube[place], masks[place] = wider, mask
    return tuple(_joined([cube[place] for place in kept]))


def _joined(conditions: Sequence[Condition]) -> Iterator[Condition]:
    """Kinds of violence that must all be absent read better as one condition."""
    absent = [condition for condition in conditions if condition.none_of]
    yield from (condition for condition in conditions if not condition.none_of)
    if absent:
        yield Condition(absent[0].fact, none_of=frozenset().union(*(condition.none_of for condition in absent)))


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "-"
    return value.id if isinstance(value, Words) else str(value)


def _differences(before: Decision, after: Decision) -> Iterator[str]:
    if before.urgency is not after.urgency:
        yield f"{QUESTION_WORDS['urgency'].en}: {before.urgency} -> {after.urgency}"
    if before.answer != after.answer:
        yield "the time to answer"
    if before.mediation_is_locked is not after.mediation_is_locked:
        yield "mediation"
    if before.basis != after.basis:
        yield "the basis of disclosure"
    old = {assigned.service: (assigned.lead, *assigned.support) for assigned in before.assignments}
    new = {assigned.service: (assigned.lead, *assigned.support) for assigned in after.assignments}
    for service in dict.fromkeys((*old, *new)):
        if old.get(service) != new.get(service):
            yield f"{service}: {', '.join(old.get(service, ('-',)))} -> {', '.join(new.get(service, ('-',)))}"
