"""Alerts reach people as long as somebody needs them, and nobody afterwards."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from simpul_cli.backends import Backends
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.migrations import migrate_async
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.room import ROSTER, START, Referral, Room, a_room
from tests.support.ledger import eventually

PIKET_RS, PIKET_UPTD, HEAD, BOARD = "+62800111006", "+62800111002", "+62800113001", "+62800113002"


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        yield prepared


def measured(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def codes_in(texts: list[str], referrals: list[Referral]) -> list[Referral]:
    """The referrals that the texts are about."""
    return [one for one in referrals if any(referral_code(one.referral_id) in text for text in texts)]


async def test_silence_alerts_the_agency_then_the_level_above_then_the_head_and_the_board(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.offer(referral)
        await room.step("reminded", referral, "answer", "rs-rujukan")
        await room.step("overdue", referral, "answer", "uptd-ppa")
        await room.step("escalated", referral, "answer", "uptd-ppa-head", "city-board")
        await room.wait_until_none_waits()

    code = referral_code(referral.referral_id)
    assert [text.partition(".")[0] for text in room.sms_to(PIKET_RS)] == [
        f"Simpul: {code} menunggu jawaban Anda", f"Simpul: {code} belum dijawab",
    ]  # fmt: skip
    assert [text.partition(".")[0] for text in room.sms_to(PIKET_UPTD)] == [
        f"Simpul: {code} di rs-rujukan belum dijawab"
    ]
    assert len(room.sms_to(HEAD)) == len(room.sms_to(BOARD)) == 1
    assert sorted(room.mailbox.recipients) == [
        "igd@rs-rujukan.example", "igd@rs-rujukan.example", "kepala@uptd-ppa.example", "piket@gugus-tugas.example",
        "piket@uptd-ppa.example",
    ]  # fmt: skip
    assert len(room.of("alert.sent.v1")) == 10


async def test_only_what_still_waits_leaves_when_the_gateway_comes_back(room: Room) -> None:
    referrals = [Referral() for _ in range(18)]
    accepted, voided, rest = referrals[:9], referrals[9:12], referrals[12:]
    before = measured("simpul_alerts_suppressed_total", reason="settled")
    room.handset.is_failing = True
    async with room.running():
        await room.offer(*referrals)
        await eventually(lambda: _all_were_tried(room, len(referrals)))
        await room.receive("referral.accepted.v1", *accepted)
        await room.receive("referral.cancelled.v1", *voided, cancelled_at=START, why="entered_in_error")
        room.handset.is_failing = False
        await room.wait_until_none_waits()

    assert codes_in(room.sms_to(), referrals) == rest
    assert len(room.sms_to()) == len(rest)
    assert await room.states(channel="sms") == sorted(["suppressed"] * 12 + ["sent"] * 6)
    assert [event["channel"] for event in room.of("alert.sent.v1")].count("sms") == 6
    assert room.of("alert.failed.v1") == []
    assert measured("simpul_alerts_suppressed_total", reason="settled") - before == 12


async def _all_were_tried(room: Room, count: int) -> bool:
    return len(await room.rows("SELECT FROM alert WHERE channel = 'sms' AND attempts > 0")) == count


async def test_an_alert_is_tried_long_after_twelve_attempts_while_its_answer_is_due(room: Room) -> None:
    referral = Referral()
    room.handset.is_failing, room.retry_first = True, 60
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: _all_were_tried(room, 1))
        await room.rows("UPDATE alert SET attempts = 500, due_at = now() WHERE channel = 'sms'")
        await eventually(lambda: _reached(room, 501))
        [row] = await room.rows("SELECT state, due_at - now() AS wait FROM alert WHERE channel = 'sms'")
        room.handset.is_failing = False
        await room.rows("UPDATE alert SET due_at = now() WHERE channel = 'sms'")
        await room.wait_until_none_waits()

    assert row["state"] == "pending"
    assert row["wait"].total_seconds() <= 60
    assert len(room.sms_to(PIKET_RS)) == 1
    assert room.of("alert.failed.v1") == []


async def _reached(room: Room, attempts: int) -> bool:
    return bool(await room.rows("SELECT FROM alert WHERE attempts >= $1", attempts))


@pytest.mark.parametrize(
    ("clock", "answer", "leaves"),
    [
        ("answer", "referral.accepted.v1", False),
        ("receipt", "referral.accepted.v1", False),
        ("service", "referral.accepted.v1", True),
        ("service", "referral.started.v1", False),
        ("contact", "referral.revoked.v1", False),
        ("withdrawal", "referral.revoked.v1", True),
    ],
)
async def test_an_overdue_alert_leaves_only_while_its_own_deadline_waits(
    room: Room, clock: str, answer: str, leaves: bool
) -> None:
    referral = Referral()
    room.handset.is_failing = True
    async with room.running():
        await room.step("overdue", referral, clock, "uptd-ppa")
        await eventually(lambda: _all_were_tried(room, 1))
        await room.receive(answer, referral, revoked_at=START, why="facts_amended")
        room.handset.is_failing = False
        await room.wait_until_none_waits()

    assert len(room.sms_to(PIKET_UPTD)) == leaves


async def test_what_was_answered_before_its_step_arrives_is_never_sent(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.receive("referral.accepted.v1", referral)
        await room.step("overdue", referral, "answer", "uptd-ppa")
        await room.wait_until_none_waits()

    assert await room.states() == ["suppressed", "suppressed"]
    assert room.handset.arrivals == []


async def test_the_people_of_an_excluded_agency_and_of_its_parts_get_nothing_more_of_the_case(room: Room) -> None:
    referral = Referral()
    other_case = Referral()
    room.handset.is_failing = True
    async with room.running():
        for one in (referral, other_case):
            await room.step("overdue", one, "answer", "uptd-ppa")
            await room.step("escalated", one, "answer", "uptd-ppa-head", "city-board")
        await eventually(lambda: _all_were_tried(room, 6))
        excluded = replace(referral, agency="uptd-ppa")
        await room.receive("case.agency_excluded.v1", excluded, excluded_at=START)
        await room.step("overdue", referral, "contact", "uptd-ppa")
        room.handset.is_failing = False
        await room.wait_until_none_waits()

    assert codes_in(room.sms_to(PIKET_UPTD), [referral, other_case]) == [other_case]
    assert codes_in(room.sms_to(HEAD), [referral, other_case]) == [other_case]
    assert codes_in(room.sms_to(BOARD), [referral, other_case]) == [referral, other_case]


async def test_two_deadlines_that_pass_together_are_one_text_to_each_person(room: Room) -> None:
    referral = Referral()
    async with room.running():
        for clock in ("contact", "service"):
            await room.step("overdue", referral, clock, "uptd-ppa")
        await room.wait_until_none_waits()

    assert len(room.sms_to(PIKET_UPTD)) == 1
    assert "belum ada kontak" in room.sms_to(PIKET_UPTD)[0]
    assert await room.states() == ["sent", "sent", "suppressed", "suppressed"]
    reasons = await room.rows("SELECT reason FROM alert WHERE state = 'suppressed'")
    assert {row["reason"] for row in reasons} == {"covered"}


async def test_a_deadline_whose_twin_was_settled_before_it_left_is_alerted_itself(room: Room) -> None:
    referral = Referral()
    room.handset.is_failing = True
    async with room.running():
        for clock in ("answer", "service"):
            await room.step("overdue", referral, clock, "uptd-ppa")
        await eventually(lambda: _all_were_tried(room, 1))
        await room.receive("referral.accepted.v1", referral)
        room.handset.is_failing = False
        await room.wait_until_none_waits()

    [text] = room.sms_to(PIKET_UPTD)
    assert "belum dilayani" in text


async def test_the_same_step_of_a_later_deadline_is_a_text_of_its_own(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.step("overdue", referral, "answer", "uptd-ppa")
        await room.wait_until_none_waits()
        await room.rows("UPDATE alert SET settled_at = settled_at - interval '45 minutes'")
        await room.step("overdue", referral, "service", "uptd-ppa")
        await room.wait_until_none_waits()

    assert len(room.sms_to(PIKET_UPTD)) == 2


async def test_a_gateway_that_hangs_with_all_it_may_hold_does_not_hold_up_the_mails(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simpul_notify.use_cases.send_alerts.MOST", 2)
    release = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/cgi-bin/sendsms", hang)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    room.sms_url = f"http://127.0.0.1:{runner.addresses[0][1]}/cgi-bin/sendsms"
    try:
        async with room.running():
            for _ in range(3):
                await room.offer(Referral())
                await room.rows("UPDATE alert SET due_at = now() WHERE attempts = 0")
            await room.wait_until_none_waits(channel="mail")
            release.set()
    finally:
        await runner.cleanup()

    assert len(room.mailbox.recipients) == 3


async def test_an_alert_that_waits_for_its_turn_is_not_sent_once_it_is_answered(room: Room) -> None:
    slow, waits = Referral(), Referral()
    release, taken = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        taken.set()
        await release.wait()
        return await room.handset.sendsms(request)

    app = web.Application()
    app.router.add_post("/cgi-bin/sendsms", hold)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    room.sms_url = f"http://127.0.0.1:{runner.addresses[0][1]}/cgi-bin/sendsms"
    room.concurrency = 1
    try:
        async with room.running():
            await room.offer(slow)
            await taken.wait()
            await room.offer(waits)
            await asyncio.sleep(1.1)
            await room.receive("referral.accepted.v1", waits)
            release.set()
            await room.wait_until_none_waits()
    finally:
        await runner.cleanup()

    assert codes_in(room.sms_to(), [slow, waits]) == [slow]


async def test_a_mail_address_that_is_refused_for_good_is_announced_and_the_person_gets_an_sms(room: Room) -> None:
    referral = Referral(urgency="low")
    room.mailbox.rcpt_answers = ["550 no such mailbox"]
    before = measured("simpul_alerts_failed_total", channel="mail", reason="rejected")
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: _has_arrived(room))
        await room.wait_until_none_waits()

    assert len(room.sms_to(PIKET_RS)) == 1
    assert [(event["channel"], event["reason"]) for event in room.of("alert.failed.v1")] == [("mail", "rejected")]
    assert measured("simpul_alerts_failed_total", channel="mail", reason="rejected") - before == 1


async def _has_arrived(room: Room) -> bool:
    return bool(room.handset.arrivals)


async def test_the_alert_of_somebody_who_left_the_roster_reaches_who_is_on_duty_now(room: Room) -> None:
    referral = Referral()
    room.handset.is_failing = True
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: _all_were_tried(room, 1))
    [person] = ROSTER.on_duty["rs-rujukan"]
    successor = replace(
        person, reference="rs-rujukan-2", addresses={**person.addresses, AlertChannel.SMS: "+62800111999"}
    )
    room.roster = replace(
        ROSTER, on_duty={**ROSTER.on_duty, "rs-rujukan": (successor,)}, contacts={successor.reference: successor}
    )
    room.handset.is_failing = False
    async with room.running():
        await eventually(lambda: _has_arrived(room))
        await room.wait_until_none_waits()

    assert len(room.sms_to("+62800111999")) == 1
    assert {event["reason"] for event in room.of("alert.failed.v1")} == {"nobody_on_duty"}


async def test_a_party_without_anybody_on_duty_is_an_alert_that_failed(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.step("overdue", referral, "answer", "bapas", "uptd-ppa")
        await room.wait_until_none_waits()

    failed = {(event["channel"], event["reason"], event["attempts"]) for event in room.of("alert.failed.v1")}
    assert failed == {("sms", "nobody_on_duty", 0), ("mail", "nobody_on_duty", 0)}
    assert len(room.sms_to(PIKET_UPTD)) == 1


async def test_a_row_that_cannot_be_read_does_not_keep_the_others_from_being_sent(room: Room) -> None:
    referrals = [Referral() for _ in range(3)]
    room.handset.is_failing = True
    async with room.running():
        await room.offer(*referrals)
        await eventually(lambda: _all_were_tried(room, 3))
        await room.rows(
            "UPDATE alert SET channel = 'pigeon', due_at = now() WHERE referral_id = $1 AND channel = 'sms'",
            referrals[0].referral_id,
        )
        room.handset.is_failing = False
        await room.wait_until_none_waits()

    assert codes_in(room.sms_to(), referrals) == referrals[1:]
    assert await room.states(channel="pigeon") == ["failed"]


async def test_a_sender_that_starts_while_the_database_is_away_works_once_it_is_back(room: Room) -> None:
    await room.rows("ALTER TABLE alert RENAME TO away")
    async with room.running():
        await asyncio.sleep(0.3)
        await room.rows("ALTER TABLE away RENAME TO alert")
        await room.offer(Referral())
        await room.wait_until_none_waits()

    assert await room.states() == ["sent", "sent"]


async def test_a_sender_that_is_started_again_goes_on_sending(room: Room) -> None:
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_waits()
        # As `keep_running` does when a loop of the sender has ended.
        await room.restart()
        await room.offer(Referral())
        await room.wait_until_none_waits()

    assert await room.states() == ["sent"] * 4


async def test_a_message_that_cannot_be_made_does_not_keep_the_others_from_being_sent(room: Room) -> None:
    [person] = ROSTER.on_duty["rs-rujukan"]
    broken = replace(person, addresses={**person.addresses, AlertChannel.MAIL: "igd@rs-rujukan.example\nx"})
    room.roster = replace(ROSTER, contacts={**ROSTER.contacts, "rs-rujukan-1": broken})
    async with room.running():
        await room.offer(Referral(), Referral(agency="uptd-ppa"))
        await eventually(lambda: _reached(room, 2))
        states = await room.states(channel="mail")

    assert room.mailbox.recipients == ["piket@uptd-ppa.example"]
    assert states == ["pending", "sent"]


async def test_alerts_that_wait_are_measured_and_a_provider_that_refuses_everything_is_named(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simpul_notify.use_cases.send_alerts.MEASURE", 0.1)
    room.handset.is_failing = True
    async with room.running():
        await room.offer(Referral(), Referral())
        await eventually(lambda: _all_were_tried(room, 2))
        await room.rows("UPDATE alert SET created_at = created_at - interval '6 minutes' WHERE channel = 'sms'")
        await eventually(lambda: _is_measured(2, 360))
        oldest = measured("simpul_alerts_oldest_seconds", channel="sms")
        monkeypatch.setattr("simpul_notify.use_cases.send_alerts.REFUSING_LIMIT", START - START)
        troubles = room.sender.troubles()
        room.handset.is_failing = False
        await room.wait_until_none_waits()
        await eventually(lambda: _is_measured(0))
        troubles_after = room.sender.troubles()

    assert oldest >= 360
    assert troubles == [
        "sms: the provider has refused everything for 0 minutes", "sms: an urgent alert has waited for 6 minutes",
    ]  # fmt: skip
    assert troubles_after == []


async def _is_measured(count: int, oldest: float = 0) -> bool:
    is_counted = measured("simpul_alerts_waiting", channel="sms") == count
    return is_counted and measured("simpul_alerts_oldest_seconds", channel="sms") >= oldest


async def test_a_waiting_alert_tells_the_urgency_and_deadline_of_now(room: Room) -> None:
    referral = Referral(urgency="medium")
    room.handset.is_failing = True
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: _all_were_tried(room, 1))
        await room.receive("referral.amended.v1", replace(referral, urgency="high"), answer_by=START.replace(hour=14))
        room.handset.is_failing = False
        await room.wait_until_none_waits()

    [text] = room.sms_to(PIKET_RS)
    assert "TINGGI" in text
    assert "27/11 21.00" in text


async def test_an_alert_of_before_this_version_goes_on_unless_an_answer_came_before(room: Room) -> None:
    answered, waits, given_up = uuid4(), uuid4(), uuid4()
    await _back_to_before(room)
    for referral_id, state in ((answered, "pending"), (waits, "pending"), (given_up, "failed")):
        await room.rows(
            "INSERT INTO alert (alert_id, referral_id, case_id, step, contact, channel, urgency, answer_by, state,"
            " attempts, due_at, created_at) VALUES ($1, $2, $3, 1, 'rs-rujukan-1', 'sms', 'high', now(), $4, 12,"
            " now(), now())", uuid4(), referral_id, uuid4(), state,
        )  # fmt: skip
    await room.rows(
        "INSERT INTO inbox (source, event_id, type, subject, sequence, digest, state)"
        " VALUES ('/kediri/routing', $1, 'referral.accepted.v1', $2, 2, '\\x00', 'done')",
        uuid4(), f"referral/{answered}",
    )  # fmt: skip
    await migrate_async(room.url, "simpul_notify")
    async with room.running():
        await room.wait_until_none_waits()

    assert await room.states(referral_id=answered) == ["suppressed"]
    assert await room.states(referral_id=waits) == ["sent"]
    assert await room.states(referral_id=given_up) == ["sent"]


async def _back_to_before(room: Room) -> None:
    statements: list[Any] = [
        "DROP TABLE referral_progress", "DROP TABLE excluded_party", "DROP TABLE alert",
        ("CREATE TABLE alert (alert_id uuid PRIMARY KEY, referral_id uuid NOT NULL, case_id uuid NOT NULL,"
        " step smallint NOT NULL, contact text NOT NULL, channel text NOT NULL, urgency text NOT NULL,"
        " answer_by timestamptz NOT NULL, state text NOT NULL, attempts smallint NOT NULL, due_at timestamptz NOT NULL,"
        " created_at timestamptz NOT NULL, settled_at timestamptz, UNIQUE (referral_id, step, contact, channel))"),
        "UPDATE alembic_version SET version_num = '20261126_held_events'",
    ]  # fmt: skip
    for statement in statements:
        await room.rows(statement)
