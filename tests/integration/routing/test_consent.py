"""A withdrawn consent: every agency that accepted is notified, and reminded until it acknowledges."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing.errors import CaseChanged
from simpul_schema import Event
from simpul_schema.messages import ReplyWithdrawalAcknowledgedV1
from tests.integration.routing.conftest import START, Room

WITHDRAWN = "referral.consent_withdrawn.v1"


def acknowledgement(referral: dict[str, Any], by: str = "") -> Event:
    agency = by or referral["agency"]
    return ReplyWithdrawalAcknowledgedV1.model_validate({
        "id": uuid4(), "source": f"/kediri/agency/{agency}", "subject": f"referral/{referral['referral_id']}",
        "time": START, "sequence": "0000000003", "correlationid": uuid4(),
        "data": {"referral_id": referral["referral_id"], "agency": agency},
    })  # fmt: skip


async def withdrawn(room: Room) -> tuple[UUID, dict[str, Any], list[dict[str, Any]]]:
    """Withdraws the consent of a case with an accepted and several open referrals; returns the published events."""
    case = await room.report(violence=["sexual"], sexual_under_72h="yes")
    accepted = room.find_offer(case, "forensic_exam")
    await room.reply("accepted", accepted)
    await room.consent.withdraw_consent(case, await room.version(case), by="uptd-ppa", reason="Wenthilora asks for it")
    return case, accepted, room.find_data(WITHDRAWN)


async def steps(room: Room) -> list[str]:
    return [event["type"] for event in room.events if event["data"].get("clock") == "withdrawal"]


async def test_only_agencies_that_accepted_a_referral_are_notified(room: Room) -> None:
    case, accepted, withdrawals = await withdrawn(room)

    assert [(one["referral_id"], one["agency"]) for one in withdrawals] == [
        (accepted["referral_id"], accepted["agency"])
    ]
    assert withdrawals[0]["acknowledge_by"] == "2026-11-30T15:00:00Z"
    assert len(room.find_data("referral.offered.v1", case_id=str(case))) > 1
    assert "Wenthilora" not in str(room.events)
    notes = await room.rows("SELECT note FROM transition WHERE reason = 'consent_withdrawn'")
    assert notes
    assert b"Wenthilora" not in bytes(notes[0]["note"])


async def test_a_missing_acknowledgement_is_escalated_even_after_the_service_ended(room: Room) -> None:
    _, accepted, _ = await withdrawn(room)
    await room.reply("started", accepted)
    await room.reply("completed", accepted, outcome="served")

    await room.sweep_until(START + timedelta(days=7), timedelta(hours=6))

    assert await steps(room) == ["referral.reminded.v1", "referral.overdue.v1", "referral.escalated.v1"]


async def test_an_acknowledgement_stops_the_clock_and_counts_once(room: Room) -> None:
    case, accepted, _ = await withdrawn(room)

    await room.receive([acknowledgement(accepted)])
    await room.receive([acknowledgement(accepted)])
    await room.sweep_until(START + timedelta(days=7), timedelta(hours=6))

    assert await steps(room) == []
    kept = await room.rows(
        "SELECT actor FROM transition WHERE reason = 'withdrawal_acknowledged' AND case_id = $1", case
    )
    assert [row["actor"] for row in kept] == [accepted["agency"]]


async def test_an_acknowledgement_of_nothing_is_refused_with_its_reason(room: Room) -> None:
    case, accepted, _ = await withdrawn(room)
    other = next(
        o for o in room.find_data("referral.offered.v1", case_id=str(case)) if o["agency"] != accepted["agency"]
    )
    unknown = accepted | {"referral_id": str(uuid4())}

    await room.receive([acknowledgement(accepted, by=other["agency"])])
    await room.receive([acknowledgement(other)])
    await room.receive([acknowledgement(unknown)])

    reasons = [refusal["reason"] for refusal in room.find_data("referral.reply_refused.v1")]
    assert reasons == ["not_its_referral", "not_now", "unknown_referral"]


async def test_a_case_that_was_changed_meanwhile_is_not_touched(room: Room) -> None:
    case, _, _ = await withdrawn(room)

    with pytest.raises(CaseChanged):
        await room.consent.withdraw_consent(case, 1, by="uptd-ppa", reason="")
