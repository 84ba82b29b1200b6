"""Services that an anonymous suggestion never withholds, who decides, and that every case has an offer."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from simpul_agreement.engine import Origin
from simpul_agreement.plan import plan_case
from simpul_agreement.rights import Entry
from simpul_routing.domain.exclusions import (
    HeldPlan,
    Suggestion,
    SuggestionState,
    find_deciding_agency,
    hold_back_referrals,
    protective_services,
)
from simpul_routing.domain.facts import CaseFacts
from simpul_routing.domain.rights import AWAITS_DECISION, mark_awaiting_decision, update_right
from simpul_routing.stored_facts import decode_facts, encode_facts
from simpul_schema.vocabulary import Right, RightState, Service, Urgency
from tests.support.agreements import CITY, HOME, decide, kediri, reported

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
CODES = sorted(CITY.agency_codes)
PENDING, CONFIRMED, REJECTED = SuggestionState


def held(pending: frozenset[str], origin: Origin = HOME, **facts: str) -> HeldPlan:
    plan = plan_case(decide(origin, **facts), kediri(), origin, NOW, CITY.zone)
    situation = reported(**{"residence": "kelurahan", **facts})
    return hold_back_referrals(plan, situation, pending, find_deciding_agency(kediri(), origin, pending), kediri())


def test_what_protects_life_body_or_evidence_never_waits() -> None:
    calm = protective_services(reported(safe_now="yes"), Urgency.LOW)
    danger = protective_services(reported(safe_now="no"), Urgency.HIGH)
    suicidal = protective_services(reported(safe_now="yes", suicidal_sign="yes"), Urgency.HIGH)

    assert calm == {Service.EMERGENCY_PROTECTION, Service.MEDICAL_CARE, Service.FORENSIC_EXAM, Service.PEP_72H}
    assert danger - calm == {Service.SHELTER, Service.CASE_MANAGEMENT, Service.MANUAL_TRIAGE}
    assert suicidal - danger == {Service.PSYCHOLOGIST}


def test_the_hub_decides_and_where_it_is_named_the_next_that_is_not() -> None:
    named = [frozenset[str](), frozenset({"uptd-ppa"}), frozenset({"uptd-ppa", "ylpa"}), frozenset(CODES)]

    assert [find_deciding_agency(kediri(), HOME, pending) for pending in named] == [
        "uptd-ppa",
        "ylpa",
        "polres-ppa",
        "uptd-ppa",
    ]
    assert find_deciding_agency(kediri(), Origin(excluded=frozenset({"uptd-ppa"})), frozenset(CODES)) == "ylpa"


@settings(deadline=None)
@given(
    pending=st.frozensets(st.sampled_from(CODES), max_size=len(CODES)),
    excluded=st.frozensets(st.sampled_from(CODES), max_size=3),
    facts=st.fixed_dictionaries(
        {
            "violence": st.sampled_from(
                ["physical", "sexual", "trafficking+sexual", "neglect", "psychological", "unknown"]
            ),
            "safe_now": st.sampled_from(["yes", "no", "unknown"]),
            "injured": st.sampled_from(["yes", "no", "unknown"]),
            "time_since_event": st.sampled_from(["under_24h", "over_72h"]),
            "suicidal_sign": st.sampled_from(["yes", "no"]),
            "place": st.sampled_from(["household", "school", "other"]),
        }
    ),
)
def test_whatever_agencies_are_suggested_one_is_offered_and_no_emergency_waits(
    pending: frozenset[str], excluded: frozenset[str], facts: dict[str, Any]
) -> None:
    origin = Origin(HOME.satgas, HOME.kecamatan, HOME.centre, excluded)
    plain = plan_case(decide(origin, **facts), kediri(), origin, NOW, CITY.zone)
    protective = protective_services(reported(residence="kelurahan", **facts), plain.urgency)

    found = held(pending, origin, **facts)

    assert found.offered
    offers = {(r.service, r.agency) for r in (*found.offered, *found.proposed)}
    assert {(r.service, r.agency) for r in plain.referrals if r.service in protective} <= offers
    assert {(r.service, r.agency) for r in plain.referrals if r.agency not in pending} <= offers
    # Suggested agencies are offered nothing else, unless there would be no offer at all.
    others = {one for one in offers if one[0] not in protective and one[1] in pending}
    assert others <= {(Service.MANUAL_TRIAGE, find_deciding_agency(kediri(), origin, pending))}
    assert not {agency for _, agency in offers} & excluded


def test_a_right_whose_services_all_wait_awaits_a_decision() -> None:
    ledger = dict.fromkeys(Right, Entry(RightState.UNANSWERED))

    waits = mark_awaiting_decision(ledger, frozenset({Right.SOCIAL_AID}))

    assert waits[Right.SOCIAL_AID] == Entry(RightState.REFERRED, AWAITS_DECISION)
    assert waits[Right.EDUCATION] == Entry(RightState.UNANSWERED)
    assert update_right(waits[Right.SOCIAL_AID], ()) == waits[Right.SOCIAL_AID]


def test_suggestions_survive_being_stored_and_facts_of_an_older_version_have_none() -> None:
    facts = (
        CaseFacts({}).add_suggestions(["ylpa", "rs-rujukan"], NOW).decide_suggestion("ylpa", REJECTED, "uptd-ppa", NOW)
    )

    assert decode_facts(encode_facts(facts)).suggestions == {
        "ylpa": Suggestion(REJECTED, NOW, NOW, "uptd-ppa"),
        "rs-rujukan": Suggestion(PENDING, NOW),
    }
    assert facts.pending == {"rs-rujukan"}
    older = encode_facts(facts).replace(b'"suggestions"', b'"unknown"')
    assert decode_facts(older).suggestions == {}


def test_of_two_cases_a_confirmed_suggestion_counts_and_a_rejected_one_is_looked_at_again() -> None:
    one = (
        CaseFacts({})
        .add_suggestions(["ylpa", "rs-rujukan", "polres-ppa"], NOW)
        .decide_suggestion("ylpa", REJECTED, "x", NOW)
    )
    other = (
        CaseFacts({}).add_suggestions(["ylpa", "rs-rujukan"], NOW).decide_suggestion("rs-rujukan", CONFIRMED, "x", NOW)
    )
    other = other.exclude_agencies(frozenset({"rs-rujukan", "polres-ppa"}), "hospital")

    together = one.merge_duplicate(other)

    assert {code: found.state for code, found in together.suggestions.items()} == {
        "ylpa": PENDING,
        "rs-rujukan": CONFIRMED,
        "polres-ppa": CONFIRMED,
    }
    assert together.pending == {"ylpa"}
