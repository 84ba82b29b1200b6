"""Runs the clauses' examples and the scenarios, and checks that the examples cover every value of every condition."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

from simpul_agreement.deadlines import Within
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
from simpul_agreement.files import ScenariosFile, WrittenScenario
from simpul_agreement.findings import Finding, suggest_nearest
from simpul_agreement.implications import linked_facts, normalize_situation
from simpul_agreement.languages import Described
from simpul_agreement.languages import Message as _
from simpul_agreement.model import (
    Agreement,
    Clause,
    ClockRuns,
    Condition,
    Disclosure,
    EscalationLevel,
    Example,
    Phase,
    Retention,
    ServiceNeeded,
    Where,
)
from simpul_agreement.phrases import describe_duration, quote_clause
from simpul_agreement.provers.layout import Layout
from simpul_agreement.reading import SCENARIOS_FILE, read_document
from simpul_agreement.rights import open_ledger
from simpul_city import City
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import Urgency

_APPLIES: Final = gettext_noop("{clause} applies to this example")
_DOES_NOT_APPLY: Final = gettext_noop("{clause} does not apply to this example")
_CORRECT: Final = gettext_noop("correct the clause or the example")
_CORRECT_OVERRIDDEN: Final = gettext_noop("it is overridden by {clauses}; correct the clause or the example")
_NOT_SHOWN_TO_APPLY: Final = gettext_noop("{clause}: no example shows that it applies to {values} ({fact})")
_NOT_SHOWN_TO_PASS: Final = gettext_noop("{clause}: no example shows that it does not apply to {values} ({fact})")


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
                    _(_DOES_NOT_APPLY if example.applies else _APPLIES, clause=clause.id),
                    _(_CORRECT_OVERRIDDEN, clauses=", ".join(other.id for other in winners))
                    if winners
                    else _(_CORRECT),
                    (quote_clause(clause, agreement),),
                )
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
        barred = condition.none_of if fact.holds_many and not condition.any_of else frozenset(fact.values) - wanted
        for value in sorted(wanted):
            if not _can_hold(fact, value, others):
                problem = _(
                    "{clause}: {fact} is never {value} where the other conditions hold",
                    clause=clause.id,
                    fact=fact.name,
                    value=value,
                )
                remedy = _("delete {value}: it implies a kind of violence that they rule out", value=value)
                yield Finding(clause.where, problem, remedy, (quote_clause(clause, agreement),))
                admitted.add(value)
        # No example can cover a value that the other conditions rule out already.
        barred = frozenset(value for value in barred - refused if _can_hold(fact, value, others))
        for message, missing in ((_NOT_SHOWN_TO_APPLY, wanted - admitted), (_NOT_SHOWN_TO_PASS, barred)):
            if missing:
                values = ", ".join(value for value in fact.values if value in missing)
                yield Finding(
                    clause.where,
                    _(message, clause=clause.id, values=values, fact=condition.fact),
                    _("add it to the examples, with the other conditions met"),
                    (quote_clause(clause, agreement),),
                )


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
            problem = _("{name} is neither a fact that a report can have nor a value of one", name=error.args[0])
            findings.append(
                Finding(
                    scenario.where, problem, _("the facts are {facts}", facts=", ".join(fact.name for fact in FACTS))
                )
            )
            continue
        unknown = {scenario.written.centre, *scenario.written.excluded} - city.agency_codes - {""}
        findings += [
            Finding(
                scenario.where, _("the city has no agency {code}", code=code), suggest_nearest(code, city.agency_codes)
            )
            for code in sorted(unknown)
        ]
        findings += _scenario_findings(scenario, engines.on(agreement.active_from.date()).decide(situation, origin))
        for day in agreement.periods():
            reached |= set(engines.on(day).decide(situation, origin).clause_ids)
    findings += [
        Finding(
            clause.where,
            _("no scenario reaches {clause}", clause=clause.id),
            _("add one to scenarios.yaml, or delete the clause"),
            (quote_clause(clause, agreement),),
        )
        for clause in agreement.clauses
        if clause.id not in reached
    ]
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
        "next_agency": {},
        "clocks": {},
        "escalation": {},
        "discloses": {},
        "keeps": {},
        "planned": [a.service for a in decision.assignments if a.phase is Phase.PLANNED],
        "urgencies": {a.service: decision.terms_of(a.service).urgency for a in decision.assignments},
        "service_plan": decision.plan_deadline.within if decision.plan_deadline else None,
        "plan_at_deadline": "send"
        if decision.plan_deadline and decision.plan_deadline.is_sent_at_deadline
        else "escalate",
    }
    for clause in decision.effective:
        match clause.effect:
            case ServiceNeeded(service=service, lead=lead) if lead[1:]:
                found["next_agency"][service] = lead[1]
            case ClockRuns(within=within, phase=phase):
                planned = "planned/" if phase is Phase.PLANNED else ""
                found["clocks"][f"{planned}{clause.topic[1]}"] = within
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
        "urgencies": written.urgencies,
        **({} if written.planned is None else {"planned": written.planned}),
        **({"service_plan": written.service_plan.to_duration()} if written.service_plan else {}),
        **({"plan_at_deadline": written.plan_at_deadline} if written.plan_at_deadline else {}),
    }


_IN_PART: Final = frozenset({"rights", "next_agency", "clocks", "escalation", "discloses", "keeps", "urgencies"})
"""Fields of which a scenario states only a part."""


def _scenario_findings(scenario: Scenario, decision: Decision) -> Iterator[Finding]:
    stated, found = _stated(scenario.written), describe_outcome(decision)
    for name, wanted in stated.items():
        came = {key: found[name].get(key) for key in wanted} if name in _IN_PART else found[name]
        if came != wanted:
            problem = _(
                "scenario {scenario}: {name} is decided as {found}, not {stated}",
                scenario=scenario.written.scenario,
                name=name,
                found=Described(partial(_describe_outcome, _changed(came, wanted))),
                stated=Described(partial(_describe_outcome, _changed(wanted, came))),
            )
            remedy = _("correct the clauses, or the scenario where it does not state what was agreed")
            yield Finding(scenario.where, problem, remedy)


def _changed(value: Any, other: Any) -> Any:
    """The entries of a table that differ from another one; any other value stays as it is."""
    if not isinstance(value, dict) or not isinstance(other, dict):
        return value
    return {key: entry for key, entry in value.items() if other.get(key) != entry}


def _describe_outcome(value: Any, language: str) -> str:
    """A value of an outcome as it is written in a scenario."""
    match value:
        case None | "" | {} | []:
            return "-"
        case Within():
            return describe_duration(value, language)
        case dict():
            return "; ".join(f"{key}: {_describe_outcome(entry, language)}" for key, entry in value.items())
        case list() | tuple() | frozenset():
            return ", ".join(sorted(map(str, value)) if isinstance(value, frozenset) else map(str, value))
        case _plain:
            return str(value)
