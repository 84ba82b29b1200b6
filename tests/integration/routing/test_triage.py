"""Actions of case managers on open cases, and the errors that refuse them."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_agreement.properties import POWER_OVER_THE_CHILD
from simpul_routing.errors import (
    AgencyExcluded,
    AgencyNotEligible,
    AlreadyServed,
    CaseUnknown,
    MediationLocked,
    MediationReserved,
    ReasonMissing,
    ReferralUnknown,
)
from simpul_schema.vocabulary import ActorRole, CancelReason, ReferralRole, Service
from tests.integration.routing.conftest import Room
from tests.support.actors import UPTD, acting


async def offer(room: Room, case: UUID, service: Service, agency: str, **more: Any) -> None:
    arguments: dict[str, Any] = {"by": UPTD, "reason": "", "role": ReferralRole.LEAD} | more
    await room.triage.offer_service(case, await room.version(case), service, agency, arguments.pop("role"), **arguments)


async def test_a_manual_triage_is_answered_by_an_offer_by_hand(room: Room) -> None:
    case = await room.report(violence=["unknown"])
    triage = room.find_offer(case, "manual_triage")
    await offer(room, case, Service.SOCIAL_AID, "dinsos-peksos", settles=UUID(triage["service_id"]))

    assert room.find_services("referral.completed.v1", service_id=triage["service_id"])[0]["outcome"] == "served"
    assert room.find_offer(case, "social_aid")["agency"] == "dinsos-peksos"
    # New facts do not withdraw a service that a person offered.
    await room.amend(case, violence=["physical"])
    assert room.find_services("referral.revoked.v1", agency="dinsos-peksos") == []


async def test_an_escalated_service_keeps_its_clocks_when_the_hub_decides(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="no", perpetrator_lives_with_child="yes")
    first = room.find_offer(case, "shelter")
    while True:
        [entry] = await room.rows(
            "SELECT service_id::text, referral_id::text, case_id::text, agency, service FROM service"
            " WHERE ended_at IS NULL AND role = 'lead'"
            " AND (service = 'shelter' OR service = 'manual_triage' AND rerouted_from IS NOT NULL)"
        )
        if entry["service"] == "manual_triage":
            break
        await room.reply("declined", entry, reason="no_capacity")
    room.now += timedelta(minutes=20)
    await offer(
        room, case, Service.SHELTER, "dinsos-peksos", reason="a bed is free now", settles=UUID(entry["service_id"])
    )

    due = {
        row["service_id"]: row["due_at"]
        for row in await room.rows("SELECT service_id::text, due_at FROM clock WHERE clock = 'service'")
    }
    next_offer = room.find_offer(case, "shelter")
    assert due[next_offer["service_id"]] == due[first["service_id"]]
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


async def test_a_service_taken_back_leaves_its_right_unanswered(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(case, "social_aid")
    with pytest.raises(ReasonMissing):
        await room.cancel(aid, CancelReason.TAKEN_BACK, reason="")
    await room.cancel(aid, CancelReason.ENTERED_IN_ERROR, reason="wrong case")

    assert room.find_services("referral.cancelled.v1")[-1]["why"] == "entered_in_error"
    assert {"right": "social_aid", "state": "unanswered"} in room.find_data("right.changed.v1")[-1]["rights"]
    await room.reply("accepted", aid)
    assert room.find_data("referral.reply_refused.v1")[-1]["reason"] == "already_ended"


async def test_scenario_9_mediation_of_a_sexual_case_is_refused_explained_and_the_attempt_is_kept(room: Room) -> None:
    sexual = await room.report(violence=["sexual"], perpetrator_is_child="yes", perpetrator_relation="partner_friend")
    satgas = acting("satgas-kel-bujel", ActorRole.RESPONDER)
    with pytest.raises(MediationLocked) as refused:
        await room.triage.record_mediation(sexual, await room.version(sexual), by=satgas, reason="the families agree")

    kept = await room.rows(
        "SELECT actor, actor_agency, actor_role, kind, payload FROM case_event WHERE actor_role <> ''"
    )
    assert [clause.id for clause in refused.value.clauses] == ["MED-2"]
    assert [(*list(row.values())[:4], json.loads(row["payload"])) for row in kept] == [
        (
            satgas.code,
            "satgas-kel-bujel",
            "responder",
            "mediation_refused",
            {"agreement": "2026-11", "clauses": ["MED-2"]},
        )
    ]


@pytest.mark.parametrize(
    ("facts", "clauses"),
    [
        ({"violence": ["trafficking"]}, {"MED-1"}),
        ({"safe_now": "no"}, {"MED-4"}),
        *(({"perpetrator_relation": relation}, {"MED-5"}) for relation in POWER_OVER_THE_CHILD),
        ({"sexual_under_72h": "yes", "safe_now": "no", "perpetrator_relation": "parent"}, {"MED-1", "MED-4", "MED-5"}),
    ],
)
async def test_nobody_mediates_where_the_child_cannot_agree_freely(
    room: Room, facts: dict[str, Any], clauses: set[str]
) -> None:
    case = await room.report(**{"perpetrator_relation": "neighbour"} | facts)
    for role in ActorRole:
        with pytest.raises(MediationLocked) as refused:
            await room.triage.record_mediation(case, await room.version(case), by=acting("uptd-ppa", role), reason="")
        assert {clause.id for clause in refused.value.clauses} == clauses


async def test_the_agreement_names_the_roles_that_may_open_a_mediation(room: Room) -> None:
    case = await room.report(violence=["physical"], perpetrator_relation="neighbour", safe_now="yes")
    for role in (ActorRole.RESPONDER, ActorRole.AGENCY_LEAD, ActorRole.OPERATOR):
        with pytest.raises(MediationReserved) as refused:
            await room.triage.record_mediation(case, await room.version(case), by=acting("uptd-ppa", role), reason="")
        assert [clause.id for clause in refused.value.clauses] == ["MED-3"]
    await room.triage.record_mediation(case, await room.version(case), by=UPTD, reason="two neighbours")

    kept = await room.rows("SELECT actor_role, kind FROM case_event WHERE actor_role <> '' ORDER BY position")
    assert [tuple(row.values()) for row in kept] == [
        ("responder", "mediation_refused"), ("agency_lead", "mediation_refused"), ("operator", "mediation_refused"),
        ("coordinator", "mediation_recorded"),
    ]  # fmt: skip


async def test_a_case_that_an_earlier_version_locked_stays_locked(room: Room) -> None:
    case = await room.report(violence=["physical"], perpetrator_relation="neighbour", safe_now="yes")
    await room.rows("UPDATE case_plan SET mediation_locked = true, agreement = 'gone'")
    with pytest.raises(MediationLocked) as refused:
        await room.triage.record_mediation(case, await room.version(case), by=UPTD, reason="")
    assert refused.value.clauses == ()


async def test_an_unknown_case_is_refused(room: Room) -> None:
    with pytest.raises(CaseUnknown):
        await room.triage.record_mediation(uuid4(), 1, by=UPTD, reason="")
