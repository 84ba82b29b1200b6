"""What agencies state that they can take, from their statement to the choice of an agency and the timeline."""

from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from simpul_routing import repository
from simpul_routing.api.queries import build_timeline
from simpul_routing.domain.actors import may_know_load
from simpul_routing.errors import AgencyNotEligible, DayTooFar
from simpul_schema.messages.capacity import StatedCapacity
from simpul_schema.vocabulary import ActorRole, Service
from tests.integration.routing.conftest import START, Room
from tests.support.actors import acting
from tests.support.agreements import CITY

SAFE = {"violence": ["psychological"], "safe_now": "yes", "place": "household"}
LEAD = acting("uptd-ppa", ActorRole.AGENCY_LEAD)
TODAY = START.astimezone(CITY.zone).date()


async def read_timeline(room: Room, case_id: UUID, language: str) -> list[str]:
    names = {agency.code: agency.name for agency in CITY.agencies}
    async with room.engine.connect() as connection:
        knows = partial(may_know_load, LEAD)
        lines = await build_timeline(connection, room.keys, case_id, names, language, may_know_load=knows)
    return [line["text"] for line in lines]


async def test_a_full_agency_is_passed_over_until_it_has_room_again(room: Room) -> None:
    limit = StatedCapacity(service=Service.PSYCHOLOGIST, max_open_cases=1)
    await room.capacities.state_capacity(limit, LEAD)

    first, second = await room.report(**SAFE), await room.report(**SAFE)
    offers = [room.find_offer(case, "psychologist") for case in (first, second)]
    await room.reply("accepted", offers[0])
    await room.reply("completed", offers[0], outcome="served")
    third = room.find_offer(await room.report(**SAFE), "psychologist")

    assert offers[0]["agency"] == third["agency"] == "uptd-ppa"
    assert offers[1]["agency"] != "uptd-ppa"
    english, indonesian = [await read_timeline(room, second, language) for language in ("en", "id")]
    assert [line for line in english if "was passed over because it is full (1 open cases, limit 1)" in line]
    assert [line for line in indonesian if "dilewati karena penuh (1 kasus terbuka, batas 1)" in line]


async def test_new_facts_move_nothing_away_from_an_agency_that_became_full(room: Room) -> None:
    case = await room.report(**SAFE)
    before = room.find_offer(case, "psychologist")
    full = StatedCapacity(service=Service.PSYCHOLOGIST, full_until=TODAY + timedelta(days=30))
    await room.capacities.state_capacity(full, LEAD)

    await room.amend(case, pregnant="yes", disability="yes")

    assert room.find_offer(case, "psychologist") == before
    states = await room.rows("SELECT agency, state FROM service WHERE case_id = $1 AND service = 'psychologist'", case)
    assert {"agency": "uptd-ppa", "state": "offered"} in [dict(row) for row in states]


async def test_the_system_of_an_agency_states_what_it_can_take(room: Room) -> None:
    stated = {"service": "psychologist", "full_until": str(TODAY + timedelta(days=3))}
    await room.receive([room.build_own_reply("reply.capacity.stated.v1", "uptd-ppa", services=[stated])])
    passed = room.find_offer(await room.report(**SAFE), "psychologist")
    room.now += timedelta(days=4)
    again = room.find_offer(await room.report(**SAFE), "psychologist")

    assert (passed["agency"] == "uptd-ppa", again["agency"]) == (False, "uptd-ppa")


async def test_life_body_evidence_and_danger_pass_nobody_over(planning_room: Room) -> None:
    """What is needed at once and what the plan brings later, of which little is urgent itself."""
    room = planning_room
    danger = {"safe_now": "no", "violence": ["sexual"], "sexual_under_72h": "yes", "in_school": "no"}
    usual = await room.report(**danger)
    await room.sweep_until(room.now + timedelta(days=7), timedelta(hours=12))
    day = room.now.date() + timedelta(days=30)
    for agency in ("uptd-ppa", "polres-ppa", "rs-rujukan", "dinsos-peksos", "klinik-pendidikan"):
        for service in Service:
            async with room.transaction() as transaction:
                await repository.state_capacity(transaction, agency, service, None, day)

    case = await room.report(**danger)
    await room.sweep_until(room.now + timedelta(days=7), timedelta(hours=12))

    services = "SELECT service, agency, role, urgency FROM service WHERE case_id = $1 ORDER BY 1, 2, 3"
    offered = await room.rows(services, case)
    assert offered == await room.rows(services, usual)
    assert {row["urgency"] for row in offered} > {"high"}
    full = "SELECT kind FROM case_event WHERE case_id = $1 AND kind IN ('agency_passed_over', 'full_agency_chosen')"
    assert await room.rows(full, case) == []


async def test_a_lead_states_only_what_the_agency_may_be_offered_and_for_one_year(room: Room) -> None:
    far = StatedCapacity(service=Service.PSYCHOLOGIST, full_until=TODAY + timedelta(days=400))
    with pytest.raises(AgencyNotEligible):
        await room.capacities.state_capacity(
            StatedCapacity(service=Service.PEP_72H, max_open_cases=1), acting("ylpa", ActorRole.AGENCY_LEAD)
        )
    with pytest.raises(DayTooFar):
        await room.capacities.state_capacity(far, LEAD)

    assert await room.rows("SELECT * FROM agency_capacity") == []


async def test_a_statement_is_in_the_audit_with_who_made_it(room: Room) -> None:
    limit = StatedCapacity(service=Service.PSYCHOLOGIST, max_open_cases=3)
    await room.capacities.state_capacity(limit, LEAD)

    [entry] = await room.rows("SELECT actor, subject, detail FROM audit WHERE action = 'capacity.stated'")
    assert (entry["actor"], entry["subject"]) == (LEAD.code, "agency/uptd-ppa")
    assert entry["detail"] == "uptd-ppa,service:psychologist,max_open:3"


async def test_the_load_counts_each_case_of_an_agency_once_for_a_service(room: Room) -> None:
    cases = [await room.report(**SAFE) for _ in range(2)]
    await room.reply("declined", room.find_offer(cases[1], "psychologist"), reason="no_capacity")

    async with room.engine.connect() as connection:
        load = await repository.count_open_cases(connection, "uptd-ppa")

    assert load["uptd-ppa", "psychologist"] == 1
    assert {agency for agency, _ in load} == {"uptd-ppa"}
