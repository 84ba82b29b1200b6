"""The agreement of Kediri, and small ones built from its parties; a test says only what matters to it."""

from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from simpul_routing.agreement import read_agreement
from simpul_routing.domain.agreement import Agreement, Clause, Condition, Effect, Source, Status
from simpul_routing.domain.engine import Decision, Engine, Origin
from simpul_routing.domain.facts import Situation, meant
from simpul_runtime.city import City

KEDIRI = Path(__file__).parents[2] / "deploy" / "kediri"
VERSION = KEDIRI / "agreement" / "2026-11"
CITY = City.read(KEDIRI)
DAY = date(2026, 11, 24)
HOME = Origin(satgas="satgas-kel-bandar-lor", kecamatan="satgas-kec-mojoroto", centre="satgas-kec-kota")


@cache
def kediri() -> Agreement:
    """As it stands in the repository."""
    return read_agreement(VERSION, CITY)


def told(**facts: str) -> Situation:
    """A situation; kinds of violence that hold together are joined by +."""
    return meant(facts)


def decide(origin: Origin = HOME, **facts: str) -> Decision:
    """What Kediri's agreement says of a child of Bandar Lor."""
    return Engine(kediri(), DAY).decide(told(**{"residence": "kelurahan", **facts}), origin)


def a_clause(clause_id: str, effect: Effect, *overrides: str, **when: Any) -> Clause:
    """A clause; `fact=values` or `fact=Condition`."""
    conditions = tuple(
        values if isinstance(values, Condition) else Condition(fact, frozenset(values)) for fact, values in when.items()
    )
    return Clause(
        clause_id, "TEST", conditions, effect, Source("test", "", None, Status.PROJECT_DEFAULT), frozenset(overrides)
    )


def an_agreement(*clauses: Clause) -> Agreement:
    """These clauses between the parties of Kediri."""
    return replace(kediri(), clauses=clauses)
