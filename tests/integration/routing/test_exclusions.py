"""An exclusion by an unverified source is a suggestion: the agency waits until a person decides."""

import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_routing import repository
from simpul_routing.api.queries import build_timeline
from simpul_routing.domain.actors import Actor
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import (
    CaseChanged,
    DecisionOutstanding,
    ExclusionUndecided,
    ReasonMissing,
    SuggestionAlreadyDecided,
    SuggestionUnknown,
)
from simpul_routing.repository import Scope
from simpul_routing.stored_facts import case_context, decode_facts
from simpul_schema.messages.dossier import DisclosureTerms
from simpul_schema.messages.referral import SuggestedExclusions
from simpul_schema.vocabulary import ActorRole, CancelReason, CaseEnd, ReferralRole, Right, RightState, Service, Urgency
from simpul_seal import open_section
from tests.integration.routing.conftest import START, Room
from tests.integration.routing.test_notes import an_erasure
from tests.support.actors import BOARD, UPTD, acting
from tests.support.agreements import CITY

EIGHT = [
    "polres-ppa",
    "uptd-ppa",
    "ylpa",
    "dinsos-peksos",
    "klinik-pendidikan",
    "rs-rujukan",
    "satgas-kel-bujel",
    "satgas-kec-mojoroto",
]
"""Every agency that Kediri's agreement can address for a child of Bujel."""
CALM = {"violence": ["physical"], "kelurahan": "Bujel", "safe_now": "yes", "injured": "no", "place": "household"}
DANGER = {
    "violence": ["sexual"],
    "kelurahan": "Bujel",
    "safe_now": "no",
    "injured": "yes",
    "sexual_under_72h": "yes",
    "suicidal_sign": "yes",
    "perpetrator_lives_with_child": "yes",
    "place": "household",
}


def terms_of(room: Room, event: dict[str, Any]) -> DisclosureTerms:
    """Opens what routing decided about a dossier, with intake's key."""
    opened = open_section(
        event["data"]["sealed"]["terms"]["ciphertext"],
        room.rings["intake"],
        event_id=UUID(event["id"]),
        case_id=UUID(event["correlationid"]),
        section="terms",
    )
    return DisclosureTerms.model_validate_json(opened)


CONFIRMED, REJECTED = SuggestionState.CONFIRMED, SuggestionState.REJECTED


def find_requests(room: Room, case: UUID) -> list[dict[str, Any]]:
    return room.find_data("referral.exclusion_suggested.v1", case_id=str(case))


def offers(room: Room, case: UUID) -> set[tuple[str, str]]:
    return {(one["service"], one["agency"]) for one in room.find_offers(case_id=str(case))}


async def decide(room: Room, case: UUID, agency: str, state: SuggestionState, **more: Any) -> None:
    given: dict[str, Any] = {"by": UPTD, "reason": "asked the family"} | more
    version = given.pop("version", None) or await room.version(case)
    await room.triage.decide_suggestion(case, version, agency, state, **given)


async def rights(room: Room, case: UUID) -> dict[str, dict[str, str]]:
    [row] = await room.rows("SELECT rights FROM case_plan WHERE case_id = $1", case)
    found: dict[str, dict[str, str]] = json.loads(row["rights"])
    return found


def open_suggestions(room: Room, request: dict[str, Any]) -> tuple[str, ...]:
    """Opens the suggested agencies with the key of the reviewing agency."""
    event = next(e for e in room.events if e["data"] is request)
    content = open_section(
        request["sealed"]["suggestions"]["ciphertext"],
        room.rings[request["agency"]],
        event_id=UUID(event["id"]),
        case_id=UUID(event["correlationid"]),
        section="suggestions",
    )
    return SuggestedExclusions.model_validate_json(content).agencies


async def test_eight_suggested_agencies_withhold_no_emergency_and_a_review_is_requested(room: Room) -> None:
    case = await room.report(**DANGER, suggested_exclusions=EIGHT)

    assert offers(room, case) >= {
        ("case_management", "uptd-ppa"), ("emergency_protection", "polres-ppa"), ("medical_care", "rs-rujukan"),
        ("forensic_exam", "rs-rujukan"), ("pep_72h", "rs-rujukan"), ("shelter", "dinsos-peksos"),
        ("psychologist", "uptd-ppa"),
    }  # fmt: skip
    # Other services wait, such as outreach and legal aid.
    assert not {"outreach", "legal_aid", "restitution_information"} & {service for service, _ in offers(room, case)}
    [request] = find_requests(room, case)
    # Every possible reviewer is suggested, so the hub decides and the top level is notified.
    decides = request["agency"]
    assert decides not in EIGHT or set(request["escalation_targets"]) > {decides}
    assert (request["suggestion_count"], request["step"], request["urgency"]) == (8, 0, "high")
    assert datetime.fromisoformat(request["decide_by"]) == START + timedelta(minutes=15)
    assert sorted(open_suggestions(room, request)) == sorted(EIGHT)
    states = {name: entry["state"] for name, entry in (await rights(room, case)).items()}
    plain = await rights(room, await room.report(**DANGER))
    assert states == {name: entry["state"] for name, entry in plain.items()}


async def test_if_every_agency_is_suggested_the_hub_decides_and_the_city_board_is_notified(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=sorted(CITY.agency_codes))

    [request] = find_requests(room, case)
    assert (request["agency"], request["escalation_targets"]) == ("uptd-ppa", ["uptd-ppa", "city-board"])
    # Nothing is urgent, so every service waits; the case still has a manual triage.
    assert offers(room, case) == {("manual_triage", "uptd-ppa")}
    assert {entry["state"] for entry in (await rights(room, case)).values()} <= {
        "referred",
        "not_applicable",
        "unanswered",
    }


async def test_who_is_named_waits_and_hears_nothing_until_a_person_has_decided(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])

    assert room.find_events_sent_to("satgas-kel-bujel") == []
    [request] = find_requests(room, case)
    assert (request["agency"], request["escalation_targets"], open_suggestions(room, request)) == (
        "uptd-ppa",
        ["uptd-ppa"],
        ("satgas-kel-bujel",),
    )
    assert request in [event["data"] for event in room.find_events_sent_to("uptd-ppa")]
    assert "satgas" not in json.dumps([event for event in room.events if "outreach" not in json.dumps(event)])
    # No other agency replaces it meanwhile, and the offers to others are sent.
    services = {service for service, _ in offers(room, case)}
    assert "outreach" not in services
    assert "case_management" in services


async def test_rejected_what_waited_goes_out_at_once(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])
    room.now += timedelta(minutes=40)
    await decide(room, case, "satgas-kel-bujel", REJECTED)

    assert room.find_offer(case, "outreach")["agency"] == "satgas-kel-bujel"
    assert room.find_data("case.replanned.v1")[-1]["why"] == "exclusion_rejected"
    [closed] = room.find_data("referral.exclusion_decided.v1")
    assert closed["referral_id"] == find_requests(room, case)[0]["referral_id"]
    await room.sweep_until(room.now + timedelta(days=2), timedelta(hours=6))
    assert len(find_requests(room, case)) == 1


async def test_a_confirmed_suggestion_excludes_the_agency_and_the_next_is_offered_the_service(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])
    await decide(room, case, "satgas-kel-bujel", CONFIRMED)

    assert room.find_offer(case, "outreach")["agency"] == "satgas-kec-mojoroto"
    assert room.find_data("case.replanned.v1")[-1]["why"] == "agency_excluded"
    await room.amend(case, injured="yes", safe_now="no")
    await room.sweep_until(room.now + timedelta(days=3), timedelta(hours=3))
    assert room.find_events_sent_to("satgas-kel-bujel") == []


async def test_confirmed_even_an_emergency_is_withheld(room: Room) -> None:
    case = await room.report(**DANGER, suggested_exclusions=["polres-ppa"])
    first = room.find_offer(case, "emergency_protection")
    await room.reply("accepted", first)
    before = len(room.find_events_sent_to("polres-ppa"))
    await decide(room, case, "polres-ppa", CONFIRMED)

    assert room.find_offer(case, "emergency_protection")["agency"] != "polres-ppa"
    assert room.find_events_sent_to("polres-ppa")[before:] == []


@pytest.mark.parametrize(
    ("named", "decides"),
    [(["ylpa"], "uptd-ppa"), (["uptd-ppa"], "ylpa"), (["uptd-ppa", "ylpa"], "polres-ppa"),
     ([code for code in EIGHT if code != "rs-rujukan"], "rs-rujukan")],
)  # fmt: skip
async def test_the_first_agency_that_is_not_suggested_decides_starting_with_the_hub(
    room: Room, named: list[str], decides: str
) -> None:
    case = await room.report(**CALM, suggested_exclusions=named)

    assert [(request["agency"], request["escalation_targets"]) for request in find_requests(room, case)] == [
        (decides, [decides])
    ]
    # As if there was no suggestion: nobody finds out by trying whether the own agency is suspected.
    with pytest.raises(SuggestionUnknown):
        await decide(room, case, named[0], REJECTED, by=acting(named[0]))


async def test_the_head_of_a_named_agency_does_not_decide_about_it_either(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["uptd-ppa"])

    with pytest.raises(SuggestionUnknown):
        await decide(room, case, "uptd-ppa", REJECTED, by=acting("uptd-ppa-head"))
    await decide(room, case, "uptd-ppa", REJECTED, by=acting("city-board"))
    assert room.find_offer(case, "case_management")["agency"] == "uptd-ppa"


async def test_without_a_decision_each_next_level_is_notified_once(room: Room) -> None:
    case = await room.report(**DANGER, suggested_exclusions=["satgas-kel-bujel"])
    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=1))

    steps = [(request["step"], request["escalation_targets"]) for request in find_requests(room, case)]
    assert steps == [
        (0, ["uptd-ppa"]), (50, ["uptd-ppa"]), (100, ["uptd-ppa-head"]), (200, ["uptd-ppa-head", "city-board"]),
    ]  # fmt: skip
    # Every step is sent to the reviewing agency too, in one stream.
    sent = [
        event for event in room.find_events_sent_to("uptd-ppa") if event["type"] == "referral.exclusion_suggested.v1"
    ]
    assert [event["sequence"] for event in sent] == [f"{number:010d}" for number in (1, 2, 3, 4)]
    assert {event["subject"] for event in sent} == {f"referral/{find_requests(room, case)[0]['referral_id']}"}


async def test_a_suggested_hub_is_skipped_by_the_escalation(room: Room) -> None:
    case = await room.report(**DANGER, suggested_exclusions=["uptd-ppa"])
    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=1))

    requests = find_requests(room, case)
    assert {request["agency"] for request in requests} == {"ylpa"}
    assert [request["escalation_targets"] for request in requests] == [
        ["ylpa"],
        ["ylpa"],
        ["city-board"],
        ["city-board"],
    ]
    # Its own emergency services are offered to it nevertheless.
    reminded = room.find_services("referral.overdue.v1", case_id=str(case), agency="polres-ppa")
    assert any("uptd-ppa" in entry["escalation_targets"] for entry in reminded)


async def test_a_stranger_neither_delays_an_emergency_nor_floods_the_hub(room: Room) -> None:
    """Fifty reports that suggest every agency, and amendments that suggest them one by one."""
    dice = Random(7)
    for _ in range(50):
        case = await room.report(**DANGER, suggested_exclusions=dice.sample(EIGHT, len(EIGHT)))
        assert {"emergency_protection", "medical_care", "pep_72h"} <= {service for service, _ in offers(room, case)}
        assert all(one["urgency"] == "high" for one in room.find_offers(case_id=str(case)))
        assert len(find_requests(room, case)) == 1
    case = await room.report(**CALM)
    for number in range(1, 9):
        await room.amend(case, suggested_exclusions=EIGHT[2 : 2 + number])
    assert len(find_requests(room, case)) == 1
    rows = await room.rows("SELECT case_id FROM exclusion_review WHERE closed_at IS NULL")
    assert len(rows) == len({row["case_id"] for row in rows}) == 51


async def test_a_suggestion_in_an_amendment_withdraws_nothing_but_new_offers_wait(room: Room) -> None:
    case = await room.report(**CALM)
    outreach = room.find_offer(case, "outreach")
    await room.reply("accepted", outreach)
    counselling = room.find_offers(case_id=str(case), agency="dinsos-peksos")
    await room.amend(case, suggested_exclusions=["satgas-kel-bujel", "dinsos-peksos"], violence=["neglect"])

    assert room.find_services("referral.revoked.v1", agency="satgas-kel-bujel") == []
    assert [request["agency"] for request in find_requests(room, case)] == ["uptd-ppa"]
    after = room.find_offers(case_id=str(case), agency="dinsos-peksos")
    assert after == counselling
    await decide(room, case, "dinsos-peksos", REJECTED)
    assert room.find_offer(case, "social_aid")["agency"] == "dinsos-peksos"
    await decide(room, case, "satgas-kel-bujel", CONFIRMED)
    assert outreach["service_id"] in {one["service_id"] for one in room.find_services("referral.revoked.v1")}


async def test_a_suggested_reviewer_is_replaced_under_the_same_deadline(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])
    room.now += timedelta(hours=1)
    await room.amend(case, suggested_exclusions=["satgas-kel-bujel", "uptd-ppa"])

    first, second = find_requests(room, case)
    assert (first["agency"], second["agency"]) == ("uptd-ppa", "ylpa")
    assert second["decide_by"] == first["decide_by"]
    assert [closed["referral_id"] for closed in room.find_data("referral.exclusion_decided.v1")] == [
        first["referral_id"]
    ]


async def test_more_danger_brings_the_decision_nearer(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["uptd-ppa"])
    assert "case_management" not in {service for service, _ in offers(room, case)}
    room.now += timedelta(minutes=10)
    await room.amend(case, safe_now="no")

    # Services that must not wait any more are offered, even to suggested agencies.
    assert ("case_management", "uptd-ppa") in offers(room, case)
    [row] = await room.rows("SELECT due_at FROM exclusion_review WHERE closed_at IS NULL")
    assert row["due_at"] == START + timedelta(minutes=25)
    assert len(find_requests(room, case)) == 1


async def test_a_serving_agency_learns_no_new_facts_until_a_person_has_cleared_it(room: Room) -> None:
    case = await room.report(**CALM | {"violence": ["sexual"]})
    await room.reply("accepted", room.find_offers(case_id=str(case), agency="ylpa")[0])
    room.now += timedelta(hours=1)
    before = len(room.find_events_sent_to("ylpa"))

    await room.amend(case, suggested_exclusions=["ylpa"], perpetrator_relation="colleague")
    await room.amend(case, suggested_exclusions=["ylpa"], place="workplace")

    assert [event["type"] for event in room.find_events_sent_to("ylpa")[before:]] == []
    assert [one["agency"] for one in room.find_data("referral.amended.v1", case_id=str(case))].count("uptd-ppa") == 2
    await decide(room, case, "ylpa", REJECTED)
    amended = room.find_data("referral.amended.v1", case_id=str(case), agency="ylpa")
    assert len(amended) == 1
    decided = [event for event in room.events if event["type"] == "disclosure.decided.v1"]
    about = [terms_of(room, event) for event in decided if event["data"]["agency"] == "ylpa"]
    assert [(one.is_suspected, one.is_cleared) for one in about] == [(False, False), (True, False), (False, True)]


def cleared_agencies(room: Room) -> list[tuple[UUID, str, int]]:
    """Opens what intake learns of decisions: the case, the agency, and how often reports had named it."""
    found = []
    for event in room.events:
        if event["type"] == "case.agency_cleared.v1":
            case = UUID(event["data"]["case_id"])
            opened = open_section(
                event["data"]["sealed"]["cleared_agency"]["ciphertext"],
                room.rings["intake"],
                event_id=UUID(event["id"]),
                case_id=case,
                section="cleared_agency",
            )
            content = json.loads(opened)
            found.append((case, content["agency"], content["namings"]))
    return found


async def test_intake_alone_learns_whom_a_person_cleared_also_where_that_agency_serves_nothing(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])

    await decide(room, case, "satgas-kel-bujel", REJECTED)

    (event,) = [one for one in room.events if one["type"] == "case.agency_cleared.v1"]
    assert "satgas-kel-bujel" not in str(event)
    assert cleared_agencies(room) == [(case, "satgas-kel-bujel", 1)]


async def test_intake_learns_of_each_report_of_merged_cases_that_its_naming_was_decided(room: Room) -> None:
    case, duplicate = [await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"]) for _ in range(2)]
    await decide(room, duplicate, "satgas-kel-bujel", REJECTED)
    await room.end.merge_cases(duplicate, await room.version(duplicate), case, by=UPTD, reason="the same child")

    await decide(room, case, "satgas-kel-bujel", REJECTED)

    first, *others = cleared_agencies(room)
    assert first == (duplicate, "satgas-kel-bujel", 1)
    assert sorted(others) == sorted((one, "satgas-kel-bujel", 1) for one in (case, duplicate))


async def test_intake_learns_after_an_upgrade_whom_people_had_cleared_before(room: Room) -> None:
    cases = [await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel", "ylpa"]) for _ in range(3)]
    case, undecided, erased = cases
    for one in (case, erased):
        await decide(room, one, "satgas-kel-bujel", REJECTED)
    await room.receive([an_erasure(room, erased)])
    before = len(cleared_agencies(room))
    await room.rows("INSERT INTO earlier_disclosure SELECT case_id, $1 FROM case_plan", room.now)

    assert await room.earlier_disclosures.decide_due(room.now) == len({case, undecided, erased})

    assert cleared_agencies(room)[before:] == [(case, "satgas-kel-bujel", 1)]
    assert await room.rows("SELECT * FROM earlier_disclosure") == []


async def test_the_people_of_a_suspected_agency_are_not_warned(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])
    async with room.transaction() as transaction:
        facts = (await room.see.find_case(transaction.connection, case, UPTD)).facts

    suspected = replace(UPTD, agency="satgas-kel-bujel")
    assert room.see.may_know_of_suggestions(UPTD, facts.pending)
    assert not room.see.may_know_of_suggestions(suspected, facts.pending)
    # Nor by the history of the case, the next deadline in a list, or the number of open reviews.
    room.now += timedelta(days=3)
    await room.sweep_until(room.now, timedelta(days=1))
    await room.rows("UPDATE exclusion_review SET due_at = '2000-01-01'")
    async with room.engine.connect() as connection:
        hidden = room.see.find_hidden_events(suspected, facts)
        lines = await build_timeline(connection, room.keys, case, {}, "en", hidden)
        scopes = [await room.see.find_scope(connection, by) for by in (UPTD, suspected)]
        counts = [await repository.count_open_reviews(connection, scope) for scope in scopes]
        first = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
        listed = [await repository.list_open_reviews(connection, first, 5, scope) for scope in scopes]
        due = [await list_next_due(connection, replace(scope, agency=None)) for scope in scopes]
    assert not [line for line in lines if "exclusion" in line["text"]]
    assert (counts, [len(rows) for rows in listed]) == ([1, 0], [1, 0])
    assert due[0] == "exclusion_review" != due[1]
    await decide(room, case, "satgas-kel-bujel", REJECTED)
    async with room.transaction() as transaction:
        decided = (await room.see.find_case(transaction.connection, case, UPTD)).facts
    assert room.see.may_know_of_suggestions(suspected, decided.pending)


async def list_next_due(connection: AsyncConnection, scope: Scope) -> str:
    first = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
    [row] = await repository.list_cases(connection, first, 5, scope, is_open=True, urgency=None)
    return str(row["next_due"])


async def test_where_every_agency_is_suggested_the_hub_sees_what_it_decides_about_others(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=EIGHT)
    async with room.transaction() as transaction:
        facts = (await room.see.find_case(transaction.connection, case, UPTD)).facts
        scope = await room.see.find_scope(transaction.connection, UPTD)
        count = await repository.count_open_reviews(transaction.connection, scope)

    assert find_requests(room, case)[0]["agency"] == "uptd-ppa"
    known = room.see.list_known_suggestions(UPTD, facts, "uptd-ppa")
    assert {code for code, _ in known} == set(EIGHT) - {"uptd-ppa"}
    assert count == 1
    assert room.see.list_known_suggestions(acting("ylpa"), facts, "uptd-ppa") == []


async def test_a_decision_is_made_once_on_what_was_read_and_with_a_reason(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["ylpa"])
    version = await room.version(case)

    with pytest.raises(CaseChanged):
        await decide(room, case, "ylpa", CONFIRMED, version=version + 5)
    with pytest.raises(ReasonMissing):
        await decide(room, case, "ylpa", CONFIRMED, reason="")
    with pytest.raises(SuggestionUnknown):
        await decide(room, case, "polres-ppa", CONFIRMED)
    await decide(room, case, "ylpa", CONFIRMED, version=version)
    before = len(room.events)
    await decide(room, case, "ylpa", CONFIRMED, version=version)
    assert len(room.events) == before
    with pytest.raises(SuggestionAlreadyDecided):
        await decide(room, case, "ylpa", REJECTED)


async def test_an_agency_that_is_named_again_is_decided_about_again(room: Room) -> None:
    case = await room.report(**CALM | {"violence": ["sexual"]}, suggested_exclusions=["ylpa"])
    await decide(room, case, "ylpa", REJECTED)
    await room.reply("accepted", room.find_offers(case_id=str(case), agency="ylpa")[0])
    before = len(room.find_events_sent_to("ylpa"))
    room.now += timedelta(hours=1)
    await room.amend(case, suggested_exclusions=["ylpa", "ylpa"], place="workplace")

    assert len(find_requests(room, case)) == 2
    assert room.find_events_sent_to("ylpa")[before:] == []
    await decide(room, case, "ylpa", REJECTED)
    decided = [event for event in room.events if event["type"] == "disclosure.decided.v1"]
    about = [terms_of(room, event) for event in decided if event["data"]["agency"] == "ylpa"]
    assert [(one.is_suspected, one.cleared_namings) for one in about] == [(False, 1), (True, 0), (False, 2)]
    assert len(room.find_data("referral.amended.v1", case_id=str(case), agency="ylpa")) == 1


async def test_a_rejected_suggestion_is_not_reviewed_again(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["ylpa"])
    await decide(room, case, "ylpa", REJECTED)
    await room.amend(case, suggested_exclusions=["ylpa"], injured="yes")

    assert len(find_requests(room, case)) == 1
    # A person can still exclude the agency.
    await room.triage.exclude_agency(case, await room.version(case), "ylpa", by=UPTD, reason="now it is known")
    assert room.find_data("case.replanned.v1")[-1]["why"] == "agency_excluded"


async def test_an_exclusion_by_hand_decides_what_was_suggested(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["ylpa"])
    await room.triage.exclude_agency(case, await room.version(case), "ylpa", by=UPTD, reason="known")

    assert len(room.find_data("referral.exclusion_decided.v1")) == 1
    await decide(room, case, "ylpa", CONFIRMED)
    with pytest.raises(SuggestionAlreadyDecided):
        await decide(room, case, "ylpa", REJECTED)


async def test_merged_cases_unite_what_was_suggested(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])
    duplicate = await room.report(**CALM | {"kelurahan": ""}, suggested_exclusions=["ylpa", "dinsos-peksos"])
    await decide(room, duplicate, "dinsos-peksos", CONFIRMED)
    await room.end.merge_cases(duplicate, await room.version(duplicate), case, by=UPTD, reason="the same child")

    rows = await room.rows("SELECT case_id FROM exclusion_review WHERE closed_at IS NULL")
    assert [row["case_id"] for row in rows] == [case]
    [row] = await room.rows("SELECT situation FROM case_plan WHERE case_id = $1", case)
    pending = decode_facts(room.keys.decrypt(row["situation"], associated_data=case_context(case))).pending
    assert pending == {"satgas-kel-bujel", "ylpa"}
    assert room.find_events_sent_to("satgas-kel-bujel") == []
    await room.amend(case, safe_now="no", perpetrator_lives_with_child="yes")
    assert room.find_offer(case, "shelter")["agency"] != "dinsos-peksos"
    await decide(room, case, "satgas-kel-bujel", REJECTED)
    assert ("outreach", "satgas-kel-bujel") in offers(room, case)


async def test_a_review_ends_with_its_case_and_starts_again_when_it_is_reopened(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])
    with pytest.raises(ExclusionUndecided):
        await room.end.close_case(case, await room.version(case), CaseEnd.COMPLETED, by=UPTD, reason="")
    await room.end.close_case(case, await room.version(case), CaseEnd.CLOSED, by=UPTD, reason="moved away")
    await room.sweep_until(START + timedelta(days=2), timedelta(hours=6))
    assert len(find_requests(room, case)) == 1

    await room.end.reopen_case(case, await room.version(case), by=UPTD, reason="came back")
    assert len(find_requests(room, case)) == 2
    assert room.find_events_sent_to("satgas-kel-bujel") == []


async def test_a_refusal_does_not_warn_the_people_of_a_suspected_agency(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["uptd-ppa"])
    duplicate = await room.report(**CALM)
    await room.reply("accepted", room.find_offer(duplicate, "case_management"))

    async def attempts(by: Actor) -> AsyncIterator[Awaitable[object]]:
        version = await room.version(case)
        yield room.end.close_case(case, version, CaseEnd.COMPLETED, by=by, reason="")
        yield room.triage.offer_service(
            case, version, Service.PSYCHOLOGIST, "uptd-ppa", ReferralRole.LEAD, by=by, reason="x"
        )
        yield room.end.merge_cases(duplicate, await room.version(duplicate), case, by=by, reason="the same child")

    for agency, refusal in (("uptd-ppa", DecisionOutstanding), ("uptd-ppa-head", DecisionOutstanding)):
        async for attempt in attempts(acting(agency, ActorRole.COORDINATOR)):
            with pytest.raises(refusal):
                await attempt
    async for attempt in attempts(BOARD):
        with pytest.raises(ExclusionUndecided):
            await attempt
    # A version of the case that is out of date does not show a difference either.
    for agency in ("uptd-ppa", "ylpa"):
        with pytest.raises(SuggestionUnknown):
            await room.triage.decide_suggestion(
                case, 1_000, agency, REJECTED, by=acting("uptd-ppa", ActorRole.AGENCY_LEAD), reason="x"
            )


async def test_the_people_of_a_suspected_agency_take_no_help_and_no_urgency_away(room: Room) -> None:
    case = await room.report(**CALM | {"safe_now": "no"}, suggested_exclusions=["uptd-ppa"])
    offer = room.find_offer(case, "outreach")
    suspected, triage = acting("uptd-ppa", ActorRole.CASE_MANAGER), room.triage

    async def attempts(by: Actor) -> AsyncIterator[Awaitable[object]]:
        version, reason = await room.version(case), "a misunderstanding"
        yield triage.change_urgency(case, version, Urgency.LOW, by=by, reason=reason)
        yield triage.cancel_services(
            case, version, UUID(offer["referral_id"]), CancelReason.TAKEN_BACK, by=by, reason=reason
        )
        yield triage.exclude_agency(case, version, "ylpa", by=by, reason=reason)
        yield room.end.answer_right(case, version, Right.EDUCATION, RightState.NOT_APPLICABLE, by=by, reason=reason)
        yield room.end.void_case(case, version, by=by, reason=reason)
        yield room.end.close_case(case, version, CaseEnd.CLOSED, by=by, reason=reason)

    clocks = await room.rows("SELECT * FROM clock ORDER BY service_id, clock")
    async for attempt in attempts(suspected):
        with pytest.raises(DecisionOutstanding):
            await attempt
    assert await room.rows("SELECT * FROM clock ORDER BY service_id, clock") == clocks

    # What helps the child they may do at any time, and everything once a person has cleared their agency.
    version = await room.version(case)
    await triage.offer_service(
        case, version, Service.MEDICAL_CARE, "rs-rujukan", ReferralRole.LEAD, by=suspected, reason="she is hurt"
    )
    await decide(room, case, "uptd-ppa", REJECTED, by=acting("ylpa"))
    await triage.change_urgency(case, await room.version(case), Urgency.LOW, by=suspected, reason="visited")


async def test_an_offer_by_hand_to_a_waiting_agency_requires_a_decision_unless_the_child_is_in_danger(
    room: Room,
) -> None:
    calm = await room.report(**CALM, suggested_exclusions=["ylpa", "rs-rujukan"])
    for service, agency in ((Service.LEGAL_AID, "ylpa"), (Service.PSYCHOLOGIST, "rs-rujukan")):
        with pytest.raises(ExclusionUndecided):
            await room.triage.offer_service(
                calm, await room.version(calm), service, agency, ReferralRole.LEAD, by=UPTD, reason="x"
            )
    await room.triage.offer_service(
        calm, await room.version(calm), Service.MEDICAL_CARE, "rs-rujukan", ReferralRole.LEAD, by=UPTD, reason="x"
    )
    assert ("medical_care", "rs-rujukan") in offers(room, calm)


async def test_a_declined_service_is_not_rerouted_to_a_waiting_agency(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kec-mojoroto"])
    await room.reply("declined", room.find_offer(case, "outreach"), reason="no_capacity")

    assert room.find_events_sent_to("satgas-kec-mojoroto") == []
    [successor] = room.find_services("referral.rerouted.v1", case_id=str(case))
    assert successor["next_agency"] not in ("satgas-kec-mojoroto", "")


async def test_a_lowered_risk_and_another_exclusion_leave_who_waits_where_it_is(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])
    await room.triage.change_urgency(case, await room.version(case), Urgency.LOW, by=UPTD, reason="seen")
    await room.triage.exclude_agency(case, await room.version(case), "ylpa", by=UPTD, reason="too close")
    await room.amend(case, disability_need="yes")

    assert room.find_events_sent_to("satgas-kel-bujel") == []
    assert len(find_requests(room, case)) == 1
    assert (await rights(room, case))["prompt_response"]["state"] == "referred"


async def test_the_history_shows_suggestion_and_decision_and_stores_neither_in_clear(room: Room) -> None:
    case = await room.report(**CALM, suggested_exclusions=["satgas-kel-bujel"])
    await decide(room, case, "satgas-kel-bujel", REJECTED, reason="Wenthilora's aunt says otherwise")

    async with room.engine.connect() as connection:
        shown = {
            language: " | ".join(
                line["text"] for line in await build_timeline(connection, room.keys, case, {}, language)
            )
            for language in ("id", "en")
        }
    assert "an unverified source suggested an exclusion, routing: satgas-kel-bujel" in shown["en"]
    by = f"Case coordinator uptd-ppa [{UPTD.code[:8]}]"
    assert f"A suggested exclusion was rejected, {by}: satgas-kel-bujel: Wenthilora's aunt" in shown["en"]
    assert "sumber yang tidak dikenal mengusulkan pengecualian" in shown["id"]
    assert "Usulan pengecualian ditolak" in shown["id"]
    stored = await room.rows("SELECT row_to_json(t)::text AS line FROM case_event t WHERE service_id IS NULL")
    stored += await room.rows("SELECT row_to_json(a)::text AS line FROM exclusion_review a")
    assert not [row for row in stored if "satgas-kel-bujel" in row["line"] or "Wenthilora" in row["line"]]


async def test_every_case_has_an_offer_whatever_exclusions_are_suggested(room: Room) -> None:
    """R10 under suggestions: random reports, named agencies, decisions and declines."""
    dice = Random(20261126)
    for _ in range(60):
        facts = {
            "violence": dice.sample(["physical", "sexual", "neglect", "psychological", "unknown", "trafficking"], 2),
            "safe_now": dice.choice(["yes", "no", "unknown"]),
            "injured": dice.choice(["yes", "no"]),
            "place": dice.choice(["household", "school"]),
            "kelurahan": dice.choice(["Bujel", "", "Bandar Lor"]),
            "suicidal_sign": dice.choice(["yes", "no"]),
            "complaint_centre": dice.choice(["", *EIGHT]),
        }
        named = (
            dice.sample(sorted(CITY.agency_codes), dice.randint(0, 55))
            if dice.random() < 0.4
            else (dice.sample(EIGHT, dice.randint(1, 8)))
        )
        case = await room.report(**facts, suggested_exclusions=named)
        offered = offers(room, case)
        assert offered, facts
        assert len(find_requests(room, case)) == bool(named)
        protective = {"emergency_protection", "medical_care", "forensic_exam", "pep_72h"}
        held = {agency for service, agency in offered if service not in protective} & set(named)
        if facts["safe_now"] == "yes" and not room.find_offers(case_id=str(case), urgency="high"):
            assert held == set() or offered == {("manual_triage", "uptd-ppa")} or facts["suicidal_sign"] == "yes"
        ledger = await rights(room, case)
        free = await room.report(**facts)
        plain = {name: entry["state"] for name, entry in (await rights(room, free)).items()}
        assert {name: entry["state"] for name, entry in ledger.items()} == plain
        for agency in named[:2]:
            await decide(room, case, agency, dice.choice([CONFIRMED, REJECTED]), by=BOARD)
        [row] = await room.rows("SELECT count(*) AS n FROM service WHERE case_id = $1 AND ended_at IS NULL", case)
        assert row["n"], (facts, named)
