"""Runs the examples of the clauses and the scenarios, and asks whether the examples pin down every condition."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from simpul_agreement.documents import ScenariosFile, WrittenScenario
from simpul_agreement.engine import Decision, Engine, Engines, Origin
from simpul_agreement.facts import (
    BY_NAME,
    FACTS,
    URGENCY,
    VIOLENCE,
    Fact,
    Situation,
    complete_situation,
    situation_from_text,
)
from simpul_agreement.findings import Finding, nearest
from simpul_agreement.implications import linked_facts, normalize_situation
from simpul_agreement.model import (
    Agreement,
    Clause,
    ClockRuns,
    Condition,
    Disclosure,
    Example,
    Retention,
    Rung,
    ServiceNeeded,
    Where,
)
from simpul_agreement.phrases import sentence
from simpul_agreement.provers.layout import Layout
from simpul_agreement.reading import SCENARIOS_FILE, read_document
from simpul_agreement.rights import open_ledger
from simpul_city import City
from simpul_schema.vocabulary import Urgency


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole report with what must come of it."""

    written: WrittenScenario
    where: Where


def situations_of(example: Example) -> Iterator[Situation]:
    """An example stands for every choice of its alternatives, each with what it implies."""
    for chosen in product(*example.told.values()):
        yield normalize_situation(complete_situation(dict(zip(example.told, chosen, strict=True))))


def example_findings(agreement: Agreement) -> list[Finding]:
    """Examples that come out otherwise than they say, and conditions that no example pins down."""
    engines = Engines(agreement)
    findings: list[Finding] = []
    for clause in agreement.clauses:
        engine = engines.on(clause.valid_from or agreement.active_from.date())
        findings += _contradicted(agreement, clause, engine)
        findings += _unpinned(agreement, clause, engine)
    return findings


def _contradicted(agreement: Agreement, clause: Clause, engine: Engine) -> Iterator[Finding]:
    for example in clause.examples:
        for told in situations_of(example):
            decided = engine.decide(told, Origin())
            if (clause in decided.effective) is not example.applies:
                winners = [other for other in decided.effective if clause.id in other.overrides]
                yield Finding(
                    example.where,
                    f"{clause.id} {'does not apply' if example.applies else 'applies'} to this example",
                    f"it is overridden by {', '.join(other.id for other in winners)}; mend the clause or the example"
                    if winners else "mend the clause or the example",
                    (f"{clause.id}: {sentence(clause, agreement, 'id')}",),
                )  # fmt: skip
                break


def _unpinned(agreement: Agreement, clause: Clause, engine: Engine) -> Iterator[Finding]:
    """Each value of each condition must be shown by an example: otherwise it could change and nobody would see it."""
    shown = [(example.applies, told) for example in clause.examples for told in situations_of(example)]
    for condition in clause.when:
        others = [other for other in clause.when if other is not condition]
        admitted: set[str] = set()
        refused: set[str] = set()
        for applies, told in shown:
            urgency = engine.decide(told, Origin()).urgency
            if applies:
                admitted |= _deciding(condition, _values(condition.fact, told, urgency))
            elif all(other.admits(_values(other.fact, told, urgency)) for other in others):
                refused |= _values(condition.fact, told, urgency)
        fact = BY_NAME[condition.fact]
        wanted = condition.any_of or frozenset()
        barred = (condition.none_of if fact.holds_many and not condition.any_of else
                  frozenset(fact.values) - wanted)  # fmt: skip
        for value in sorted(wanted):
            if not _can_hold(fact, value, others):
                yield Finding(
                    clause.where, f"{clause.id}: {fact.name} is never {value} where the other conditions hold",
                    f"delete {value}: it implies a kind of violence that they rule out",
                    (f"{clause.id}: {sentence(clause, agreement, 'id')}",),
                )  # fmt: skip
                admitted.add(value)
        # Nothing can show that a value is refused which the other conditions rule out already.
        barred = frozenset(value for value in barred - refused if _can_hold(fact, value, others))
        missing = [f"applies to {value}" for value in fact.values if value in wanted - admitted]
        missing += [f"does not apply to {value}" for value in fact.values if value in barred]
        if missing:
            yield Finding(
                clause.where, f"{clause.id}: no example shows that it {', '.join(missing)} ({condition.fact})",
                "add it to the examples, with the other conditions met",
                (f"{clause.id}: {sentence(clause, agreement, 'id')}",),
            )  # fmt: skip


def _can_hold(fact: Fact, value: str, others: Sequence[Condition]) -> bool:
    """Whether some normalized situation has the value where the other conditions hold."""
    linked = {VIOLENCE.name, *(other.name for other in linked_facts())}
    if fact.name not in linked:
        return True
    layout = Layout(linked)
    mask = layout.everything & layout.holding(Condition(fact.name, frozenset({value})))
    for other in others:
        mask &= layout.holding(other) if other.fact in linked else -1
    return mask != 0


def _values(fact: str, told: Situation, urgency: Urgency | None) -> frozenset[str]:
    if fact == URGENCY.name:
        return frozenset({urgency.value}) if urgency else frozenset()
    return told[fact]


def _deciding(condition: Condition, values: frozenset[str]) -> set[str]:
    """The values that alone make the condition hold in an example."""
    met = condition.any_of & values
    return set(met) if len(met) == 1 else set()


def read_scenarios(folder: Path, findings: list[Finding]) -> list[Scenario]:
    """The scenarios of a version."""
    read = read_document(folder / SCENARIOS_FILE, folder, ScenariosFile, findings)
    if read is None:
        return []
    written, file = read
    return [
        Scenario(scenario, written.where("scenarios", number, "scenario"))
        for number, scenario in enumerate(file.scenarios)
    ]


def read_situations(folder: Path, city: City) -> list[tuple[str, Situation, Origin]]:
    """The title, situation and agencies of each scenario of a version that has no findings."""
    return [
        (scenario.written.scenario, situation_from_text(scenario.written.report), origin_of(scenario.written, city))
        for scenario in read_scenarios(folder, [])
    ]


def scenario_findings(agreement: Agreement, scenarios: Iterable[Scenario], city: City) -> list[Finding]:
    """Scenarios that come out otherwise than they say, and clauses that none of them reaches on any day."""
    engines = Engines(agreement)
    findings: list[Finding] = []
    reached: set[str] = set()
    for scenario in scenarios:
        try:
            told, origin = situation_from_text(scenario.written.report), origin_of(scenario.written, city)
        except KeyError as error:
            problem = f"{error.args[0]} is no fact that a report can tell, and no value of one"
            findings.append(Finding(scenario.where, problem, f"the facts are {', '.join(fact.name for fact in FACTS)}"))
            continue
        unknown = {scenario.written.centre, *scenario.written.excluded} - city.agency_codes - {""}
        findings += [
            Finding(scenario.where, f"{code} is no agency", nearest(code, city.agency_codes))
            for code in sorted(unknown)
        ]  # fmt: skip
        findings += _scenario_findings(scenario, engines.on(agreement.active_from.date()).decide(told, origin))
        for day in agreement.periods():
            reached |= set(engines.on(day).decide(told, origin).clause_ids)
    findings += [
        Finding(clause.where, f"no scenario reaches {clause.id}", "add one to scenarios.yaml, or delete the clause",
                (f"{clause.id}: {sentence(clause, agreement, 'id')}",))
        for clause in agreement.clauses if clause.id not in reached
    ]  # fmt: skip
    return findings


def origin_of(scenario: WrittenScenario, city: City) -> Origin:
    """The agencies that a scenario's report tells."""
    ward = city.find_kelurahan(scenario.kelurahan)
    return Origin(
        satgas=ward.satgas if ward else "",
        kecamatan=ward.satgas_kecamatan if ward else "",
        centre=scenario.centre,
        excluded=frozenset(scenario.excluded),
    )


def outcome(decision: Decision) -> dict[str, Any]:
    """What a decision says, in the form in which a scenario states it."""
    found: dict[str, Any] = {
        "urgency": decision.urgency,
        "answer": decision.answer,
        "mediation": "locked" if decision.mediation_is_locked else "open",
        "basis": decision.basis.basis if decision.basis else None,
        "referrals": {assigned.service: [assigned.lead, *assigned.support] for assigned in decision.assignments},
        "suspect_served_by": decision.suspect_served_by,
        "rights": {right: entry.state for right, entry in open_ledger(decision).items()},
        "hand_over": {}, "clocks": {}, "ladder": {}, "discloses": {}, "keeps": {},
    }  # fmt: skip
    for clause in decision.effective:
        match clause.effect:
            case ServiceNeeded(service=service, lead=lead) if lead[1:]:
                found["hand_over"][service] = lead[1]
            case ClockRuns(within=within):
                found["clocks"][clause.topic[1]] = within
            case Rung(step=step, to=to, also=also):
                found["ladder"][step.value] = [*to, *also]
            case Disclosure(service=service, sections=sections):
                found["discloses"][service] = sections
            case Retention(section=section, years=years):
                found["keeps"][section] = years
            case _:
                pass
    return found


def _stated(written: WrittenScenario) -> dict[str, Any]:
    return {
        **{name: getattr(written, name) for name in ("urgency", "mediation", "basis", "suspect_served_by")},
        **{name: getattr(written, name) for name in ("referrals", "rights", "hand_over", "ladder", "keeps")},
        "answer": written.answer.read(),
        "clocks": {name: time.read() for name, time in written.clocks.items()},
        "discloses": {service: frozenset(sections) for service, sections in written.discloses.items()},
    }


_IN_PART: Final = frozenset({"rights", "hand_over", "clocks", "ladder", "discloses", "keeps"})
"""What a scenario states as far as it matters there."""


def _scenario_findings(scenario: Scenario, decision: Decision) -> Iterator[Finding]:
    stated, found = _stated(scenario.written), outcome(decision)
    for name, wanted in stated.items():
        came = {key: found[name].get(key) for key in wanted} if name in _IN_PART else found[name]
        if came != wanted:
            yield Finding(
                scenario.where, f"scenario {scenario.written.scenario}: {name} comes out as {came}, not {wanted}",
                "mend the clauses, or the scenario where it does not say what was agreed",
            )  # fmt: skip
