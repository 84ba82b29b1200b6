"""`python -m tests.bench.decisions`: times decisions of a growing agreement and of three rule engines.

The first table is the real engine on Kediri's facts: who leads what until when, with the clauses that made it so. The
second gives every engine the same plain task, because the others know neither precedence nor selectors: the ids of all
clauses that apply.
"""

import gc
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cedarpy
import regopy
import zen

from simpul_agreement.engine import Engine, Origin
from simpul_agreement.facts import FACTS, Situation
from simpul_agreement.model import Agreement, Clause, Condition, Retention, ServiceNeeded
from simpul_agreement.provers.bitset import BitsetProver
from simpul_agreement.provers.solver import SolverProver
from tests.support.agreements import DAY, a_clause, an_agreement, kediri

CLAUSES: Final = (50, 130, 1_000, 10_000)
AGENCIES: Final = (60, 500, 5_000)
DECISIONS: Final = 3_000
SLOWEST: Final = 1.0
"""For the plain task Simpul takes at most this many times as long as the fastest other engine of the same run."""
FLAT: Final = 2.5
"""The median decision takes at most this many times as long with the most clauses or agencies as with the fewest."""
SLOWEST_DECISION: Final = 50.0
"""Microseconds that 99 of 100 decisions by as many clauses as Kediri has take at most."""
PASSES: Final = 5
"""The least of these counts for each situation, because what else the machine does meanwhile is not measured."""
_NARROW: Final = ("complaint_centre", "perpetrator_relation", "age_band", "place", "excluded", "time_of_report")
REGO_CHUNK: Final = 250
"""Rules of one module; in a single one regopy's time grows with their square."""


def main() -> int:
    """Runs the benchmark; returns 1 when a rule is broken."""
    chance = random.Random(1)
    situations = [_situation(chance) for _ in range(DECISIONS)]
    print("Kediri's proof, seconds")
    for prover in (BitsetProver, SolverProver):
        started = time.perf_counter()
        prover(kediri(), kediri().active_from.date()).answers()
        print(f"  {prover.name:8}{time.perf_counter() - started:8.2f}")
    measured = {
        (n, a): _decide(_grown(n, a), a, situations)
        for n, a in [(n, 60) for n in CLAUSES] + [(130, a) for a in AGENCIES]
    }
    print("\na decision with its explanation, microseconds\n clauses agencies    p50    p99")
    for (clauses, agencies), (p50, p99) in measured.items():
        print(f"{clauses:8}{agencies:9}{p50:7.1f}{p99:7.1f}")
    print("\nall clauses that apply, microseconds (median)\n clauses" + "".join(f"{name:>12}" for name in ENGINES))
    plain: dict[int, dict[str, float]] = {}
    for clauses in (50, 1_000, 10_000):
        rules = [_rule(number, chance) for number in range(clauses)]
        facts = [_single_values(situation) for situation in situations[:200]]
        plain[clauses] = {name: _measure_engine(build, rules, facts) for name, build in ENGINES.items()}
        print(f"{clauses:8}" + "".join(f"{median:12.1f}" for median in plain[clauses].values()))
    broken = _broken_rules(measured, plain)
    for rule in broken:
        print(f"BROKEN {rule}")
    return 1 if broken else 0


def _broken_rules(
    measured: Mapping[tuple[int, int], tuple[float, float]], plain: Mapping[int, Mapping[str, float]]
) -> list[str]:
    """Compares figures of this run, because the machine itself may be twice as fast in another one, and p99."""
    by_clauses = [measured[n, 60][0] for n in CLAUSES]
    by_agencies = [measured[130, a][0] for a in AGENCIES]
    found = [
        f"not flat: {max(of) / min(of):.1f} times, at most {FLAT} is wanted"
        for of in (by_clauses, by_agencies)
        if max(of) > FLAT * min(of)
    ]
    slowest = measured[130, 60][1]
    if slowest > SLOWEST_DECISION:
        found.append(f"a decision takes {slowest:.1f} us at the 99th percentile, at most {SLOWEST_DECISION} is wanted")
    for clauses, medians in plain.items():
        fastest = min(median for name, median in medians.items() if name != "Simpul")
        if medians["Simpul"] > SLOWEST * fastest:
            found.append(f"slower than another engine with {clauses} clauses: {medians['Simpul'] / fastest:.1f} times")
    return found


def _situation(chance: random.Random) -> Situation:
    return {
        fact.name: frozenset(chance.sample(fact.values, chance.randint(1, 2)))
        if fact.holds_many
        else frozenset({chance.choice(fact.values)})
        for fact in FACTS
    }


def _grown(clauses: int, agencies: int) -> Agreement:
    """Kediri's clauses, fewer or more of them; added ones have narrow conditions, as in a larger city."""
    chance = random.Random(clauses)
    own = [_for_agencies(clause, agencies, chance) for clause in kediri().clauses if clause.topic[0] != "retention"]
    if clauses < len(own):
        # The fewest that still say everything a decision needs: disclosure and escalation go first.
        kept = [c for c in own if c.topic[0] not in ("disclosure", "escalation")]
        return an_agreement(*kept[:clauses])
    added = [
        a_clause(
            f"N-{number}",
            Retention(next(iter(_SECTIONS)), 1 + number % 9),
            **{fact: [chance.choice(_VALUES[fact])] for fact in _NARROW},
        )
        for number in range(clauses - len(own))
    ]
    return an_agreement(*own, *added)


def _for_agencies(clause: Clause, agencies: int, chance: random.Random) -> Clause:
    if agencies <= 60 or not isinstance(clause.effect, ServiceNeeded):
        return clause
    lead = tuple(f"agency-{chance.randrange(agencies)}" for _ in clause.effect.lead)
    return replace(clause, effect=replace(clause.effect, lead=lead))


_VALUES: Final = {fact.name: fact.values for fact in FACTS}
_SECTIONS: Final = [clause.effect.section for clause in kediri().clauses if isinstance(clause.effect, Retention)]


def _decide(agreement: Agreement, agencies: int, situations: Sequence[Situation]) -> tuple[float, float]:
    engine = Engine(agreement, DAY)
    origins = [
        Origin("satgas-kel-bujel", "satgas-kec-mojoroto", f"agency-{n % agencies}") for n in range(len(situations))
    ]
    passes = [list(_time_decisions(engine, situations, origins)) for _ in range(1 + PASSES)]
    spent = sorted(map(min, zip(*passes[1:], strict=True)))
    return 1e6 * spent[len(spent) // 2], 1e6 * spent[len(spent) * 99 // 100]


def _time_decisions(engine: Engine, situations: Sequence[Situation], origins: Sequence[Origin]) -> Iterator[float]:
    with _no_collection():
        for situation, origin in zip(situations, origins, strict=True):
            started = time.perf_counter()
            decision = engine.decide(situation, origin)
            _ = decision.clause_ids, [clause.when for clause in decision.effective]
            yield time.perf_counter() - started


class _no_collection:  # noqa: N801 - read as a word
    def __enter__(self) -> None:
        gc.collect()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()


@dataclass(frozen=True, slots=True)
class Rule:
    """A conjunction of plain conditions."""

    id: str
    when: Mapping[str, Sequence[str]]


def _rule(number: int, chance: random.Random) -> Rule:
    facts = chance.sample([fact for fact in FACTS if not fact.holds_many], 5)
    return Rule(f"r{number}", {f.name: chance.sample(f.values, chance.randint(1, len(f.values) - 1)) for f in facts})


def _single_values(situation: Situation) -> dict[str, str]:
    return {fact.name: next(iter(situation[fact.name])) for fact in FACTS if not fact.holds_many}


Decide = Callable[[dict[str, str]], set[str]]


def _measure_engine(
    build: Callable[[Sequence[Rule]], Decide], rules: Sequence[Rule], situations: Sequence[dict[str, str]]
) -> float:
    decide = build(rules)
    for facts in situations[:5]:
        wanted = {rule.id for rule in rules if all(facts[fact] in values for fact, values in rule.when.items())}
        if decide(facts) != wanted:
            msg = f"{build.__name__} comes to another result than the rules say"
            raise AssertionError(msg)
    spent = []
    until = time.perf_counter() + 4
    for facts in situations:
        started = time.perf_counter()
        decide(facts)
        spent.append(time.perf_counter() - started)
        if time.perf_counter() > until:
            break
    spent.sort()
    return 1e6 * spent[len(spent) // 2]


def _simpul(rules: Sequence[Rule]) -> Decide:
    effect = Retention(_SECTIONS[0], 1)
    clauses = [
        replace(a_clause(rule.id, effect), when=tuple(Condition(f, frozenset(v)) for f, v in rule.when.items()))
        for rule in rules
    ]
    engine = Engine(an_agreement(*clauses), DAY)
    single = {value: frozenset({value}) for values in _VALUES.values() for value in values}

    def decide(facts: dict[str, str]) -> set[str]:
        situation = {fact: single[value] for fact, value in facts.items()}
        situation["violence"] = single["other"]
        return set(engine.decide(situation, Origin()).clause_ids)

    return decide


def _zen(rules: Sequence[Rule]) -> Decide:
    fields = sorted({fact for rule in rules for fact in rule.when})
    table = {
        "hitPolicy": "collect",
        "inputs": [{"id": field, "name": field, "field": field} for field in fields],
        "outputs": [{"id": "_rule", "name": "id", "field": "id"}],
        "rules": [
            {"_id": r.id, "_rule": json.dumps(r.id), **{f: ", ".join(map(json.dumps, v)) for f, v in r.when.items()}}
            for r in rules
        ],
    }
    nodes = [
        {"id": "in", "name": "in", "type": "inputNode", "content": {}},
        {"id": "table", "name": "table", "type": "decisionTableNode", "content": table},
        {"id": "out", "name": "out", "type": "outputNode"},
    ]
    edges = [
        {"id": "1", "type": "edge", "sourceId": "in", "targetId": "table"},
        {"id": "2", "type": "edge", "sourceId": "table", "targetId": "out"},
    ]
    # With `create_decision` instead of a loader, each call would build the table again.
    engine = zen.ZenEngine({"loader": {"type": "static", "content": {"t": {"nodes": nodes, "edges": edges}}}})
    evaluate: Callable[[str, dict[str, str]], Any] = engine.evaluate
    return lambda facts: {hit["id"] for hit in evaluate("t", facts)["result"]}


def _cedar(rules: Sequence[Rule]) -> Decide:
    def policy(rule: Rule) -> str:
        parts = (" || ".join(f"context.{f} == {json.dumps(v)}" for v in values) for f, values in rule.when.items())
        return f"permit(principal, action, resource) when {{ {' && '.join(f'({part})' for part in parts)} }};"

    policies = cedarpy.PolicySet.from_str("\n".join(map(policy, rules)))
    entities = cedarpy.Entities.from_json_str("[]")
    request = {"principal": 'U::"u"', "action": 'Action::"a"', "resource": 'R::"r"'}

    def decide(facts: dict[str, str]) -> set[str]:
        result = cedarpy.is_authorized({**request, "context": facts}, policies, entities)
        # Cedar numbers policies in the order in which they stand.
        return {rules[int(reason.removeprefix("policy"))].id for reason in result.diagnostics.reasons}

    return decide


def _rego(rules: Sequence[Rule]) -> Decide:
    built = list(_rego_modules(rules))

    def decide(facts: dict[str, str]) -> set[str]:
        given, found = regopy.Input(facts), set()
        for interpreter, bundle in built:
            interpreter.set_input(given)
            found |= set(interpreter.query_bundle_entrypoint(bundle, "p/hits").results[0].expressions[0])
        return found

    return decide


def _rego_modules(rules: Sequence[Rule]) -> Iterator[tuple[Any, Any]]:
    for start in range(0, len(rules), REGO_CHUNK):
        part = rules[start : start + REGO_CHUNK]
        fields = sorted({fact for rule in part for fact in rule.when})
        lines = ["package p", "import rego.v1", *(f"f_{field} := input.{field}" for field in fields)]
        for rule in part:
            tests = (
                f"{{{', '.join(f'{json.dumps(v)}: true' for v in values)}}}[f_{f}]" for f, values in rule.when.items()
            )
            lines.append(f"hits contains {json.dumps(rule.id)} if {{ {'; '.join(tests)} }}")
        interpreter = regopy.Interpreter()
        interpreter.add_module("p.rego", "\n".join(lines))
        yield interpreter, interpreter.build(None, ["p/hits"])


ENGINES: Final[Mapping[str, Callable[[Sequence[Rule]], Decide]]] = {
    "Simpul": _simpul,
    "zen-engine": _zen,
    "cedarpy": _cedar,
    "regopy": _rego,
}

if __name__ == "__main__":
    sys.exit(main())
