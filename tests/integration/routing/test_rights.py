"""The rights of a case start at triage and follow the services of their leads."""

import json
from typing import Any
from uuid import UUID

from tests.integration.routing.conftest import Room


def standing(room: Room, case: UUID) -> dict[str, str]:
    """Returns the last published state of each right."""
    changes = [entry for event in room.find_data("right.changed.v1", case_id=str(case)) for entry in event["rights"]]
    return {entry["right"]: entry["state"] for entry in changes}


async def stored(room: Room, case: UUID) -> dict[str, Any]:
    rows = await room.rows("SELECT rights, version FROM case_plan WHERE case_id = $1", case)
    return {"version": rows[0]["version"]} | {
        right: entry["state"] for right, entry in json.loads(rows[0]["rights"]).items()
    }


async def test_all_eight_rights_are_published_at_triage(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes", injured="no")

    assert len(standing(room, case)) == 8
    assert standing(room, case)["social_aid"] == "referred"
    assert standing(room, case)["restitution"] == "not_applicable"
    # Whether the child goes to school is unknown, so the right stays unanswered.
    assert standing(room, case)["education"] == "unanswered"
    assert await stored(room, case) == {"version": 1} | standing(room, case)


async def test_a_right_is_fulfilled_when_all_its_services_are(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes", disability_need="yes")
    aid = room.find_offer(case, "social_aid")
    states = []
    for kind, more in (("accepted", {}), ("started", {}), ("completed", {"outcome": "served"})):
        await room.reply(kind, aid, **more)
        states.append(standing(room, case)["social_aid"])

    assert states == ["referred", "in_progress", "fulfilled"]
    # The stages of the case are changes too: accepted, started, and the right twice.
    assert await stored(room, case) == {"version": 5} | standing(room, case)


async def test_a_rerouted_right_stays_referred_until_the_next_agency_fulfils_it(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    await room.reply("declined", room.find_offer(case, "social_aid"), reason="no_capacity")
    between = standing(room, case)["social_aid"]
    next_offer = room.find_offer(case, "social_aid")
    for kind, more in (("accepted", {}), ("completed", {"outcome": "served"})):
        await room.reply(kind, next_offer, **more)

    assert (between, standing(room, case)["social_aid"]) == ("referred", "fulfilled")


async def test_a_victim_who_refuses_answers_the_right(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(case, "social_aid")
    await room.reply("accepted", aid)
    await room.reply("completed", aid, outcome="refused_by_victim")

    assert standing(room, case)["social_aid"] == "refused_by_victim"
