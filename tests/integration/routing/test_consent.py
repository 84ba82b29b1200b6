"""A withdrawn consent: every agency that accepted is notified, and reminded until it acknowledges."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing.domain.consents import ConsentGiver, ConsentTerms, ConsentWay
from simpul_routing.errors import CaseChanged
from simpul_schema import Event
from simpul_schema.messages import ReplyWithdrawalAcknowledgedV1
from simpul_schema.vocabulary import Relation, Right, Service
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD
from tests.support.agreements import kediri

WITHDRAWN = "referral.consent_withdrawn.v1"


def acknowledgement(referral: dict[str, Any], by: str = "", about: str | None = None) -> Event:
    """Builds an acknowledgement; `about` is the id of the event about the withdrawal."""
    agency = by or referral["agency"]
    return ReplyWithdrawalAcknowledgedV1.model_validate(
        {
            "id": uuid4(),
            "source": f"/kediri/agency/{agency}",
            "subject": f"referral/{referral['referral_id']}",
            "time": START,
            "sequence": "0000000003",
            "correlationid": uuid4(),
            "causationid": about,
            "data": {"referral_id": referral["referral_id"], "agency": agency},
        }
    )


BY_CONSENT: dict[str, Any] = {
    "violence": ["physical", "psychological"],
    "age_band": "from_6_to_11",
    "safe_now": "yes",
    "injured": "no",
    "perpetrator_relation": "teacher",
    "perpetrator_lives_with_child": "no",
    "in_school": "yes",
    "place": "household",
}
"""Facts by which a case rests on the consent of a guardian."""


async def withdrawn(room: Room) -> tuple[UUID, dict[str, Any], list[dict[str, Any]]]:
    """Withdraws the consent of a case with an accepted and several open services; returns the published events."""
    case = await room.report(**BY_CONSENT)
    accepted = room.find_offer(case, "legal_aid")
    await room.reply("accepted", accepted)
    await room.triage.withdraw_consent(case, await room.version(case), by=UPTD, reason="Wenthilora asks for it")
    return case, accepted, room.find_data(WITHDRAWN)


async def steps(room: Room) -> list[str]:
    return [event["type"] for event in room.events if event["data"].get("clock") == "withdrawal"]


async def test_only_agencies_that_accepted_a_service_are_notified(room: Room) -> None:
    case, accepted, withdrawals = await withdrawn(room)

    assert [(one["referral_id"], one["agency"]) for one in withdrawals] == [
        (accepted["referral_id"], accepted["agency"])
    ]
    assert [one["service"] for one in withdrawals[0]["services"]] == ["legal_aid"]
    assert withdrawals[0]["acknowledge_by"] == "2026-11-30T15:00:00Z"
    assert len(room.find_offers(case_id=str(case))) > 1
    assert "Wenthilora" not in str(room.events)
    notes = await room.rows("SELECT note FROM case_event WHERE kind = 'consent_withdrawn'")
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

    # Published once, before any step, because the agency was alerted when the consent ended.
    assert await steps(room) == ["referral.deadline_met.v1"]
    kept = await room.rows("SELECT actor FROM case_event WHERE kind = 'withdrawal_acknowledged' AND case_id = $1", case)
    assert [row["actor"] for row in kept] == [accepted["agency"]]


async def test_an_acknowledgement_of_nothing_is_refused_with_its_reason(room: Room) -> None:
    case, accepted, _ = await withdrawn(room)
    other = next(o for o in room.find_offers(case_id=str(case)) if o["agency"] != accepted["agency"])
    unknown = accepted | {"referral_id": str(uuid4())}

    await room.receive([acknowledgement(accepted, by=other["agency"])])
    await room.receive([acknowledgement(other)])
    await room.receive([acknowledgement(unknown)])

    reasons = [refusal["reason"] for refusal in room.find_data("referral.reply_refused.v1")]
    assert reasons == ["not_its_referral", "not_now", "unknown_referral"]


async def test_a_case_that_was_changed_meanwhile_is_not_touched(room: Room) -> None:
    case, _, _ = await withdrawn(room)

    with pytest.raises(CaseChanged):
        await room.triage.withdraw_consent(case, 1, by=UPTD, reason="")


MOTHER = ConsentTerms(ConsentGiver.GUARDIAN, Relation.PARENT, ConsentWay.WRITTEN, "2026-11", "jv", "0" * 64, START)


async def consented(room: Room) -> tuple[UUID, list[dict[str, Any]]]:
    """A case that rests on a consent to every purpose, and the services that three agencies accepted."""
    case = await room.report(**BY_CONSENT)
    await room.triage.record_consent(case, await room.version(case), list(Right), MOTHER, by=UPTD, reason="")
    offers = {offer["agency"]: offer for offer in room.find_offers(case_id=str(case), role="lead")}
    accepted = [offers[agency] for agency in sorted(offers)][:3]
    for offer in accepted:
        await room.reply("accepted", offer)
    return case, accepted


async def test_three_agencies_stop_after_a_withdrawal_or_are_escalated(room: Room) -> None:
    """Scenario 6."""
    case, accepted = await consented(room)
    assert len(accepted) == 3
    before = len(room.find_data("disclosure.decided.v1"))

    await room.triage.withdraw_consent(case, await room.version(case), by=UPTD, reason="the mother called")
    for offer in accepted[:2]:
        await room.receive([acknowledgement(offer)])
    await room.sweep_until(START + timedelta(days=7), timedelta(hours=6))

    notified = {one["agency"]: one["acknowledge_by"] for one in room.find_data(WITHDRAWN)}
    assert notified == dict.fromkeys((offer["agency"] for offer in accepted), "2026-11-30T15:00:00Z")
    assert len(room.find_data("disclosure.decided.v1")) - before == 3
    late = [e["data"] for e in room.events if e["data"].get("clock") == "withdrawal" and "step" in e["data"]]
    assert {one["agency"] for one in late} == {accepted[2]["agency"]}
    met = ["referral.deadline_met.v1"] * 2
    assert await steps(room) == [*met, "referral.reminded.v1", "referral.overdue.v1", "referral.escalated.v1"]


async def test_a_withdrawal_for_one_purpose_concerns_its_agencies_only(room: Room) -> None:
    case, accepted = await consented(room)
    lawyer = next(offer for offer in accepted if offer["agency"] == "ylpa")
    purposes = {kediri().right_of[Service(lawyer["service"])]}

    await room.triage.withdraw_consent(case, await room.version(case), by=UPTD, reason="", purposes=purposes)
    await room.receive([acknowledgement(lawyer)])
    # What is given again may be withdrawn again.
    await room.triage.record_consent(case, await room.version(case), purposes, MOTHER, by=UPTD, reason="")
    await room.triage.withdraw_consent(case, await room.version(case), by=UPTD, reason="", purposes=purposes)
    await room.sweep_until(START + timedelta(days=7), timedelta(hours=6))

    assert [one["agency"] for one in room.find_data(WITHDRAWN)] == ["ylpa"] * 2
    assert {event["data"]["agency"] for event in room.events if event["data"].get("clock") == "withdrawal"} == {"ylpa"}


async def withdraw_twice(room: Room) -> tuple[dict[str, Any], list[str]]:
    """Withdraws a consent, and again after it was given again; returns the service, and the ids of both events."""
    case, accepted = await consented(room)
    lawyer = next(offer for offer in accepted if offer["agency"] == "ylpa")
    purposes = {kediri().right_of[Service(lawyer["service"])]}
    await room.triage.withdraw_consent(case, await room.version(case), by=UPTD, reason="", purposes=purposes)
    room.now += timedelta(hours=1)
    await room.triage.record_consent(case, await room.version(case), purposes, MOTHER, by=UPTD, reason="")
    room.now += timedelta(hours=1)
    await room.triage.withdraw_consent(case, await room.version(case), by=UPTD, reason="", purposes=purposes)
    return lawyer, [event["id"] for event in room.events if event["type"] == WITHDRAWN]


async def test_a_late_acknowledgement_of_a_first_withdrawal_leaves_the_clock_of_the_second(room: Room) -> None:
    lawyer, (first, second) = await withdraw_twice(room)

    await room.receive([acknowledgement(lawyer, about=first)])
    [clock] = await room.rows("SELECT stopped_at FROM clock WHERE clock = 'withdrawal'")
    assert clock["stopped_at"] is None
    await room.receive([acknowledgement(lawyer, about=second)])

    [clock] = await room.rows("SELECT stopped_at FROM clock WHERE clock = 'withdrawal'")
    assert clock["stopped_at"] == room.now
    assert room.find_data("referral.reply_refused.v1") == []


@pytest.mark.parametrize("about", [None, "6efc1b88-e268-4ec2-90f7-da582fbb5ea2"])
async def test_an_agency_that_does_not_name_the_withdrawal_acknowledges_all(room: Room, about: str | None) -> None:
    lawyer, _ = await withdraw_twice(room)

    await room.receive([acknowledgement(lawyer, about=about)])

    [clock] = await room.rows("SELECT stopped_at FROM clock WHERE clock = 'withdrawal'")
    assert clock["stopped_at"] == room.now
