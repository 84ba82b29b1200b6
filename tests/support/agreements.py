"""Builders: the agreement of Kediri, small agreements between its parties, and situations."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from simpul_agreement import Versions, read_agreement
from simpul_agreement.engine import Decision, Engine, Engines, Origin
from simpul_agreement.facts import Situation, situation_from_text
from simpul_agreement.model import (
    Agreement,
    Clause,
    ClockRuns,
    Condition,
    Effect,
    Phase,
    PlanDeadline,
    ServiceNeeded,
    Source,
    Status,
)
from simpul_agreement.versions import sign_version, signatories
from simpul_city import City
from simpul_runtime.signing import Keys
from simpul_seal import Directory, KeyRing, WatchedDirectory, generate

KEDIRI = Path(__file__).parents[2] / "deploy" / "kediri"
VERSION = KEDIRI / "agreement" / "2026-11"
CITY = City.read(KEDIRI)
DAY = date(2026, 11, 24)
HOME = Origin(satgas="satgas-kel-bandar-lor", kecamatan="satgas-kec-mojoroto", centre="satgas-kec-kota")


@cache
def kediri() -> Agreement:
    """Reads the agreement of the repository."""
    return read_agreement(VERSION, CITY)


def in_one_wave(agreement: Agreement) -> Agreement:
    """Offers every service at once with the urgency of the case, so that a test need not confirm a service plan."""
    clauses = []
    for clause in agreement.clauses:
        match clause.effect:
            case ServiceNeeded() as need:
                clauses.append(replace(clause, effect=replace(need, phase=Phase.IMMEDIATE, max_urgency=None)))
            case ClockRuns(phase=Phase.PLANNED) | PlanDeadline():
                continue
            case _:
                clauses.append(clause)
    return replace(agreement, clauses=tuple(clauses))


@cache
def _engines_in_one_wave(engines: Engines) -> Engines:
    return Engines(in_one_wave(engines.agreement), engines.digest)


class OneWave:
    """The versions of a city without service plans."""

    def __init__(self, versions: Versions) -> None:
        self.signed = versions

    def active(self, now: datetime) -> Engines:
        return _engines_in_one_wave(self.signed.active(now))

    def of(self, version: str) -> Engines:
        return _engines_in_one_wave(self.signed.of(version))


def reported(**facts: str) -> Situation:
    """Builds a situation; several kinds of violence are joined by +."""
    return situation_from_text(facts)


def decide(origin: Origin = HOME, **facts: str) -> Decision:
    """Decides by Kediri's agreement on a child of Bandar Lor."""
    return Engine(kediri(), DAY).decide(reported(**{"residence": "kelurahan", **facts}), origin)


def a_clause(clause_id: str, effect: Effect, *overrides: str, **when: Any) -> Clause:
    """Builds a clause; `fact=values` or `fact=Condition`."""
    conditions = tuple(
        values if isinstance(values, Condition) else Condition(fact, frozenset(values)) for fact, values in when.items()
    )
    return Clause(
        clause_id, "TEST", conditions, effect, Source("test", "", None, Status.PROJECT_DEFAULT), frozenset(overrides)
    )


def an_agreement(*clauses: Clause) -> Agreement:
    """Builds an agreement of these clauses between the parties of Kediri."""
    return replace(kediri(), clauses=clauses)


def signed_city(folder: Path, now: datetime) -> tuple[Versions, Keys, Mapping[str, KeyRing]]:
    """Copies Kediri into a folder, signed by every party; returns the versions, routing's keys and all key rings."""
    parties = ["intake", "routing", *(agency.code for agency in CITY.agencies)]
    pairs = {
        party: generate(party, not_before=now - timedelta(days=60), not_after=now + timedelta(days=600))
        for party in parties
    }
    shutil.copytree(KEDIRI, folder / "city")
    version = folder / "city" / "agreement" / "2026-11"
    for party in signatories(kediri(), CITY):
        sign_version(version, pairs[party][0], now)
    Directory([public for _, public in pairs.values()]).write(folder / "directory.json")
    keys = Keys(pairs["routing"][0], WatchedDirectory(folder / "directory.json"))
    versions = Versions(version.parent, CITY, keys.directory)
    versions.read(now)
    return versions, keys, {party: ring for party, (ring, _) in pairs.items()}
