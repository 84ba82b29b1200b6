"""The running engine decides Kediri's cases as the domain demands."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_agreement.engine import Decision, Engine, Engines, Origin
from simpul_agreement.facts import FACTS, NOTHING_KNOWN, Situation
from simpul_agreement.masks import bits_of
from simpul_agreement.model import Mediation, UrgencyIs
from simpul_agreement.properties import POWER_OVER_THE_CHILD
from simpul_schema.vocabulary import ActorRole, Service, Urgency
from tests.support.agreements import CITY, DAY, HOME, a_clause, an_agreement, decide, kediri, reported


def led_by(decision: Decision) -> dict[Service, str]:
    return {assigned.service: assigned.lead for assigned in decision.assignments}


def addressed(decision: Decision) -> set[str]:
    return {agency for assigned in decision.assignments for agency in (assigned.lead, *assigned.support)}


@pytest.mark.parametrize("violence", ["sexual", "trafficking", "sexual+other"])
def test_r1_sexual_violence_and_trafficking_reach_police_and_hub_and_lock_mediation(violence: str) -> None:
    decision = decide(violence=violence)

    assert {"polres-ppa", "uptd-ppa"} <= addressed(decision)
    assert decision.mediation_is_locked


@pytest.mark.parametrize(
    "facts",
    [
        {"violence": "sexual", "perpetrator_is_child": "yes"},
        {"safe_now": "no"},
        *({"perpetrator_relation": relation} for relation in POWER_OVER_THE_CHILD),
    ],
)
def test_mediation_is_locked_where_the_child_cannot_agree_freely(facts: dict[str, str]) -> None:
    assert decide(HOME, **{"violence": "physical", "perpetrator_relation": "neighbour"} | facts).mediation_is_locked


def test_an_open_mediation_names_who_may_open_it() -> None:
    mediation = decide(violence="physical", perpetrator_relation="neighbour", safe_now="yes").mediation
    assert mediation == Mediation(is_locked=False, opened_by=frozenset({ActorRole.CASE_MANAGER, ActorRole.COORDINATOR}))


def test_r3_immediate_danger_calls_emergency_where_the_child_reported() -> None:
    decision = decide(Origin(centre="satgas-kec-kota"), safe_now="no", residence="unknown")

    emergency = next(a for a in decision.assignments if a.service is Service.EMERGENCY_PROTECTION)
    assert (emergency.lead, emergency.support) == ("polres-ppa", ("satgas-kec-kota",))
    assert decision.urgency is Urgency.HIGH


def test_r5_a_suspect_who_is_a_child_is_served_by_nobody_who_serves_the_victim() -> None:
    decision = decide(violence="sexual", perpetrator_is_child="yes")

    assert decision.suspect_served_by
    assert decision.suspect_served_by not in addressed(decision)


@pytest.mark.parametrize("facts", [{"residence": "unknown"}, {"violence": "unknown"}])
def test_r9_what_cannot_be_placed_goes_to_the_hub_for_manual_triage(facts: dict[str, str]) -> None:
    assert led_by(decide(HOME, **facts))[Service.MANUAL_TRIAGE] == "uptd-ppa"


def test_an_excluded_lead_is_passed_over_for_the_next() -> None:
    origin = Origin(HOME.satgas, HOME.kecamatan, excluded=frozenset({HOME.satgas}))

    assert led_by(decide(origin, safe_now="unknown"))[Service.OUTREACH] == HOME.kecamatan


_situations = st.fixed_dictionaries(
    {
        fact.name: st.frozensets(st.sampled_from(fact.values), min_size=1, max_size=8 if fact.holds_many else 1)
        for fact in FACTS
    }
)
_origins = st.builds(
    Origin,
    satgas=st.sampled_from(["", *(ward.satgas for ward in CITY.kelurahan)]),
    kecamatan=st.sampled_from(["", "satgas-kec-kota"]),
    centre=st.sampled_from(["", *sorted(CITY.agency_codes)]),
    excluded=st.frozensets(st.sampled_from(sorted(CITY.agency_codes)), max_size=6),
)
ENGINE = Engine(kediri(), DAY)


@given(_situations, _origins)
def test_r6_excluded_agencies_are_never_addressed(situation: Situation, origin: Origin) -> None:
    decision = ENGINE.decide(situation, origin)

    assert not addressed(decision) & origin.excluded


@given(_situations, _origins)
def test_r10_a_service_has_one_lead_that_does_not_support_it_as_well(situation: Situation, origin: Origin) -> None:
    decision = ENGINE.decide(situation, origin)

    services = [assigned.service for assigned in decision.assignments]
    assert len(services) == len(set(services))
    assert all(assigned.lead not in assigned.support for assigned in decision.assignments)
    assert addressed(decision) - {""} <= CITY.agency_codes


@given(_situations)
def test_the_order_of_clauses_never_matters(situation: Situation) -> None:
    reversed_ = Engine(an_agreement(*reversed(kediri().clauses)), DAY).decide(situation, HOME)

    decision = ENGINE.decide(situation, HOME)

    assert set(reversed_.clause_ids) == set(decision.clause_ids)
    assert {(a.service, a.lead, a.support) for a in reversed_.assignments} == {
        (a.service, a.lead, a.support) for a in decision.assignments
    }


def test_an_overridden_clause_does_not_decide() -> None:
    strong = a_clause("STRONG", UrgencyIs(Urgency.HIGH), "WEAK", safe_now=["no"])
    weak = a_clause("WEAK", UrgencyIs(Urgency.LOW))
    engine = Engine(an_agreement(weak, strong), DAY)

    decisions = [engine.decide(reported(safe_now=answer), HOME).clause_ids for answer in ("no", "yes")]

    assert decisions == [("STRONG",), ("WEAK",)]


def test_a_clause_counts_from_its_first_day_until_before_its_last() -> None:
    dated = replace(
        a_clause("DATED", UrgencyIs(Urgency.HIGH)), valid_from=date(2026, 12, 1), valid_until=date(2026, 12, 3)
    )
    engines = Engines(an_agreement(dated))

    found = [bool(engines.on(date(2026, *day)).clauses) for day in ((11, 30), (12, 1), (12, 2), (12, 3))]

    assert found == [False, True, True, False]


@pytest.mark.parametrize("positions", [[], [0, 7, 8, 63, 511], [0, 7, 8, 63, 64, 511, 512, 1000, 9999]])
def test_bits_are_found_wherever_they_are(positions: list[int]) -> None:
    assert bits_of(sum(1 << position for position in positions)) == positions


def test_every_minute_of_the_week_has_its_band() -> None:
    assert set(kediri().hours) == set(range(7 * 24 * 60))


def test_unknown_is_a_value_of_every_fact() -> None:
    assert {fact.name for fact in FACTS if NOTHING_KNOWN[fact.name] <= set(fact.values)} == set(NOTHING_KNOWN)
