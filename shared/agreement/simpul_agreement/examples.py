"""Runs the clauses' examples and the scenarios, and checks that the examples cover every value of every condition."""

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
from simpul_agreement.findings import Finding, suggest_nearest
from simpul_agreement.implications import linked_facts, normalize_situation
from simpul_agreement.model import (
    Agreement,
    Clause,
    ClockRuns,
    Condition,
    Disclosure,
    EscalationLevel,
    Example,
    Retention,
    ServiceNeeded,
    Where,
)
from simpul_agreement.phrases import clause_sentence
from simpul_agreement.provers.layout import Layout
from simpul_agreement.reading import SCENARIOS_FILE, read_document
from simpul_agreement.rights import open_ledger
from simpul_city import City
from simpul_schema.vocabulary import Urgency


@dataclass(frozen=True, slots=True)
class Scenario:
    """A complete report with the decision that it must lead to, and where it is written."""

    written: WrittenScenario
    where: Where


def example_situations(example: Example) -> Iterator[Situation]:
    """The situations of an example: one for each choice of its alternatives, normalized."""
    for chosen in product(*example.facts.values()):
        yield normalize_situation(complete_situation(dict(zip(example.facts, chosen, strict=True))))


def example_findings(agreement: Agreement) -> list[Finding]:
    """Examples that are decided differently than they state, and values of conditions that no example covers."""
    engines = Engines(agreement)
    findings: list[Finding] = []
    for clause in agreement.clauses:
        engine = engines.on(clause.valid_from or agreement.active_from.date())
        findings += _contradicted(agreement, clause, engine)
        findings += _uncovered(agreement, clause, engine)
    return findings


def _contradicted(agreement: Agreement, clause: Clause, engine: Engine) -> Iterator[Finding]:
    for example in clause.examples:
        for situation in example_situations(example):
            decided = engine.decide(situation, Origin())
            if (clause in decided.effective) is not example.applies:
                winners = [other for other in decided.effective if clause.id in other.overrides]
                yield Finding(
                    example.where,
                    f"{clause.id} {'does not apply' if example.applies else 'applies'} to this example",
                    f"it is overridden by {', '.join(other.id for other in winners)}; correct the clause or the example"
                    if winners else "correct the clause or the example",
                    (f"{clause.id}: {clause_sentence(clause, agreement, 'id')}",),
                )  # fmt: skip
                break


def _uncovered(agreement: Agreement, clause: Clause, engine: Engine) -> Iterator[Finding]:
    """Values of conditions that no example covers, so that a change of them would go unnoticed."""
    covered = [(example.applies, situation) for example in clause.examples for situation in example_situations(example)]
    for condition in clause.when:
        others = [other for other in clause.when if other is not condition]
        admitted: set[str] = set()
        refused: set[str] = set()
        for applies, situation in covered:
            urgency = engine.decide(situation, Origin()).urgency
            if applies:
                admitted |= _deciding(condition, _values(condition.fact, situation, urgency))
            elif all(other.admits(_values(other.fact, situation, urgency)) for other in others):
                refused |= _values(condition.fact, situation, urgency)
        fact = BY_NAME[condition.fact]
        wanted = condition.any_of or frozenset()
        barred = (condition.none_of if fact.holds_many and not condition.any_of else
                  frozenset(fact.values) - wanted)  # fmt: skip
        for value in sorted(wanted):
            if not _can_hold(fact, value, others):
                yield Finding(
                    clause.where, f"{clause.id}: {fact.name} is never {value} where the other conditions hold",
                    f"delete {value}: it implies a kind of violence that they rule out",
                    (f"{clause.id}: {clause_sentence(clause, agreement, 'id')}",),
                )  # fmt: skip
                admitted.add(value)
        # No example can cover a value that the other conditions rule out already.
        barred = frozenset(value for value in barred - refused if _can_hold(fact, value, others))
        missing = [f"applies to {value}" for value in fact.values if value in wanted - admitted]
        missing += [f"does not apply to {value}" for value in fact.values if value in barred]
        if missing:
            yield Finding(
                clause.where, f"{clause.id}: no example shows that it {', '.join(missing)} ({condition.fact})",
                "add it to the examples, with the other conditions met",
                (f"{clause.id}: {clause_sentence(clause, agreement, 'id')}",),
            )  # fmt: skip


def _can_hold(fact: Fact, value: str, others: Sequence[Condition]) -> bool:
    """Whether a normalized situation exists that has the value and meets the other conditions."""
    linked = {VIOLENCE.name, *(other.name for other in linked_facts())}
    if fact.name not in linked:
        return True
    layout = Layout(linked)
    mask = layout.everything & layout.holding(Condition(fact.name, frozenset({value})))
    for other in others:
        mask &= layout.holding(other) if other.fact in linked else -1
    return mask != 0


def _values(fact: str, situation: Situation, urgency: Urgency | None) -> frozenset[str]:
    if fact == URGENCY.name:
        return frozenset({urgency.value}) if urgency else frozenset()
    return situation[fact]


def _deciding(condition: Condition, values: frozenset[str]) -> set[str]:
    """The single value that makes the condition hold in an example; none where several do."""
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
    """The title, situation and origin of each scenario of a version without findings."""
    return [
        (scenario.written.scenario, situation_from_text(scenario.written.report), origin_of(scenario.written, city))
        for scenario in read_scenarios(folder, [])
    ]


def scenario_findings(agreement: Agreement, scenarios: Iterable[Scenario], city: City) -> list[Finding]:
    """Scenarios that are decided differently than they state, and clauses that no scenario reaches on any day."""
    engines = Engines(agreement)
    findings: list[Finding] = []
    reached: set[str] = set()
    for scenario in scenarios:
        try:
            situation, origin = situation_from_text(scenario.written.report), origin_of(scenario.written, city)
        except KeyError as error:
            problem = f"{error.args[0]} is neither a fact that a report can have nor a value of one"
            findings.append(Finding(scenario.where, problem, f"the facts are {', '.join(fact.name for fact in FACTS)}"))
            continue
        unknown = {scenario.written.centre, *scenario.written.excluded} - city.agency_codes - {""}
        findings += [
            Finding(scenario.where, f"the city has no agency {code}", suggest_nearest(code, city.agency_codes))
            for code in sorted(unknown)
        ]  # fmt: skip
        findings += _scenario_findings(scenario, engines.on(agreement.active_from.date()).decide(situation, origin))
        for day in agreement.periods():
            reached |= set(engines.on(day).decide(situation, origin).clause_ids)
    findings += [
        Finding(clause.where, f"no scenario reaches {clause.id}", "add one to scenarios.yaml, or delete the clause",
                (f"{clause.id}: {clause_sentence(clause, agreement, 'id')}",))
        for clause in agreement.clauses if clause.id not in reached
    ]  # fmt: skip
    return findings


def origin_of(scenario: WrittenScenario, city: City) -> Origin:
    """The agencies that a scenario's report names."""
    ward = city.find_kelurahan(scenario.kelurahan)
    return Origin(
        satgas=ward.satgas if ward else "",
        kecamatan=ward.satgas_kecamatan if ward else "",
        centre=scenario.centre,
        excluded=frozenset(scenario.excluded),
    )


def describe_outcome(decision: Decision) -> dict[str, Any]:
    """A decision in the form in which a scenario states it."""
    found: dict[str, Any] = {
        "urgency": decision.urgency,
        "answer": decision.answer,
        "mediation": "locked" if decision.mediation_is_locked else "open",
        "basis": decision.basis.basis if decision.basis else None,
        "referrals": {assigned.service: [assigned.lead, *assigned.support] for assigned in decision.assignments},
        "suspect_served_by": decision.suspect_served_by,
        "rights": {right: entry.state for right, entry in open_ledger(decision).items()},
        "next_agency": {}, "clocks": {}, "escalation": {}, "discloses": {}, "keeps": {},
    }  # fmt: skip
    for clause in decision.effective:
        match clause.effect:
            case ServiceNeeded(service=service, lead=lead) if lead[1:]:
                found["next_agency"][service] = lead[1]
            case ClockRuns(within=within):
                found["clocks"][clause.topic[1]] = within
            case EscalationLevel(step=step, to=to, also=also):
                found["escalation"][step.value] = [*to, *also]
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
        **{name: getattr(written, name) for name in ("referrals", "rights", "next_agency", "escalation", "keeps")},
        "answer": written.answer.to_duration(),
        "clocks": {name: time.to_duration() for name, time in written.clocks.items()},
        "discloses": {service: frozenset(sections) for service, sections in written.discloses.items()},
    }


_IN_PART: Final = frozenset({"rights", "next_agency", "clocks", "escalation", "discloses", "keeps"})
"""Fields of which a scenario states only a part."""


def _scenario_findings(scenario: Scenario, decision: Decision) -> Iterator[Finding]:
    stated, found = _stated(scenario.written), describe_outcome(decision)
    for name, wanted in stated.items():
        came = {key: found[name].get(key) for key in wanted} if name in _IN_PART else found[name]
        if came != wanted:
            yield Finding(
                scenario.where, f"scenario {scenario.written.scenario}: {name} is decided as {came}, not {wanted}",
                "correct the clauses, or the scenario where it does not state what was agreed",
            )  # fmt: skip
