"""Indicator counts before suppression."""

from datetime import timedelta
from uuid import UUID

from simpul_routing import repository
from simpul_routing.repository import IndicatorKey
from simpul_schema.vocabulary import CancelReason, CaseEnd
from tests.integration.routing.conftest import START, Room


async def test_a_referral_counts_as_far_as_it_came_and_how_long_it_took(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid, intake = room.find_offer(case, "social_aid"), room.find_offer(case, "case_management")
    room.now += timedelta(minutes=1)
    await room.reply("delivered", aid)
    room.now += timedelta(minutes=9)
    # Accepted without a seen receipt, so it was seen by then at the latest.
    await room.reply("accepted", aid)
    await room.reply("completed", aid, outcome="served")
    await room.reply("declined", intake, reason="no_capacity")

    async with room.engine.connect() as connection:
        period = START - timedelta(days=1), START + timedelta(days=1)
        lines = await repository.count_referrals(connection, IndicatorKey.SERVICE, *period, "Asia/Jakarta")
        months = await repository.count_referrals(connection, IndicatorKey.MONTH, *period, "Asia/Jakarta")
        rights = await repository.count_rights(connection, *period)
    found = {line.key: line for line in lines}

    assert found["social_aid"].counts == {
        # Its support was offered too and has not replied.
        "offered": 2, "delivered": 1, "seen": 1, "accepted": 1, "declined": 0, "completed": 1, "ping_pong": 0,
    }  # fmt: skip
    assert found["social_aid"].seconds["delivered_p50"] == 60
    assert found["social_aid"].seconds["accepted_p90"] == found["social_aid"].seconds["seen_p90"] == 600
    assert (found["case_management"].counts["offered"], found["case_management"].counts["declined"]) == (2, 1)
    assert [line.key for line in months] == ["2026-11"]
    assert {line.key: line.counts["fulfilled"] for line in rights}["social_aid"] == 1


async def test_a_deadline_is_met_by_an_answer_only_and_what_was_an_error_counts_nowhere(room: Room) -> None:
    served = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(served, "social_aid")
    await room.reply("accepted", aid)
    room.now += timedelta(minutes=1)
    voided = await room.report(violence=["neglect"], safe_now="yes")
    await room.end.void_case(voided, await room.version(voided), by="uptd-ppa", reason="typed twice")
    lead = UUID(room.find_offer(served, "case_management")["referral_id"])
    await room.triage.cancel_referral(
        served, await room.version(served), lead, CancelReason.TAKEN_BACK, by="uptd-ppa", reason="x"
    )
    await room.end.close_case(served, await room.version(served), CaseEnd.CLOSED, by="uptd-ppa", reason="x")

    async with room.engine.connect() as connection:
        period = START - timedelta(days=1), START + timedelta(days=1)
        clocks = await repository.count_clocks(connection, *period, START)
        lines = await repository.count_referrals(connection, IndicatorKey.SERVICE, *period, "Asia/Jakarta")

    assert {line.key: line.counts["met"] for line in clocks} == {"answer": 1, "receipt": 1}
    assert {line.key: line.counts["offered"] for line in lines}["social_aid"] == 2
