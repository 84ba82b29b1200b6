"""Compares two versions: which situations they decide differently, which referrals differ, whose workload changes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from simpul_agreement.engine import Decision, Engine, Origin
from simpul_agreement.facts import Situation
from simpul_agreement.languages import format_count, translator, with_capital
from simpul_agreement.model import Agreement, BilingualText, Clause, Condition, Effect, Party, Signatory, Topic
from simpul_agreement.phrases import describe_conditions, describe_effect, describe_source, describe_topic
from simpul_agreement.provers.bitset import BitsetProver
from simpul_agreement.provers.layout import Layout, View
from simpul_agreement.reports import Report
from simpul_schema.translations import gettext_noop

MAX_SENTENCES: Final = 40
"""Sentences per question; a larger change is easier to read in the two documents."""
SCENARIOS_DIFFER: Final = gettext_noop("{count} of {total} scenarios of {version} are referred differently")
REPORTS_DIFFER: Final = gettext_noop("{count} of {total} reports of the file are referred differently")


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
            for effect, other, changed in _pair_changes(before, after):
                yield ChangedAnswer(
                    topic,
                    layout.count(changed),
                    self._describe(effect, self._old.agreement, old),
                    self._describe(other, self._new.agreement, new),
                    self._where(layout, changed),
                )

    def other_changes(self) -> Iterator[str]:
        """Changes outside the clauses' effects: parties, hours, holidays, validity, sources."""
        _ = translator(self._language)
        old, new = self._old.agreement, self._new.agreement
        for code in dict.fromkeys((*old.party_of, *new.party_of)):
            before, after = old.party_of.get(code), new.party_of.get(code)
            if before is None or after is None:
                change = _("{party} joins") if before is None else _("{party} leaves")
                yield change.format(party=code)
                continue
            for field in fields(Party):
                values = [self._shown(getattr(party, field.name)) for party in (before, after)]
                if field.name != "where" and values[0] != values[1]:
                    yield f"{code}, {field.name}: {' -> '.join(values)}"
        if old.hours != new.hours:
            minutes = sum(old.hours[minute] is not new.hours.get(minute) for minute in old.hours)
            yield _("{count} minutes of the week belong to another band").format(count=minutes)
        if old.holidays != new.holidays:
            days = ", ".join(map(str, sorted(old.holidays ^ new.holidays)))
            yield _("holidays that only one version lists: {days}").format(days=days)
        if old.valid_until != new.valid_until:
            last = [self._shown(agreement.valid_until) for agreement in (old, new)]
            yield _("end of validity: {change}").format(change=" -> ".join(last))
        for name in old.by_id.keys() & new.by_id.keys():
            sources = [describe_source(agreement.by_id[name].source, self._language) for agreement in (old, new)]
            if sources[0] != sources[1]:
                yield f"{name}: {' -> '.join(sources)}"

    def _shown(self, value: object) -> str:
        match value:
            case frozenset():
                return ", ".join(sorted(map(str, value))) or "-"
            case BilingualText():
                return value.in_language(self._language)
            case Signatory():
                parts = (value.person, value.office, value.entity, value.authority, value.address)
                return ", ".join(filter(None, map(self._shown, parts)))
            case None:
                return "-"
            case _other:
                return str(value)

    def changed_referrals(self, situations: Sequence[tuple[str, Situation, Origin]]) -> Iterator[tuple[str, list[str]]]:
        """The situations whose referrals, urgency or protection differ, each with its title and the differences."""
        for title, situation, origin in situations:
            before, after = (engine.decide(situation, origin) for engine in self._engines)
            differences = list(_differences(before, after, self._language))
            if differences:
                yield title, differences

    def changed_workloads(self, reports: Sequence[Report]) -> Mapping[str, tuple[int, int]]:
        """Agencies whose number of referrals changes, with the number before and after."""
        counts: list[Counter[str]] = []
        for engine in self._engines:
            decisions = (engine.decide(*self._situation_of(report, engine)) for report in reports)
            counts.append(
                Counter(
                    agency
                    for decision in decisions
                    for assigned in decision.assignments
                    for agency in (assigned.lead, *assigned.support)
                )
            )
        before, after = counts
        return {
            agency: (before[agency], after[agency])
            for agency in sorted(before | after)
            if before[agency] != after[agency]
        }

    def describe_answers(self) -> str:
        """The changed answers and the other changes as text."""
        _ = translator(self._language)
        old, new = self._old.agreement.version, self._new.agreement.version
        changes = list(self.changed_answers())
        lines = [_("{old} -> {new}: {count} answers change").format(old=old, new=new, count=len(changes))]
        for change in changes:
            topic, count = describe_topic(change.topic, self._language), format_count(change.situations, self._language)
            lines += [
                "",
                _("{topic}: {count} situations").format(topic=topic, count=count),
                f"  {change.where}",
                f"    - {change.before}",
                f"    + {change.after}",
            ]
        return "\n".join([*lines, *(f"  {text}" for text in self.other_changes())])

    def describe_referrals(self, situations: Sequence[tuple[str, Situation, Origin]], summary: str) -> str:
        """The situations whose referrals differ, as text; `summary` is SCENARIOS_DIFFER or REPORTS_DIFFER."""
        differing = list(self.changed_referrals(situations))
        lines = [
            translator(self._language)(summary).format(
                count=len(differing), total=len(situations), version=self._new.agreement.version
            )
        ]
        return "\n".join([*lines, *(f"  {title}: {'; '.join(found)}" for title, found in differing)])

    def describe_workloads(self, reports: Sequence[Report]) -> str:
        """The agencies whose workload changes in a year of invented reports, as text."""
        _ = translator(self._language)
        workloads = self.changed_workloads(reports)
        if not workloads:
            return _("no agency's workload changes")
        heading = _("workload in a year of {count} invented reports:").format(
            count=format_count(len(reports), self._language)
        )
        lines = [f"  {agency}: {old} -> {new} ({new - old:+})" for agency, (old, new) in workloads.items()]
        return "\n".join([heading, *lines])

    def _situation_of(self, report: Report, engine: Engine) -> tuple[Situation, Origin]:
        return report.situation(self._old.agreement if engine is self._engines[0] else self._new.agreement)

    @staticmethod
    def _clauses_on(prover: BitsetProver, topic: Topic) -> list[Clause]:
        return [clause for clause in prover.clauses if clause.topic == topic]

    def _describe(self, effect: Effect | None, agreement: Agreement, clauses: Sequence[Clause]) -> str:
        _ = translator(self._language)
        if effect is None:
            return _("not provided for")
        clause = next(clause for clause in clauses if clause.effect == effect)
        return with_capital(describe_effect(clause, agreement, self._language))

    def _where(self, layout: Layout, mask: int) -> str:
        _ = translator(self._language)
        cubes = cover(layout, mask)
        shown = [describe_conditions(cube, self._language) or _("always") for cube in cubes]
        more = len(shown) - MAX_SENTENCES
        rest = [_("... and {count} more").format(count=more)] if more > 0 else []
        either = _("or")
        return f"; {either} ".join([*shown[:MAX_SENTENCES], *rest])


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


def _pair_changes(
    before: Mapping[Effect | None, int], after: Mapping[Effect | None, int]
) -> Iterator[tuple[Effect | None, Effect | None, int]]:
    """Yields what one version answers and the other does not, with the situations in which one replaces the other.

    Several effects may answer one question together, such as the deadlines of the two phases. Each that stays is no
    change; one that nothing replaces is paired with None.
    """
    removed = {effect: where & ~after.get(effect, 0) for effect, where in before.items()}
    added = {effect: where & ~before.get(effect, 0) for effect, where in after.items()}
    for effect, where in removed.items():
        left = where
        for other, there in added.items():
            if changed := where & there:
                yield effect, other, changed
                left &= ~changed
        if left and effect is not None:
            yield effect, None, left
    replaced = 0
    for where in removed.values():
        replaced |= where
    for other, there in added.items():
        if (left := there & ~replaced) and other is not None:
            yield None, other, left


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
                Condition(fact.name, any_of=frozenset({value}))
                if value in values
                else Condition(fact.name, none_of=frozenset({value}))
                for value in fact.values
            ]
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


def _differences(before: Decision, after: Decision, language: str) -> Iterator[str]:
    _ = translator(language)
    if before.urgency is not after.urgency:
        shown = [decision.urgency.label(language) if decision.urgency else "-" for decision in (before, after)]
        yield f"{_('the urgency')}: {' -> '.join(shown)}"
    if before.answer != after.answer:
        yield _("the time to answer")
    if before.mediation_is_locked is not after.mediation_is_locked:
        yield _("whether mediation is forbidden")
    elif before.mediation != after.mediation:
        yield _("who may open a mediation")
    if before.basis != after.basis:
        yield _("the basis of disclosure")
    old = {assigned.service: (assigned.lead, *assigned.support) for assigned in before.assignments}
    new = {assigned.service: (assigned.lead, *assigned.support) for assigned in after.assignments}
    for service in dict.fromkeys((*old, *new)):
        shown = [", ".join(agencies.get(service, ("-",))) for agencies in (old, new)]
        if old.get(service) != new.get(service):
            yield f"{service.label(language)}: {' -> '.join(shown)}"
        elif before.terms_of(service) != after.terms_of(service):
            terms = (decision.terms_of(service) for decision in (before, after))
            described = [f"{one.phase.label(language)}, {one.urgency.label(language).lower()}" for one in terms]
            yield f"{service.label(language)}: {' -> '.join(described)}"
