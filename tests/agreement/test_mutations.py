"""An example, a scenario or a proof catches every mutation of one clause."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from simpul_agreement.compare import Comparison
from simpul_agreement.consistency import inconsistencies
from simpul_agreement.deadlines import Within
from simpul_agreement.examples import Scenario, example_findings, read_scenarios, scenario_findings
from simpul_agreement.facts import BY_NAME
from simpul_agreement.model import (
    Agreement,
    Basis,
    BasisIs,
    Clause,
    ClockRuns,
    Condition,
    Disclosure,
    Effect,
    EscalationLevel,
    Mediation,
    Phase,
    PlanDeadline,
    Retention,
    RightNotNeeded,
    Section,
    ServiceNeeded,
    SuspectServedBy,
    UrgencyIs,
)
from simpul_agreement.provers.bitset import BitsetProver
from simpul_schema.vocabulary import ActorRole, Right, Urgency
from tests.support.agreements import CITY, VERSION, an_agreement, kediri

SEEDS = range(256)
PARTIES = [party.code for party in kediri().parties if party.kind]


@pytest.fixture(scope="module")
def scenarios() -> list[Scenario]:
    return read_scenarios(VERSION, [])


def other(chance: random.Random, choices: list[str], *than: str) -> str:
    return chance.choice([choice for choice in choices if choice not in than])


def flip(chance: random.Random, clause: Clause) -> Clause:
    """One condition is negated."""
    position = chance.randrange(len(clause.when))
    condition = clause.when[position]
    fact = BY_NAME[condition.fact]
    if condition.none_of or fact.holds_many:
        opposite = Condition(condition.fact, any_of=condition.none_of, none_of=condition.any_of)
    else:
        opposite = Condition(condition.fact, frozenset(fact.values) - condition.any_of)
    return replace(clause, when=(*clause.when[:position], opposite, *clause.when[position + 1 :]))


def drop(chance: random.Random, clause: Clause) -> Clause:
    """One condition is forgotten."""
    position = chance.randrange(len(clause.when))
    return replace(clause, when=(*clause.when[:position], *clause.when[position + 1 :]))


def band(chance: random.Random, clause: Clause) -> Clause:
    """One value more or less in a condition."""
    position = chance.randrange(len(clause.when))
    condition = clause.when[position]
    named = "none_of" if condition.none_of else "any_of"
    values = getattr(condition, named)
    changed = values ^ {chance.choice(BY_NAME[condition.fact].values)}
    if not changed:
        return drop(chance, clause)
    return replace(
        clause, when=(*clause.when[:position], replace(condition, **{named: changed}), *clause.when[position + 1 :])
    )


def effect(chance: random.Random, clause: Clause) -> Clause:
    """Another recipient, hour, section or degree."""
    return replace(clause, effect=changed_effect(chance, clause.effect))


def changed_effect(  # noqa: C901, PLR0911 - one branch for each kind of effect
    chance: random.Random, effect: Effect
) -> Effect:
    match effect:
        case ServiceNeeded(lead=lead, support=support):
            able = [*PARTIES, "complaint_centre"]
            choices = [
                replace(effect, lead=(other(chance, PARTIES, lead[0]), *lead[1:])),
                replace(effect, lead=lead[:1]),
            ]
            choices += [replace(effect, support=support[1:])] if support else []
            choices += [replace(effect, support=(*support, other(chance, able, *support, *lead)))]
            choices += [replace(effect, phase=Phase.PLANNED), replace(effect, phase=Phase.IMMEDIATE)]
            return chance.choice([choice for choice in choices if choice != effect])
        case RightNotNeeded(right=right):
            return replace(effect, right=chance.choice([r for r in Right if r is not right]))
        case UrgencyIs(urgency=urgency):
            return UrgencyIs(chance.choice([u for u in Urgency if u is not urgency]))
        case ClockRuns(within=within):
            days = within.working_days
            longer = Within(within.time * 2, days + 1 if days else 0, within.office_hours * 2)
            shorter = Within(within.time / 2 or timedelta(hours=1))
            return replace(effect, within=chance.choice([longer, shorter]))
        case Mediation(is_locked=is_locked):
            return Mediation(not is_locked, frozenset({ActorRole.COORDINATOR} if is_locked else ()))
        case BasisIs(basis=basis):
            return BasisIs(chance.choice([b for b in Basis if b is not basis]))
        case Disclosure(sections=sections):
            return replace(effect, sections=sections ^ {chance.choice(list(Section))})
        case EscalationLevel(to=to):
            return replace(effect, to=(other(chance, [*PARTIES, "city-board"], *to), *to[1:]))
        case Retention(years=years):
            return replace(effect, years=years + 1)
        case PlanDeadline(within=within, is_sent_at_deadline=is_sent):
            longer = Within(working_days=within.working_days + 1)
            return chance.choice([replace(effect, within=longer), replace(effect, is_sent_at_deadline=not is_sent)])
        case SuspectServedBy(lead=lead):
            return SuspectServedBy((other(chance, PARTIES, *lead), *lead[1:]))


def forget_override(chance: random.Random, clause: Clause) -> Clause:
    """One clause that gave way gives way no longer."""
    return replace(clause, overrides=clause.overrides - {chance.choice(sorted(clause.overrides))})


def mutated(seed: int) -> tuple[str, Agreement]:
    """Mutants of every clause, each with a description of the mutation."""
    chance = random.Random(seed)
    agreement = kediri()
    clause = agreement.clauses[seed % len(agreement.clauses)]
    kinds: list[Callable[[random.Random, Clause], Clause]] = [effect]
    kinds += [flip, drop, band] if clause.when else []
    kinds += [forget_override] if clause.overrides else []
    kind = chance.choice(kinds)
    clauses = [kind(chance, other) if other is clause else other for other in agreement.clauses]
    return f"{kind.__name__} {clause.id}", an_agreement(*clauses)


DEADLINES: Final = {
    "REC-H": Within(timedelta(minutes=5)),
    "REC-M": Within(timedelta(minutes=60)),
    "REC-L": Within(timedelta(minutes=1440)),
    "ANS-H": Within(timedelta(minutes=15)),
    "ANS-M": Within(timedelta(minutes=360)),
    "ANS-MP": Within(office_hours=6),
    "ANS-L": Within(working_days=3),
    "CON-H": Within(timedelta(minutes=60)),
    "CON-M": Within(timedelta(minutes=360)),
    "CON-MP": Within(office_hours=6),
    "CON-L": Within(working_days=3),
    "BEG-H": Within(timedelta(minutes=60)),
    "BEG-M": Within(timedelta(minutes=360)),
    "BEG-MP": Within(office_hours=6),
    "BEG-L": Within(working_days=3),
    "TRF-H": Within(timedelta(minutes=120)),
    "TRF-L": Within(working_days=3),
}
"""The agreed deadlines of receipt, answer, contact, beginning and transfer; scenarios state only that of the answer."""


def caught_by(agreement: Agreement, scenarios: list[Scenario]) -> str:
    if inconsistencies(agreement, CITY):
        return "consistency"
    if example_findings(agreement):
        return "example"
    if scenario_findings(agreement, scenarios, CITY):
        return "scenario"
    if any(_deadline_of(agreement, clause) != within for clause, within in DEADLINES.items()):
        return "deadline"
    return "proof" if any(BitsetProver(agreement, agreement.active_from.date()).answers().values()) else ""


def _deadline_of(agreement: Agreement, clause: str) -> Within | None:
    effect = agreement.by_id[clause].effect
    return effect.within if isinstance(effect, ClockRuns) else None


def is_equivalent(agreement: Agreement) -> bool:
    """Whether every question has the same answer in every situation, so that nothing was changed after all."""
    return not list(Comparison(kediri(), agreement, "en").changed_answers())


# Each of several hundred mutations is a check of its own.
@pytest.mark.timeout(600)
def test_every_mutation_is_caught(scenarios: list[Scenario]) -> None:
    mutants = [mutated(seed) for seed in SEEDS]
    uncaught = [(what, agreement) for what, agreement in mutants if not caught_by(agreement, scenarios)]

    survivors = [what for what, agreement in uncaught if not is_equivalent(agreement)]

    assert survivors == []
    assert len(mutants) - len(uncaught) >= 200


def test_the_agreement_itself_is_not_caught(scenarios: list[Scenario]) -> None:
    assert caught_by(kediri(), scenarios) == ""


@pytest.mark.parametrize("seed", range(8))
def test_the_proof_alone_catches_a_forgotten_clause(seed: int) -> None:
    """Clauses of questions that need an answer everywhere; statutory clocks are pinned by scenarios instead."""
    agreement = kediri()
    needed = [
        c
        for c in agreement.clauses
        if c.topic[0] in ("not_needed", "basis", "disclosure", "escalation", "retention") and not c.overrides
    ]
    forgotten = random.Random(seed).choice(needed)
    rest = an_agreement(
        *(
            replace(clause, overrides=clause.overrides - {forgotten.id})
            for clause in agreement.clauses
            if clause is not forgotten
        )
    )

    assert any(BitsetProver(rest, rest.active_from.date()).answers().values())
