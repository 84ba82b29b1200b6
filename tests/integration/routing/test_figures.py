"""Indicator counts before suppression."""

from collections import Counter
from datetime import timedelta

from simpul_routing import repository
from simpul_routing.repository import IndicatorKey
from simpul_schema.vocabulary import CancelReason, CaseEnd, Right
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD


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
        lines = await repository.count_services(connection, IndicatorKey.SERVICE, *period, "Asia/Jakarta")
        months = await repository.count_services(connection, IndicatorKey.MONTH, *period, "Asia/Jakarta")
        rights = await repository.count_rights(connection, *period)
    found = {line.key: line for line in lines}

    assert found["social_aid"].counts == {
        # Its support was offered too and has not replied.
        "offered": 2,
        "delivered": 1,
        "seen": 1,
        "accepted": 1,
        "declined": 0,
        "completed": 1,
        "ping_pong": 0,
    }
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
    await room.end.void_case(voided, await room.version(voided), by=UPTD, reason="typed twice")
    await room.cancel(room.find_offer(served, "case_management"), CancelReason.TAKEN_BACK)
    await room.end.close_case(served, await room.version(served), CaseEnd.CLOSED, by=UPTD, reason="x")

    async with room.engine.connect() as connection:
        period = START - timedelta(days=1), START + timedelta(days=1)
        clocks = await repository.count_clocks(connection, *period, START)
        lines = await repository.count_services(connection, IndicatorKey.SERVICE, *period, "Asia/Jakarta")

    assert {line.key: line.counts["met"] for line in clocks} == {"answer": 1, "receipt": 1}
    assert {line.key: line.counts["offered"] for line in lines}["social_aid"] == 2


async def figures(room: Room) -> dict[str, dict[str, int]]:
    """Returns the sums of each table over all keys."""
    period = START - timedelta(days=1), START + timedelta(days=1)
    async with room.engine.connect() as connection:
        tables = {
            "services": await repository.count_services(connection, IndicatorKey.SERVICE, *period, "Asia/Jakarta"),
            "clocks": await repository.count_clocks(connection, *period, START),
            "rights": await repository.count_rights(connection, *period),
        }
    return {name: dict(sum((Counter(line.counts) for line in lines), Counter())) for name, lines in tables.items()}


async def test_a_case_entered_in_error_counts_nowhere_whatever_happened_in_it(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(case, "social_aid")
    await room.reply("accepted", aid)
    await room.reply("completed", aid, outcome="served")
    await room.end.void_case(case, await room.version(case), by=UPTD, reason="typed twice")

    assert await figures(room) == {"services": {}, "clocks": {}, "rights": {}}
    async with room.engine.connect() as connection:
        ledger = (await repository.find_cases(connection, room.keys, [case]))[case].ledger
    assert {entry.state.value for entry in ledger.values()} == {"not_applicable"}
    published = room.find_data("right.changed.v1", case_id=str(case))[-1]["rights"]
    assert {entry["state"] for entry in published} == {"not_applicable"}
    await room.end.reopen_case(case, await room.version(case), by=UPTD, reason="it was none")
    assert (await figures(room))["rights"]["fulfilled"] == 1


async def test_a_service_entered_in_error_has_met_no_deadline(room: Room) -> None:
    case = await room.report(violence=["neglect"], safe_now="yes")
    aid = room.find_offer(case, "social_aid")
    await room.reply("accepted", aid)
    before = await figures(room)
    await room.cancel(aid, CancelReason.ENTERED_IN_ERROR, reason="the wrong child")

    after = await figures(room)
    assert (before["clocks"]["met"], after["clocks"].get("met", 0)) == (2, 0)
    assert after["services"]["offered"] == before["services"]["offered"] - 1


async def test_a_merged_case_counts_once_in_the_rights(room: Room) -> None:
    case, duplicate = [await room.report(violence=["neglect"], safe_now="yes") for _ in range(2)]
    await room.end.merge_cases(duplicate, await room.version(duplicate), case, by=UPTD, reason="the same child")

    assert sum((await figures(room))["rights"].values()) == len(Right)
