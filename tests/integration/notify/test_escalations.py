"""An alert that nobody acknowledges reaches the next person, and routing when there is none left."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from simpul_dev.backends import Backends
from simpul_notify.domain.escalation_policy import EscalationPolicy, Methods
from simpul_notify.domain.responders import Responder
from simpul_notify.domain.safe_hours import SafeHours
from simpul_notify.repository.escalations import COUNT_MISSED
from simpul_notify.use_cases import AuditAlerts
from simpul_runtime.database import utc_now
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel, Urgency
from tests.integration.notify.room import ROSTER, START, Referral, Room, a_room
from tests.support.agreements import CITY
from tests.support.ledger import eventually

DUTY, SECOND, LEAD, COORDINATOR = "+6283400111006", "+6283400119001", "+6283400119002", "+6283400111002"
MINUTE = timedelta(minutes=1)


def a_responder(reference: str, number: str) -> Responder:
    return Responder(reference, "id", {AlertChannel.SMS: number, AlertChannel.MAIL: f"{reference}@example.org"})


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    """The hospital has two people on duty and a lead."""
    people = (*ROSTER.on_duty["rs-rujukan"], a_responder("second", SECOND))
    lead = a_responder("lead", LEAD)
    async with a_room(backends, tmp_path) as prepared:
        prepared.roster = replace(
            ROSTER,
            on_duty={**ROSTER.on_duty, "rs-rujukan": people},
            leads={"rs-rujukan": (lead,)},
            responders={**ROSTER.responders, "second": people[1], "lead": lead},
        )
        yield prepared


async def test_each_person_in_turn_is_alerted_until_routing_learns_that_nobody_was_reached(room: Room) -> None:
    referral = Referral()
    code = referral_code(referral.referral_id)
    async with room.running():
        await room.offer(referral)
        await room.phone(DUTY).expect_sms(code, "menunggu jawaban Anda")
        await room.pass_time(4 * MINUTE)
        await room.wait_until_none_is_pending()
        assert room.sms_to(SECOND) == []
        await room.pass_time(1 * MINUTE)
        await room.phone(SECOND).expect_sms(code, "menunggu jawaban Anda")
        await room.pass_time(5 * MINUTE)
        await room.phone(LEAD).expect_sms(code, "menunggu jawaban Anda")
        await room.pass_time(5 * MINUTE)
        await room.phone(COORDINATOR).expect_sms(code, "di rs-rujukan belum dijawab", "tanpa respons")
        assert room.of("alert.exhausted.v1") == []
        await room.pass_time(5 * MINUTE)
        await room.wait_until_none_is_pending()

    [exhausted] = room.of("alert.exhausted.v1")
    assert (exhausted["referral_id"], exhausted["responders"], exhausted["step"]) == (str(referral.referral_id), 4, 0)
    assert exhausted["services"] == [str(service) for service in referral.services]
    assert len(room.sms_to()) == 4


async def test_the_second_number_of_a_person_follows_a_silent_phone_and_answers_for_the_person(room: Room) -> None:
    private = "+6283400119003"
    first, second = room.roster.on_duty["rs-rujukan"]
    first = replace(first, further_methods={AlertChannel.SMS: (private,)})
    room.roster = replace(
        room.roster,
        on_duty={"rs-rujukan": (first, second)},
        responders={**room.roster.responders, first.reference: first},
    )
    async with room.running():
        await room.offer(Referral())
        await room.phone(DUTY).expect_sms("menunggu jawaban Anda")
        await room.wait_until_none_is_pending()
        assert room.sms_to(private) == []
        await room.pass_time(2 * MINUTE)
        message = await room.phone(private).expect_sms("menunggu jawaban Anda")
        await room.wait_until_none_is_pending()
        await message.reply("TERIMA")
        await room.pass_time(10 * MINUTE)

    stored = await room.rows("SELECT channel, acknowledged_at IS NOT NULL AS done FROM alert WHERE channel <> 'mail'")
    assert sorted((row["channel"], row["done"]) for row in stored) == [("sms", False), ("sms/2", True)]
    assert (await states(room), room.sms_to(SECOND)) == (["ended"], [])


@pytest.mark.parametrize("answer", ["referral.accepted.v1", "acknowledged"])
async def test_nothing_leaves_after_an_answer_or_an_acknowledgement(room: Room, answer: str) -> None:
    referral = Referral()
    async with room.running():
        await room.offer(referral)
        message = await room.phone(DUTY).expect_sms()
        room.handset.is_failing = True
        await room.pass_time(5 * MINUTE)
        await eventually(lambda: is_tried(room, "second"))
        if answer == "acknowledged":
            await message.reply("TERIMA")
        else:
            await room.receive(answer, referral)
        room.handset.is_failing = False
        await room.pass_time(5 * MINUTE)
        await room.jump(60 * MINUTE)
        await room.wait_until_none_is_pending()

    assert len(room.sms_to()) == 1
    assert {row["state"] for row in await room.rows("SELECT state FROM escalation")} == {"ended"}
    assert room.of("alert.exhausted.v1") == []


async def is_tried(room: Room, responder: str) -> bool:
    return bool(
        await room.rows("SELECT FROM alert WHERE responder = $1 AND channel = 'sms' AND attempts > 0", responder)
    )


async def are_deferred(room: Room) -> bool:
    """Whether every SMS was tried and none is under way: its result would be stored after the clock was moved."""
    return not await room.rows(
        "SELECT FROM alert WHERE channel = 'sms' AND state = 'pending' AND (attempts = 0 OR leased_until > now())"
    )


async def test_the_next_method_follows_within_minutes_and_the_sms_leaves_in_the_morning(room: Room) -> None:
    referral = Referral(urgency="medium")
    room.roster = replace(
        room.roster, policies={Urgency.MEDIUM: EscalationPolicy(Methods.IN_TURN, 2 * MINUTE, timedelta(hours=20))}
    )
    room.handset.is_failing, room.first_retry_delay = True, 60
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: is_tried(room, "rs-rujukan-1"))
        assert room.mailbox.recipients == []
        await room.pass_time(2 * MINUTE)
        await room.wait_until_none_is_pending(channel="mail")
        assert room.mailbox.recipients == ["igd@rs-rujukan.example"]
        await eventually(lambda: are_deferred(room))
        room.handset.is_failing = False
        await room.jump(timedelta(hours=9))
        await room.phone(DUTY).expect_sms("menunggu jawaban Anda")
        await room.wait_until_none_is_pending()


async def test_after_days_of_downtime_the_person_gets_the_whole_time_and_one_message(room: Room) -> None:
    referrals = [Referral() for _ in range(5)]
    room.handset.is_failing, room.first_retry_delay = True, 60
    async with room.running():
        await room.offer(*referrals)
        await eventually(lambda: are_deferred(room))
        room.handset.is_failing = False
        await room.jump(timedelta(days=3))
        await room.phone(DUTY).expect_sms("5 kasus, 5 rujukan menunggu")
        await room.pass_time(4 * MINUTE)
        assert room.sms_to(SECOND) == []
        await room.pass_time(1 * MINUTE)
        await room.phone(SECOND).expect_sms("5 kasus, 5 rujukan menunggu")
        await room.wait_until_none_is_pending()

    assert len(room.sms_to()) == 2
    assert room.of("alert.exhausted.v1") == []


async def test_two_processes_take_each_step_once(room: Room) -> None:
    referrals = [Referral() for _ in range(20)]
    async with room.running():
        await room.offer(*referrals)
        await room.wait_until_none_is_pending()
        await room.rows("UPDATE alert SET created_at = created_at - interval '5 minutes'")
        await room.rows("UPDATE escalation SET due_at = now(), waiting_since = now() - interval '5 minutes'")
        await asyncio.gather(*(room.escalate.take_due_steps() for _ in range(3)))
        await room.wait_until_none_is_pending()

    assert await room.rows("SELECT cause FROM alert GROUP BY cause, responder, channel HAVING count(*) > 1") == []
    assert await room.alerted("second") == {referral.referral_id for referral in referrals}


async def test_safe_hours_take_nobodys_turn(room: Room) -> None:
    """At night the next person is alerted at once; in the morning the first one is, and has the whole time."""
    now = utc_now().astimezone(CITY.zone)
    opens = (now + timedelta(hours=3)).time()
    hours = SafeHours(opens, (now + timedelta(hours=5)).time())
    first, second = (replace(one, safe_hours=hours) for one in room.roster.on_duty["rs-rujukan"][:2])
    people = (first, replace(second, safe_hours=None))
    room.roster = replace(
        room.roster,
        on_duty={"rs-rujukan": people},
        responders={one.reference: one for one in people},
        leads={},
        coordinator="",
    )
    async with room.running():
        await room.receive("referral.offered.v1", Referral(), answer_by=utc_now() + 15 * MINUTE)
        await room.phone(SECOND).expect_sms("menunggu jawaban Anda")
        await eventually(lambda: has_rows(room, "SELECT FROM alert WHERE postponed_until IS NOT NULL"))
        assert room.sms_to(DUTY) == []
        await room.pass_time(5 * MINUTE)
        # Nobody else may be contacted before the deadline, so it is exhausted, once; the first one's turn is to come.
        assert len(room.of("alert.exhausted.v1")) == 1
        assert await states(room) == ["open"]

        people = (replace(first, safe_hours=None), people[1])
        room.roster = replace(
            room.roster, responders={one.reference: one for one in people}, on_duty={"rs-rujukan": people}
        )
        await room.jump(timedelta(hours=4))
        await room.phone(DUTY).expect_sms("menunggu jawaban Anda")
        await room.wait_until_none_is_pending()
        assert await states(room) == ["open"]
        await room.pass_time(6 * MINUTE)

    assert await states(room) == ["exhausted"]
    assert len(room.of("alert.exhausted.v1")) == 1
    assert len(room.sms_to()) == 2


async def has_rows(room: Room, query: str) -> bool:
    return bool(await room.rows(query))


@pytest.mark.parametrize("reaction", ["acknowledged", "nobody"])
async def test_what_is_unanswered_at_twice_its_deadline_is_repeated_until_it_is_answered(
    room: Room, reaction: str
) -> None:
    referral, board = Referral(), "+6283400113002"
    async with room.running():
        await room.step("escalated", referral, "answer", "city-board")
        message = await room.phone(board).expect_sms("belum dijawab")
        await room.wait_until_none_is_pending()
        if reaction == "acknowledged":
            await message.reply("TERIMA")
        await room.pass_time(15 * MINUTE)
        await room.wait_until_none_is_pending()
        for count in (2, 3):
            await room.jump(timedelta(hours=3, minutes=40))
            await room.escalate.repeat_unanswered()
            await room.wait_until_none_is_pending()
            assert len(room.sms_to(board)) == count - 1
            await room.jump(timedelta(minutes=40))
            await room.escalate.repeat_unanswered()
            await room.escalate.repeat_unanswered()
            await eventually(partial(has_sms, room, board, count))
            await room.pass_time(15 * MINUTE)
            await room.wait_until_none_is_pending()
        await room.receive("referral.accepted.v1", referral)
        await room.jump(timedelta(hours=5))
        await room.escalate.repeat_unanswered()

    assert len(room.sms_to(board)) == 3
    assert "open" not in await states(room)


async def has_sms(room: Room, number: str, count: int) -> bool:
    return len(room.sms_to(number)) == count


def deadline_met(clock: str, met_at: datetime = START + timedelta(hours=1)) -> dict[str, Any]:
    return {"clock": clock, "met_at": met_at}


@pytest.mark.parametrize("clock", ["receipt", "contact", "withdrawal", "transfer"])
async def test_a_deadline_that_no_progress_shows_is_repeated_until_it_is_published_as_met(
    room: Room, clock: str
) -> None:
    referral, board = Referral(), "+6283400113002"
    async with room.running():
        await room.step("escalated", referral, clock, "city-board")
        await room.phone(board).expect_sms()
        for count in (2, 3):
            await room.wait_until_none_is_pending()
            await room.pass_time(15 * MINUTE)
            await room.jump(timedelta(hours=5))
            await room.escalate.repeat_unanswered()
            await eventually(partial(has_sms, room, board, count))
        await room.wait_until_none_is_pending()
        await room.receive("referral.deadline_met.v1", referral, **deadline_met(clock))
        ended = set(await states(room))
        for _ in range(2):
            await room.pass_time(15 * MINUTE)
            await room.jump(timedelta(days=2))
            await room.escalate.repeat_unanswered()

    assert ended <= {"ended", "exhausted"}
    assert len(room.sms_to(board)) == 3


async def test_a_met_deadline_stops_what_waits_and_a_later_one_of_the_same_kind_alerts_again(room: Room) -> None:
    # A reminder that is not urgent waits; what is urgent might leave before the deadline is met.
    referral, board = Referral(urgency="medium"), "+6283400113002"
    room.bundle_period = 3600
    async with room.running():
        await room.step("reminded", referral, "contact", "rs-rujukan")
        await room.receive("referral.deadline_met.v1", referral, **deadline_met("contact"))
        await room.receive("referral.deadline_met.v1", referral, **deadline_met("answer"))
        stopped = await room.states()
        # The child did not come, so that the appointment is due once more.
        await room.rows("UPDATE met_deadline SET met_at = $1", START - timedelta(minutes=1))
        await room.step("escalated", replace(referral, urgency="high"), "contact", "city-board")
        await room.phone(board).expect_sms("belum ada kontak")

    assert set(stopped) == {"suppressed"}


async def test_a_withdrawn_consent_that_was_acknowledged_alerts_nobody_any_more(room: Room) -> None:
    referral = Referral()
    services = [{"service_id": service_id, "service": "legal_aid"} for service_id in referral.services]
    room.handset.is_failing = True
    async with room.running():
        await room.receive(
            "referral.consent_withdrawn.v1",
            referral,
            withdrawn_at=START,
            services=services,
            acknowledge_by=START + timedelta(days=3),
        )
        await room.receive("referral.deadline_met.v1", referral, **deadline_met("withdrawal"))
        await room.wait_until_none_is_pending()
        room.handset.is_failing = False

    assert room.sms_to(DUTY) == []
    assert set(await states(room)) == {"ended"}


async def states(room: Room) -> list[str]:
    return [row["state"] for row in await room.rows("SELECT state FROM escalation")]


async def test_a_refused_address_is_followed_by_the_next_method_at_once(room: Room) -> None:
    room.mailbox.rcpt_answers = ["550 5.1.1 unknown"]
    async with room.running():
        await room.offer(Referral(urgency="low"))
        await room.phone(DUTY).expect_sms("menunggu jawaban Anda")
        await room.wait_until_none_is_pending()


async def test_a_step_taken_because_nobody_was_reached_says_so(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.receive(
            "referral.overdue.v1",
            referral,
            clock="answer",
            step=100,
            due_at=START,
            escalation_targets=("city-board",),
            reason="nobody_reached",
        )
        await room.phone("+6283400113002").expect_sms("di rs-rujukan belum dijawab", "tanpa respons")
        await room.wait_until_none_is_pending()


async def test_a_withdrawn_consent_alerts_the_agency_that_must_stop(room: Room) -> None:
    async with room.running():
        await room.receive(
            "referral.consent_withdrawn.v1", Referral(), withdrawn_at=START, acknowledge_by=START + timedelta(days=3)
        )
        await room.phone(DUTY).expect_sms("izin data dicabut", "30/11 22.00")
        await room.wait_until_none_is_pending()


async def test_a_party_without_anybody_reaches_the_coordinator_at_once(room: Room) -> None:
    duty: dict[str, Any] = {**ROSTER.on_duty, "rs-rujukan": ()}
    room.roster = replace(ROSTER, on_duty=duty)
    async with room.running():
        await room.offer(Referral())
        await room.phone(COORDINATOR).expect_sms("di rs-rujukan belum dijawab")
        await room.wait_until_none_is_pending()


async def test_the_auditor_finds_missed_steps_and_what_alerted_nobody_and_then_sends_no_heartbeat(room: Room) -> None:
    heartbeats: list[str] = []
    room.handset.is_failing, room.first_retry_delay = True, 60

    async def send_heartbeat() -> None:
        heartbeats.append("sent")

    async with room.running():
        auditor = AuditAlerts(room.transactions, send_heartbeat)
        await auditor.audit()
        await room.offer(Referral())
        await auditor.audit()
        assert (auditor.find_warnings(), len(heartbeats)) == ([], 2)
        await room.wait_until_none_is_pending(channel="mail")
    await room.rows(
        "UPDATE escalation SET due_at = now() - interval '3 minutes', alerted_at = NULL, "
        "opened_at = now() - interval '6 minutes'"
    )
    await auditor.audit()

    assert auditor.find_warnings() == ["1 alerts are past their next step", "1 alerts have reached nobody yet"]
    assert len(heartbeats) == 2


async def test_the_auditor_reads_indexes_and_not_the_table(room: Room) -> None:
    async with room.running(), room.transactions.begin() as transaction:
        await transaction.connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = (await transaction.connection.execute(text(f"EXPLAIN {COUNT_MISSED}"))).scalars().all()

    assert [line for line in plan if "Seq Scan" in line] == []
