"""Every week everybody proves by every number and address to be reachable; who does not is named."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simpul_cli import notify
from simpul_cli.app import app
from simpul_dev.backends import Backends
from simpul_notify.domain.reach_checks import CONFIRM_WITHIN, WEEK, WeeklyTime
from simpul_notify.domain.responders import Responder, Roster
from simpul_notify.domain.safe_hours import SafeHours
from simpul_notify.use_cases import CheckReach
from simpul_runtime.database import utc_now
from simpul_runtime.metrics import REGISTRY
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.room import ROSTER, Referral, Room, a_room, zone_at
from tests.support.agreements import CITY

FIRST, PRIVATE, SECOND, AWAY = "+6283400119001", "+6283400119002", "+6283400119003", "+6283400119004"
SMS, MAIL = AlertChannel.SMS, AlertChannel.MAIL
PEOPLE = (
    Responder("one", "id", {SMS: FIRST, MAIL: "one@ylpa.example"}, further_methods={SMS: (PRIVATE,)}),
    Responder("two", "jv", {SMS: SECOND}),
    Responder("away", "id", {SMS: AWAY}),
)


def a_roster(*people: Responder) -> Roster:
    return replace(
        ROSTER,
        on_duty={"ylpa": people, "rs-rujukan": people},
        leads={},
        coordinator="",
        responders={person.reference: person for person in people},
        away=frozenset({"away"}),
    )


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        prepared.rules = replace(prepared.rules, zone=zone_at(12))
        prepared.roster = a_roster(*PEOPLE)
        yield prepared


def checking(room: Room) -> CheckReach:
    """What sends the weekly message; it was due some minutes ago."""
    zone = room.rules.zone
    due = (utc_now() - timedelta(minutes=5)).astimezone(zone)
    time = WeeklyTime(due.weekday(), due.time().replace(microsecond=0))
    return CheckReach(room.transactions, lambda: room.roster, room.dispatch, "https://simpul.example", time, zone)


async def let_time_pass(room: Room, span: timedelta) -> None:
    await room.rows(
        "UPDATE reach_check SET due_at = due_at - $1::interval, not_before = not_before - $1::interval", span
    )
    await room.rows(
        "UPDATE notification SET created_at = created_at - $1::interval, answered_at = answered_at - $1::interval", span
    )


async def test_everybody_gets_one_message_a_week_by_each_number_and_who_does_not_confirm_is_named(room: Room) -> None:
    async with room.running():
        check = checking(room)
        await check.check()
        await check.check()
        by_link = await room.phone(FIRST).expect_sms("tes mingguan, tidak ada kasus")
        by_reply = await room.phone(PRIVATE).expect_sms("tes mingguan")
        await room.phone(SECOND).expect_sms("tes saben minggu")
        assert len(room.sms_to()) == 3
        assert room.sms_to(AWAY) == []
        assert room.mailbox.recipients == ["one@ylpa.example"]
        statuses = [await by_link.press("on_it"), await by_reply.reply("terima")]
        assert await notify.find_reach_checks(room.url) == []
        await let_time_pass(room, CONFIRM_WITHIN)
        await check.check()

    assert statuses == [200, 200]
    assert check.find_warnings() == ["the weekly test was not confirmed by one (mail), two (sms)"]
    assert REGISTRY.get_sample_value("simpul_reach_unconfirmed") == 2
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["notify", "proof", "--database-url", room.url])
    assert shown.exit_code == 1
    assert [line.split("│")[1].strip() for line in shown.stdout.splitlines() if "NO" in line] == ["one", "two"]
    assert "0834" not in shown.stdout + str(check.find_warnings())


async def test_the_alarm_ends_with_a_late_confirmation_or_with_the_number(room: Room) -> None:
    async with room.running():
        check = checking(room)
        await check.check()
        late = await room.phone(FIRST).expect_sms("tes mingguan")
        await let_time_pass(room, CONFIRM_WITHIN)
        await check.check()
        before = check.find_warnings()
        await late.press("needs_help")
        room.roster = a_roster(replace(PEOPLE[0], further_methods={}))
        await check.check()

    assert before == ["the weekly test was not confirmed by one (mail), one (sms), one (sms/2), two (sms)"]
    assert check.find_warnings() == ["the weekly test was not confirmed by one (mail)"]


async def test_a_proof_stays_with_its_number_when_the_roster_changes(room: Room) -> None:
    person = replace(PEOPLE[0], contact_methods={SMS: FIRST}, further_methods={SMS: (PRIVATE,)})
    room.roster = a_roster(person)
    async with room.running():
        check = checking(room)
        await check.check()
        await (await room.phone(FIRST).expect_sms("tes mingguan")).press("on_it")
        await let_time_pass(room, CONFIRM_WITHIN)
        # The confirmed number moves to the second place, and the other one to the first.
        room.roster = a_roster(replace(person, contact_methods={SMS: PRIVATE}, further_methods={SMS: (FIRST,)}))
        await check.check()
        moved = check.find_warnings()
        room.roster = a_roster(replace(person, contact_methods={SMS: SECOND}, further_methods={SMS: (FIRST,)}))
        await check.check()
        replaced = check.find_warnings()
        # A week later the new number has nothing that proves it, and the old one has its answer.
        await let_time_pass(room, WEEK - CONFIRM_WITHIN - timedelta(hours=1))
        await checking(room).check()
        await room.phone(SECOND).expect_sms("tes mingguan")

    assert moved == ["the weekly test was not confirmed by one (sms)"]
    assert replaced == []
    assert len(room.sms_to(FIRST)) == 1


async def test_a_test_leaves_for_the_number_that_it_was_planned_for(room: Room) -> None:
    person = replace(PEOPLE[0], contact_methods={SMS: FIRST}, further_methods={SMS: (PRIVATE,)})
    room.roster = a_roster(person)
    room.handset.is_failing = True
    async with room.running():
        check = checking(room)
        await check.check()
        room.handset.is_failing = False
        room.roster = a_roster(replace(person, contact_methods={SMS: PRIVATE}, further_methods={}))
        await room.rows("UPDATE reach_check SET not_before = now()")
        await check.check()
        await room.phone(PRIVATE).expect_sms("tes mingguan")

    assert room.sms_to(FIRST) == []
    assert len(room.sms_to(PRIVATE)) == 1


async def test_whoever_answered_an_alert_within_the_week_needs_no_test(room: Room) -> None:
    room.roster = a_roster(PEOPLE[1])
    async with room.running():
        await room.offer(Referral())
        await (await room.phone(SECOND).expect_sms()).press("on_it")
        await room.wait_until_none_is_pending(channel="sms")
        check = checking(room)
        await check.check()
        assert len(room.sms_to(SECOND)) == 1
        await let_time_pass(room, WEEK + timedelta(hours=1))
        await check.check()
        await room.phone(SECOND).expect_sms("tes saben minggu")

    assert check.find_warnings() == []


async def test_a_test_waits_for_safe_hours_and_for_a_gateway_that_fails(room: Room) -> None:
    later = (utc_now() + timedelta(hours=3)).astimezone(room.rules.zone)
    asleep = replace(PEOPLE[1], safe_hours=SafeHours(later.time(), (later + timedelta(hours=2)).time()))
    room.roster = a_roster(asleep, replace(PEOPLE[0], contact_methods={SMS: FIRST}, further_methods={}))
    room.handset.is_failing = True
    async with room.running():
        check = checking(room)
        await check.check()
        room.handset.is_failing = False
        await check.check()
        assert room.sms_to() == []
        await room.rows("UPDATE reach_check SET not_before = now()")
        await check.check()
        await room.phone(FIRST).expect_sms("tes mingguan")

    assert room.sms_to(SECOND) == []
    assert await room.rows("SELECT state, problem FROM reach_check ORDER BY responder") == [
        {"state": "sent", "problem": ""},
        {"state": "waiting", "problem": "outside_safe_hours"},
    ]


async def test_who_is_added_after_the_test_was_due_waits_for_the_next_week(room: Room) -> None:
    room.roster = a_roster(PEOPLE[1])
    async with room.running():
        check = checking(room)
        await check.check()
        await room.phone(SECOND).expect_sms("tes saben minggu")
        room.roster = a_roster(*PEOPLE)
        await check.check()

    assert len(room.sms_to()) == 1
    assert [row["responder"] for row in await room.rows("SELECT responder FROM reach_check")] == ["two"]


async def test_at_night_nobody_is_woken_by_a_test(room: Room) -> None:
    night = zone_at(3)
    room.rules = replace(room.rules, zone=night)
    room.roster = a_roster(PEOPLE[1])
    async with room.running():
        await checking(room).check()

    assert room.sms_to() == []
    [waiting] = await room.rows("SELECT problem, not_before FROM reach_check")
    assert waiting["problem"] == "outside_safe_hours"
    assert waiting["not_before"].astimezone(night).hour == 8


async def test_after_a_day_of_downtime_nobody_gets_the_message_of_this_week(room: Room) -> None:
    now = utc_now().astimezone(CITY.zone)
    time = WeeklyTime((now - timedelta(days=2)).weekday(), now.time())
    async with room.running():
        check = CheckReach(room.transactions, lambda: room.roster, room.dispatch, "https://x.example", time, CITY.zone)
        await check.check()

    assert room.sms_to() == []
