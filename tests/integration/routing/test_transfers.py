"""Transfers to external parties survive in the database, and their deadline escalates."""

from datetime import date, timedelta
from uuid import UUID

import pytest

from simpul_routing.domain.transfer import Acknowledgement, ExternalParty, TransferSubject, TransferWay
from simpul_routing.errors import TransferNotAcknowledged
from simpul_routing.use_cases import CaseChanges, TransferCases
from simpul_schema.vocabulary import CaseEnd
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD

REGENCY = ExternalParty("UPTD PPA Kabupaten Kediri", "Jalan Contoh 7")
RECEIVED = Acknowledgement("Hestrud Quamiral", "Kepala UPTD PPA", date(2026, 11, 28))
STEPS = ("referral.reminded.v1", "referral.overdue.v1", "referral.escalated.v1")


def transfers_of(room: Room) -> TransferCases:
    changes: CaseChanges = room.triage._changes
    return TransferCases(changes)


async def send(room: Room, case: UUID) -> UUID:
    return await transfers_of(room).send_transfer(
        case,
        await room.version(case),
        TransferSubject.CHILD,
        TransferWay.PAPER,
        REGENCY,
        by=UPTD,
        reason="lives in the regency",
    )


async def test_nobody_outside_acknowledges_and_the_levels_above_the_case_manager_are_informed(room: Room) -> None:
    case = await room.report(safe_now="no", kelurahan="outside")
    await send(room, case)
    with pytest.raises(TransferNotAcknowledged):
        await room.end.close_case(case, await room.version(case), CaseEnd.TRANSFERRED, by=UPTD, reason="x")
    await room.sweep_until(START + timedelta(hours=5), timedelta(minutes=30))

    steps = [(name, one["agency"]) for name in STEPS for one in room.find_data(name, clock="transfer")]
    assert steps == [(name, "uptd-ppa") for name in STEPS]
    [escalated] = room.find_data("referral.escalated.v1", clock="transfer")
    assert "city-board" in escalated["escalation_targets"]


async def test_a_late_receipt_of_a_letter_is_published_as_met(room: Room) -> None:
    case = await room.report(safe_now="no", kelurahan="outside")
    transfer = await send(room, case)
    await room.sweep_until(START + timedelta(hours=5), timedelta(minutes=30))
    before = room.find_data("referral.deadline_met.v1", clock="transfer")
    await transfers_of(room).acknowledge_transfer(case, await room.version(case), transfer, RECEIVED, by=UPTD)

    assert before == []
    assert [one["agency"] for one in room.find_data("referral.deadline_met.v1", clock="transfer")] == ["uptd-ppa"]


async def test_a_noted_receipt_stops_the_deadline_and_lets_the_case_be_transferred(room: Room) -> None:
    case = await room.report(safe_now="no", kelurahan="outside")
    transfer = await send(room, case)
    await transfers_of(room).acknowledge_transfer(case, await room.version(case), transfer, RECEIVED, by=UPTD)
    await room.sweep_until(START + timedelta(hours=5), timedelta(minutes=30))
    await room.end.close_case(case, await room.version(case), CaseEnd.TRANSFERRED, by=UPTD, reason="taken over")

    assert [one for name in STEPS for one in room.find_data(name, clock="transfer")] == []
    [stored] = await room.rows("SELECT state, party::text || acknowledgement::text AS written FROM transfer")
    assert stored["state"] == "acknowledged"
    for name in (REGENCY.name, RECEIVED.name):
        assert name.encode().hex() not in stored["written"]
