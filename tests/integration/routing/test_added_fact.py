"""A fact that a later agreement adds breaks no open case: each stored situation gets the fact's default."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from simpul_agreement import engine, explain, fact_phrases, facts, phrases
from simpul_agreement.engine import Engines
from simpul_agreement.explain import Explanation, as_text
from simpul_agreement.fact_phrases import FactPhrases
from simpul_agreement.facts import Fact
from simpul_agreement.model import RightNotNeeded, ServiceNeeded
from simpul_cli.stored_decisions import stored_decision
from simpul_schema.vocabulary import Right, Service, Urgency
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD
from tests.support.agreements import CITY, OneWave, a_clause, kediri

WEAPON = Fact("weapon_at_home", ("yes", "no", "unknown"))


@pytest.fixture
def add_fact(monkeypatch: pytest.MonkeyPatch) -> Callable[[Room], None]:
    """The next release: one more fact, and a version of the agreement that decides by it."""

    def release(room: Room) -> None:
        every = (*facts.FACTS, WEAPON)
        for module in (facts, engine, explain, phrases):
            monkeypatch.setattr(module, "FACTS", every)
        defaults = {fact.name: frozenset({fact.default}) for fact in every}
        monkeypatch.setattr(facts, "NOTHING_KNOWN", MappingProxyType(defaults))
        weapon = FactPhrases({"yes": "there is a weapon", "no": "there is no weapon"}, "a weapon may be there")
        monkeypatch.setattr(
            fact_phrases, "FACT_PHRASES", MappingProxyType({**fact_phrases.FACT_PHRASES, WEAPON.name: weapon})
        )
        shelter = ServiceNeeded(Service.SHELTER, Right.SOCIAL_REHABILITATION, ("dinsos-peksos", "uptd-ppa"))
        waiving = frozenset(
            clause.id
            for clause in kediri().clauses
            if isinstance(clause.effect, RightNotNeeded) and clause.effect.right is Right.SOCIAL_REHABILITATION
        )
        added = replace(a_clause("WEA-1", shelter, weapon_at_home=["yes"]), overrides=waiving)
        next_version = replace(
            kediri(), version="2026-12", active_from=START + timedelta(hours=1), clauses=(*kediri().clauses, added)
        )
        assert isinstance(room.versions, OneWave)
        running = room.versions.signed.of("2026-11")
        room.versions.signed._engines = {
            "2026-11": Engines(running.agreement, running.digest),
            "2026-12": Engines(next_version, "next"),
        }

    return release


async def test_an_open_case_without_the_added_fact_is_swept_replanned_and_explained(
    room: Room, add_fact: Callable[[Room], None]
) -> None:
    case = await room.report(violence=["physical"], safe_now="yes", injured="no")
    add_fact(room)
    room.now += timedelta(hours=2)

    await room.sweep_until(START + timedelta(days=3), timedelta(hours=6))
    await room.triage.change_urgency(case, await room.version(case), Urgency.HIGH, by=UPTD, reason="")
    stored = await stored_decision(room.url, case, room.keys.ring)
    engines = room.versions.of(stored.agreement)
    explanation = Explanation(
        engines.agreement, engines.on(START.date()), stored.facts.situation, stored.facts.origin, CITY
    )
    await room.amend(case, injured="yes")

    assert room.find_services("referral.reminded.v1")
    assert room.find_data("case.replanned.v1")[0]["urgency"] == "high"
    assert stored.facts.situation[WEAPON.name] == {"unknown"}
    assert "Agreement: 2026-12" in as_text(explanation, "en", all_clauses=True)
    assert "medical_care" in {entry["service"] for entry in room.find_data("case.replanned.v1")[-1]["added"]}


async def test_a_new_case_is_decided_by_the_added_fact(room: Room, add_fact: Callable[[Room], None]) -> None:
    add_fact(room)
    next_version = room.versions.active(START + timedelta(hours=2))
    situation = facts.situation_from_text({"violence": "physical", "safe_now": "yes", WEAPON.name: "yes"})

    decision = next_version.on(START.date()).decide(situation, engine.Origin())

    assert next_version.agreement.version == "2026-12"
    assert "WEA-1" in decision.clause_ids
