"""Actions of case managers on open cases, and the errors that refuse them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing.errors import (
    AgencyExcluded,
    AgencyNotEligible,
    AlreadyServed,
    CaseUnknown,
    MediationLocked,
    ReasonMissing,
    ReferralUnknown,
)
from simpul_schema.vocabulary import CancelReason, ReferralRole, Service
from tests.integration.routing.conftest import Room


async def offer(room: Room, case: UUID, service: Service, agency: str, **more: Any) -> UUID:
    arguments: dict[str, Any] = {"by": "uptd-ppa", "reason": "", "role": ReferralRole.LEAD} | more
    return await room.triage.offer_referral(
        case, await room.version(case), service, agency, arguments.pop("role"), **arguments
    )


async def test_a_manual_triage_is_answered_by_a_referral_by_hand(room: Room) -> None:
    case = await room.report(violence=["unknown"])
    triage = room.find_offer(case, "manual_triage")
    await offer(room, case, Service.SOCIAL_AID, "dinsos-peksos", settles=UUID(triage["referral_id"]))

    assert room.find_data("referral.completed.v1", referral_id=triage["referral_id"])[0]["outcome"] == "served"
    assert room.find_offer(case, "social_aid")["agency"] == "dinsos-peksos"
    # New facts do not withdraw a referral that a person offered.
    await room.amend(case, violence=["physical"])
    assert room.find_data("referral.revoked.v1", agency="dinsos-peksos") == []


async def test_an_escalated_service_keeps_its_clocks_when_the_hub_decides(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="no", perpetrator_lives_with_child="yes")
    first = room.find_offer(case, "shelter")
    while True:
        [entry] = await room.rows(
            "SELECT referral_id::text, case_id::text, agency, service FROM referral WHERE ended_at IS NULL AND"
            " role = 'lead' AND (service = 'shelter' OR service = 'manual_triage' AND rerouted_from IS NOT NULL)"
        )
        if entry["service"] == "manual_triage":
            break
        await room.reply("declined", entry, reason="no_capacity")
    room.now += timedelta(minutes=20)
    await offer(
        room, case, Service.SHELTER, "dinsos-peksos", reason="a bed is free now", settles=UUID(entry["referral_id"])
    )

    due = {
        row["referral_id"]: row["due_at"]
        for row in await room.rows("SELECT referral_id::text, due_at FROM clock WHERE clock = 'service'")
    }
    next_offer = room.find_offer(case, "shelter")
    assert due[next_offer["referral_id"]] == due[first["referral_id"]]
    await room.reply("accepted", next_offer)
    await room.reply("completed", next_offer, outcome="served")
    [row] = await room.rows("SELECT rights->'social_rehabilitation'->>'state' AS state FROM case_plan")
    assert row["state"] in ("fulfilled", "in_progress")


async def test_r8_a_second_lead_of_a_service_requires_a_reason(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(case, "social_aid")
    with pytest.raises(AlreadyServed) as refusal:
        await offer(room, case, Service.SOCIAL_AID, "uptd-ppa")
    await offer(room, case, Service.SOCIAL_AID, "uptd-ppa", reason="another household")

    assert str(refusal.value.referral_id) == aid["referral_id"]
    assert room.find_offer(case, "social_aid")["agency"] == "uptd-ppa"


@pytest.mark.parametrize(
    ("service", "agency", "more", "refusal"),
    [
        (Service.SHELTER, "ylpa", {}, AgencyExcluded),
        (Service.SHELTER, "rs-rujukan", {}, AgencyNotEligible),
        (Service.SHELTER, "nobody", {}, AgencyNotEligible),
        (Service.SHELTER, "dinsos-peksos", {"settles": uuid4()}, ReferralUnknown),
    ],
)
async def test_an_excluded_or_ineligible_agency_cannot_be_offered_a_service_by_hand(
    room: Room, service: Service, agency: str, more: dict[str, Any], refusal: type[Exception]
) -> None:
    case = await room.report(excluded_agencies=["ylpa"])
    service = Service.LEGAL_AID if refusal is AgencyExcluded else service

    with pytest.raises(refusal):
        await offer(room, case, service, agency, **more)


async def test_a_referral_taken_back_leaves_its_right_unanswered(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(case, "social_aid")
    with pytest.raises(ReasonMissing):
        await room.triage.cancel_referral(
            case, await room.version(case), UUID(aid["referral_id"]), CancelReason.TAKEN_BACK, by="uptd-ppa", reason=""
        )
    await room.triage.cancel_referral(
        case,
        await room.version(case),
        UUID(aid["referral_id"]),
        CancelReason.ENTERED_IN_ERROR,
        by="uptd-ppa",
        reason="wrong case",
    )

    assert room.find_data("referral.cancelled.v1")[-1]["why"] == "entered_in_error"
    assert {"right": "social_aid", "state": "unanswered"} in room.find_data("right.changed.v1")[-1]["rights"]
    await room.reply("accepted", aid)
    assert room.find_data("referral.reply_refused.v1")[-1]["reason"] == "already_ended"


async def test_scenario_9_mediation_of_a_sexual_case_is_refused_and_the_attempt_is_kept(room: Room) -> None:
    sexual, other = (
        await room.report(violence=["sexual"]),
        await room.report(violence=["physical"], perpetrator_is_child="yes", place="school"),
    )
    with pytest.raises(MediationLocked):
        await room.triage.record_mediation(
            sexual, await room.version(sexual), by="satgas-kel-bujel", reason="the families agree"
        )
    await room.triage.record_mediation(other, await room.version(other), by="klinik-pendidikan", reason="two pupils")

    kept = await room.rows("SELECT case_id, actor, reason FROM transition WHERE actor <> 'routing' ORDER BY position")
    assert [tuple(row.values()) for row in kept] == [
        (sexual, "satgas-kel-bujel", "mediation_refused"), (other, "klinik-pendidikan", "mediation_recorded"),
    ]  # fmt: skip


async def test_an_unknown_case_is_refused(room: Room) -> None:
    with pytest.raises(CaseUnknown):
        await room.triage.record_mediation(uuid4(), 1, by="uptd-ppa", reason="")
