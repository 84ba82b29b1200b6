"""Compares two versions: which situations they decide differently, which referrals differ, whose workload changes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from simpul_agreement.engine import Decision, Engine, Origin
from simpul_agreement.facts import Situation
from simpul_agreement.model import Agreement, BilingualText, Clause, Condition, Effect, Party, Topic
from simpul_agreement.phrases import describe_condition, describe_effect, describe_source
from simpul_agreement.properties import QUESTION_LABELS
from simpul_agreement.provers.bitset import BitsetProver
from simpul_agreement.provers.layout import Layout, View
from simpul_agreement.reports import Report

MAX_SENTENCES: Final = 40
"""Sentences per question; a larger change is easier to read in the two documents."""
_NOBODY: Final = {"id": "tidak diatur", "en": "not provided for"}


@dataclass(frozen=True, slots=True)
class ChangedAnswer:
    """Situations in which two versions answer one question differently."""

    topic: Topic
    situations: int
    before: str
    after: str
    where: str


class Comparison:
    """Two versions, each on the day on which it becomes active."""

    def __init__(self, old: Agreement, new: Agreement, language: str) -> None:
        self._old = BitsetProver(old, old.active_from.date())
        self._new = BitsetProver(new, new.active_from.date())
        self._engines = Engine(old, old.active_from.date()), Engine(new, new.active_from.date())
        self._language = language

    def changed_answers(self) -> Iterator[ChangedAnswer]:
        """Every question whose answer differs in some situation, grouped into the fewest sentences."""
        topics = dict.fromkeys(clause.topic for prover in (self._old, self._new) for clause in prover.clauses)
        for topic in topics:
            old, new = self._clauses_on(self._old, topic), self._clauses_on(self._new, topic)
            facts = self._old.facts_read(old) | self._new.facts_read(new)
            views = View(self._old, facts), View(self._new, facts)
            before, after = _answers(views[0], old), _answers(views[1], new)
            layout = views[0].layout
            for effect, where in before.items():
                for other, there in after.items():
                    changed = where & there
                    if effect != other and changed:
                        yield ChangedAnswer(
                            topic, layout.count(changed), self._describe(effect, self._old.agreement, old),
                            self._describe(other, self._new.agreement, new), self._where(layout, changed),
                        )  # fmt: skip

    def other_changes(self) -> Iterator[str]:
        """Changes outside the clauses' effects: parties, hours, holidays, sources."""
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
                yield f"{name}: {describe_source(one, self._language)} -> {describe_source(other, self._language)}"

    def changed_referrals(self, situations: Sequence[tuple[str, Situation, Origin]]) -> Iterator[tuple[str, list[str]]]:
        """The situations whose referrals, urgency or protection differ, each with its title and the differences."""
        for title, situation, origin in situations:
            before, after = (engine.decide(situation, origin) for engine in self._engines)
            differences = list(_differences(before, after))
            if differences:
                yield title, differences

    def changed_workloads(self, reports: Sequence[Report]) -> Mapping[str, tuple[int, int]]:
        """Agencies whose number of referrals changes, with the number before and after."""
        counts: list[Counter[str]] = []
        for engine in self._engines:
            decisions = (engine.decide(*self._situation_of(report, engine)) for report in reports)
            counts.append(Counter(
                agency for decision in decisions for assigned in decision.assignments
                for agency in (assigned.lead, *assigned.support)
            ))  # fmt: skip
        before, after = counts
        return {
            agency: (before[agency], after[agency])
            for agency in sorted(before | after) if before[agency] != after[agency]
        }  # fmt: skip

    def describe_answers(self) -> str:
        """The changed answers and the other changes as text."""
        old, new = self._old.agreement.version, self._new.agreement.version
        changes = list(self.changed_answers())
        lines = [self._text("{old} -> {new}: {count} jawaban berubah", "{old} -> {new}: {count} answers change")
                 .format(old=old, new=new, count=len(changes))]  # fmt: skip
        unit = self._text("keadaan", "situations")
        for change in changes:
            subject = " ".join(filter(None, change.topic))
            lines += [f"\n{subject}: {change.situations:,} {unit}", f"  {change.where}",
                      f"    - {change.before}", f"    + {change.after}"]  # fmt: skip
        return "\n".join([*lines, *(f"  {text}" for text in self.other_changes())])

    def describe_referrals(self, situations: Sequence[tuple[str, Situation, Origin]], kind: BilingualText) -> str:
        """The situations of a kind, such as scenarios, whose referrals differ, as text."""
        differing = list(self.changed_referrals(situations))
        summary = self._text(
            "{count} dari {total} {kind} akan dirujuk berbeda", "{count} of {total} {kind} are referred differently"
        )
        lines = [summary.format(
            count=len(differing), total=len(situations),
            kind=kind.in_language(self._language).format(version=self._new.agreement.version),
        )]  # fmt: skip
        return "\n".join([*lines, *(f"  {title}: {'; '.join(found)}" for title, found in differing)])

    def describe_workloads(self, reports: Sequence[Report]) -> str:
        """The agencies whose workload changes in a year of invented reports, as text."""
        workloads = self.changed_workloads(reports)
        if not workloads:
            return self._text("beban kerja tidak berubah", "no agency's workload changes")
        heading = self._text(
            "beban kerja dalam satu tahun dengan {count:,} laporan rekaan:",
            "workload in a year of {count:,} invented reports:",
        ).format(count=len(reports))
        lines = [f"  {agency}: {old} -> {new} ({new - old:+})" for agency, (old, new) in workloads.items()]
        return "\n".join([heading, *lines])

    def _text(self, indonesian: str, english: str) -> str:
        return english if self._language == "en" else indonesian

    def _situation_of(self, report: Report, engine: Engine) -> tuple[Situation, Origin]:
        return report.situation(self._old.agreement if engine is self._engines[0] else self._new.agreement)

    @staticmethod
    def _clauses_on(prover: BitsetProver, topic: Topic) -> list[Clause]:
        return [clause for clause in prover.clauses if clause.topic == topic]

    def _describe(self, effect: Effect | None, agreement: Agreement, clauses: Sequence[Clause]) -> str:
        if effect is None:
            return _NOBODY[self._language]
        clause = next(clause for clause in clauses if clause.effect == effect)
        return describe_effect(clause, agreement, self._language)

    def _where(self, layout: Layout, mask: int) -> str:
        always = "selalu" if self._language == "id" else "always"
        either = " ATAU " if self._language == "id" else " OR "
        cubes = cover(layout, mask)
        shown = ["; ".join(describe_condition(c, self._language) for c in cube) or always for cube in cubes]
        more = len(shown) - MAX_SENTENCES
        rest = [f"... ({more})"] if more > 0 else []
        return either.join([*shown[:MAX_SENTENCES], *rest])


def _answers(view: View, clauses: Sequence[Clause]) -> dict[Effect | None, int]:
    found: dict[Effect | None, int] = {}
    for clause in clauses:
        found[clause.effect] = found.get(clause.effect, 0) | view.effective(clause)
    answered = 0
    for mask in found.values():
        answered |= mask
    if view.everything & ~answered:
        found[None] = view.everything & ~answered
    return found


def cover(layout: Layout, target: int) -> list[tuple[Condition, ...]]:
    """Conjunctions whose union is exactly the target; each is widened as far as possible before the next one starts."""
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

    def fits(positions: Sequence[int], replaced: tuple[int, int] | None = None) -> bool:
        mask = layout.everything
        for position in positions:
            mask &= replaced[1] if replaced and replaced[0] == position else masks[position]
        return not mask & ~target

    for position in range(len(cube)):
        fewer = [other for other in kept if other != position]
        if fits(fewer):
            kept = fewer
    for position in kept:
        fact = next(fact for fact in layout.facts if fact.name == cube[position].fact)
        for value in fact.values if not fact.holds_many else ():
            wider = Condition(fact.name, cube[position].any_of | {value})
            mask = layout.holding(wider)
            if fits(kept, (position, mask)):
                cube[position], masks[position] = wider, mask
    return tuple(_join_exclusions([cube[position] for position in kept]))


def _join_exclusions(conditions: Sequence[Condition]) -> Iterator[Condition]:
    """Joins conditions that exclude kinds of violence into one, which reads better."""
    absent = [condition for condition in conditions if condition.none_of]
    yield from (condition for condition in conditions if not condition.none_of)
    if absent:
        yield Condition(absent[0].fact, none_of=frozenset().union(*(condition.none_of for condition in absent)))


def _shown(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value))) or "-"
    return value.id if isinstance(value, BilingualText) else str(value)


def _differences(before: Decision, after: Decision) -> Iterator[str]:
    if before.urgency is not after.urgency:
        yield f"{QUESTION_LABELS['urgency'].en}: {before.urgency} -> {after.urgency}"
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
