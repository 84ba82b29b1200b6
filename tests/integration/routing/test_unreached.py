"""What nobody could be reached about is escalated before its deadline, by the same rules as at its deadline."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from simpul_schema.messages import AlertExhaustedV1
from tests.integration.routing.conftest import START, Room
from tests.integration.routing.test_clocks import answer_steps, find_steps


def nobody_reached(offer: Mapping[str, Any], step: int = 0) -> AlertExhaustedV1:
    return AlertExhaustedV1.model_validate(
        {
            "id": uuid4(),
            "source": "/kediri/notify",
            "subject": f"escalation/{uuid4()}",
            "time": START,
            "sequence": "0000000001",
            "correlationid": offer["case_id"],
            "data": {
                "referral_id": offer["referral_id"],
                "case_id": offer["case_id"],
                "agency": offer["agency"],
                "party": offer["agency"],
                "services": [offer["service_id"]],
                "clock": "answer",
                "step": step,
                "urgency": "high",
                "due_at": START,
                "responders": 2,
            },
        }
    )


async def test_the_next_level_learns_at_once_that_nobody_could_be_reached(room: Room) -> None:
    offer = room.find_offer(await room.report(violence=["sexual"], sexual_under_72h="yes"), "forensic_exam")
    room.now = START + timedelta(minutes=5)

    await room.receive([nobody_reached(offer)])
    await room.take_due_steps()
    await room.receive([nobody_reached(offer)])
    await room.take_due_steps()

    assert answer_steps(room, offer) == [("referral.overdue.v1", ["uptd-ppa"])]
    [step] = [s for s in find_steps(room) if (s["service_id"], s["clock"]) == (offer["service_id"], "answer")]
    assert step["reason"] == "nobody_reached"


async def test_when_the_next_level_is_not_reached_either_the_top_follows_and_nothing_is_repeated(room: Room) -> None:
    offer = room.find_offer(await room.report(violence=["sexual"], sexual_under_72h="yes"), "forensic_exam")
    room.now = START + timedelta(minutes=5)

    for step in (0, 100, 200):
        await room.receive([nobody_reached(offer, step)])
        await room.take_due_steps()
    await room.sweep_until(START + timedelta(hours=2), timedelta(minutes=5))

    assert answer_steps(room, offer) == [
        ("referral.overdue.v1", ["uptd-ppa"]),
        ("referral.escalated.v1", ["uptd-ppa-head", "city-board"]),
    ]


async def test_a_step_at_its_time_names_the_deadline_as_its_reason(room: Room) -> None:
    offer = room.find_offer(await room.report(violence=["sexual"], sexual_under_72h="yes"), "forensic_exam")

    await room.sweep_until(START + timedelta(hours=1), timedelta(minutes=1))

    reasons = {step["reason"] for step in find_steps(room) if step["service_id"] == offer["service_id"]}
    assert reasons == {"deadline"}


@pytest.mark.parametrize("is_known", [True, False])
async def test_an_answered_or_unknown_service_is_not_escalated(room: Room, is_known: bool) -> None:
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    offer = room.find_offer(case, "forensic_exam")
    if not is_known:
        offer = {**offer, "service_id": str(uuid4())}
    else:
        await room.reply("accepted", offer)

    await room.receive([nobody_reached(offer)])
    await room.take_due_steps()

    assert answer_steps(room, offer) == []
