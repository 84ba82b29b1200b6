"""Alerts reach responders as long as they are needed, and no longer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from simpul_dev.backends import Backends
from simpul_notify import repository
from simpul_notify.domain.responders import Recipient
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.migrations import migrate_async
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.room import ROSTER, START, Referral, Room, a_room
from tests.support.ledger import eventually

PIKET_RS, PIKET_UPTD, HEAD, BOARD = "+6283400111006", "+6283400111002", "+6283400113001", "+6283400113002"


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        yield prepared


def measured(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def codes_in(texts: list[str], referrals: list[Referral]) -> list[Referral]:
    """The referrals that the texts are about."""
    return [one for one in referrals if any(referral_code(one.referral_id) in text for text in texts)]


async def test_a_missing_answer_alerts_each_escalation_level_in_turn(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.offer(referral)
        await room.step("reminded", referral, "answer", "rs-rujukan")
        await room.step("overdue", referral, "answer", "uptd-ppa")
        await room.step("escalated", referral, "answer", "uptd-ppa-head", "city-board")
        await room.wait_until_none_is_pending()

    code = referral_code(referral.referral_id)
    assert [text.partition(".")[0] for text in room.sms_to(PIKET_RS)] == [
        f"Simpul: {code} menunggu jawaban Anda",
        f"Simpul: {code} belum dijawab",
    ]
    assert [text.partition(".")[0] for text in room.sms_to(PIKET_UPTD)] == [
        f"Simpul: {code} di rs-rujukan belum dijawab"
    ]
    assert len(room.sms_to(HEAD)) == len(room.sms_to(BOARD)) == 1
    assert sorted(room.mailbox.recipients) == [
        "igd@rs-rujukan.example",
        "igd@rs-rujukan.example",
        "kepala@uptd-ppa.example",
        "piket@gugus-tugas.example",
        "piket@uptd-ppa.example",
    ]
    assert len(room.of("alert.sent.v1")) == 10


async def test_only_needed_alerts_are_sent_after_a_gateway_outage(room: Room) -> None:
    referrals = [Referral() for _ in range(18)]
    accepted, voided, rest = referrals[:9], referrals[9:12], referrals[12:]
    before = measured("simpul_alerts_suppressed_total", reason="settled")
    room.handset.is_failing = True
    async with room.running():
        await room.offer(*referrals)
        await eventually(lambda: _all_were_tried(room, len(referrals)))
        await room.wait_until_none_is_pending(channel="mail")
        await room.receive("referral.accepted.v1", *accepted)
        await room.receive("referral.cancelled.v1", *voided, cancelled_at=START, why="entered_in_error")
        room.handset.is_failing = False
        await room.wait_until_none_is_pending()

    [text] = room.sms_to()
    assert text.startswith("Simpul: 6 kasus, 6 rujukan menunggu.")
    assert await room.alerted("rs-rujukan-1") == {referral.referral_id for referral in rest}
    assert await room.states(channel="sms") == sorted(["suppressed"] * 12 + ["sent"] * 6)
    assert [event["channel"] for event in room.of("alert.sent.v1")].count("sms") == 6
    assert room.of("alert.failed.v1") == []
    assert measured("simpul_alerts_suppressed_total", reason="settled") - before == 12


async def _all_were_tried(room: Room, count: int) -> bool:
    return len(await room.rows("SELECT FROM alert WHERE channel = 'sms' AND attempts > 0")) >= count


async def test_attempts_continue_while_the_answer_is_due(room: Room) -> None:
    referral = Referral()
    room.handset.is_failing, room.first_retry_delay = True, 60
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: _all_were_tried(room, 1))
        await room.rows("UPDATE alert SET attempts = 500, due_at = now() WHERE channel = 'sms'")
        await eventually(lambda: _reached(room, 501))
        [row] = await room.rows("SELECT state, due_at - now() AS wait FROM alert WHERE channel = 'sms'")
        room.handset.is_failing = False
        await room.rows("UPDATE alert SET due_at = now() WHERE channel = 'sms'")
        await room.wait_until_none_is_pending()

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
async def test_an_overdue_alert_is_sent_only_while_its_own_deadline_is_missed(
    room: Room, clock: str, answer: str, leaves: bool
) -> None:
    referral = Referral()
    room.handset.is_failing = True
    async with room.running():
        await room.step("overdue", referral, clock, "uptd-ppa")
        await eventually(lambda: _all_were_tried(room, 1))
        await room.receive(answer, referral, revoked_at=START, why="facts_amended")
        room.handset.is_failing = False
        await room.wait_until_none_is_pending()

    assert len(room.sms_to(PIKET_UPTD)) == leaves


async def test_a_step_of_an_answered_referral_is_never_sent(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.receive("referral.accepted.v1", referral)
        await room.step("overdue", referral, "answer", "uptd-ppa")
        await room.wait_until_none_is_pending()

    assert await room.states() == ["suppressed", "suppressed"]
    assert room.handset.arrivals == []


async def test_an_excluded_agency_and_its_levels_get_no_further_alerts_of_the_case(room: Room) -> None:
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
        await room.wait_until_none_is_pending()

    assert await room.alerted("uptd-ppa-1") == {other_case.referral_id}
    assert await room.alerted("uptd-ppa-head-1") == {other_case.referral_id}
    assert await room.alerted("city-board-1") == {referral.referral_id, other_case.referral_id}
    assert [len(room.sms_to(number)) for number in (PIKET_UPTD, HEAD, BOARD)] == [1, 1, 1]


async def test_two_deadlines_that_pass_within_a_minute_are_one_alert_per_responder(room: Room) -> None:
    referral = Referral()
    async with room.running():
        for clock in ("contact", "service"):
            await room.step("overdue", referral, clock, "uptd-ppa")
            await room.wait_until_none_is_pending()

    assert len(room.sms_to(PIKET_UPTD)) == 1
    assert "belum ada kontak" in room.sms_to(PIKET_UPTD)[0]
    assert await room.states() == ["sent", "sent", "suppressed", "suppressed"]
    reasons = await room.rows("SELECT reason FROM alert WHERE state = 'suppressed'")
    assert {row["reason"] for row in reasons} == {"covered"}


async def test_a_deadline_that_passes_while_the_alert_of_another_leaves_is_the_same_message(room: Room) -> None:
    """One process is sending the first alert when another one takes the second deadline."""
    referral, handset, release = Referral(), room.handset, asyncio.Event()
    arrived = asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        arrived.set()
        await release.wait()
        return await handset.sendsms(request)

    async with serving_gateway(hold) as room.sms_url, room.running():
        await room.step("overdue", referral, "contact", "uptd-ppa")
        async with asyncio.timeout(90):
            await arrived.wait()
        await room.step("overdue", referral, "service", "uptd-ppa")
        async with room.transactions.begin() as transaction:
            due = await repository.find_due_recipients(transaction)
            claimed = await repository.claim_notifications(
                transaction, [Recipient("uptd-ppa-1", AlertChannel.SMS)], timedelta(seconds=30)
            )
        assert (claimed.notifications, [one for one in due if one.recipient.channel is AlertChannel.SMS]) == ({}, [])
        release.set()
        await room.wait_until_none_is_pending()

    assert len(room.sms_to(PIKET_UPTD)) == 1
    assert await room.states(channel="sms") == ["sent", "suppressed"]


async def test_two_processes_cannot_claim_for_one_person_at_the_same_moment(room: Room) -> None:
    referral, sms = Referral(), Recipient("uptd-ppa-1", AlertChannel.SMS)
    lease = timedelta(seconds=30)
    async with room.running():
        await room.stop_sender()
        await room.step("overdue", referral, "contact", "uptd-ppa")
        async with room.transactions.begin() as first:
            claimed = await repository.claim_notifications(first, [sms], lease)
            await room.step("overdue", referral, "service", "uptd-ppa")
            async with room.transactions.begin() as second:
                assert (await repository.claim_notifications(second, [sms], lease)).notifications == {}

    assert [len(one.alerts) for one in claimed.notifications.values()] == [1]


@asynccontextmanager
async def serving_gateway(sendsms: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Serves a gateway that behaves as given; yields its address."""
    app = web.Application()
    app.router.add_post("/cgi-bin/sendsms", sendsms)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/cgi-bin/sendsms"
    finally:
        await runner.cleanup()


async def test_a_covered_deadline_is_alerted_when_the_covering_alert_was_suppressed(room: Room) -> None:
    referral = Referral()
    room.handset.is_failing = True
    async with room.running():
        for clock in ("answer", "service"):
            await room.step("overdue", referral, clock, "uptd-ppa")
        await eventually(lambda: _all_were_tried(room, 1))
        await room.receive("referral.accepted.v1", referral)
        room.handset.is_failing = False
        await room.wait_until_none_is_pending()

    [text] = room.sms_to(PIKET_UPTD)
    assert "belum dilayani" in text


async def test_the_same_step_of_a_later_deadline_is_a_separate_alert(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.step("overdue", referral, "answer", "uptd-ppa")
        await room.wait_until_none_is_pending()
        await room.rows("UPDATE alert SET settled_at = settled_at - interval '45 minutes'")
        await room.step("overdue", referral, "service", "uptd-ppa")
        await room.wait_until_none_is_pending()

    assert len(room.sms_to(PIKET_UPTD)) == 2


async def test_a_hanging_gateway_does_not_delay_mail(room: Room) -> None:
    room.concurrency = 1
    release = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response(status=503)

    async with serving_gateway(hang) as room.sms_url, room.running():
        for agency in ("rs-rujukan", "uptd-ppa", "ylpa"):
            await room.offer(Referral(agency))
        await room.wait_until_none_is_pending(channel="mail")
        release.set()

    assert len(room.mailbox.recipients) == 3


async def test_an_alert_in_the_queue_is_not_sent_after_the_answer(room: Room) -> None:
    slow, waits = Referral("ylpa"), Referral()
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
            await room.receive("referral.accepted.v1", waits)
            release.set()
            await room.wait_until_none_is_pending()
    finally:
        await runner.cleanup()

    assert codes_in(room.sms_to(), [slow, waits]) == [slow]


async def test_a_permanently_rejected_mail_is_published_and_followed_by_an_sms(room: Room) -> None:
    referral = Referral(urgency="low")
    room.mailbox.rcpt_answers = ["550 no such mailbox"]
    before = measured("simpul_alerts_failed_total", channel="mail", reason="rejected")
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: _has_arrived(room))
        await room.wait_until_none_is_pending()

    assert len(room.sms_to(PIKET_RS)) == 1
    assert [(event["channel"], event["reason"]) for event in room.of("alert.failed.v1")] == [("mail", "rejected")]
    assert measured("simpul_alerts_failed_total", channel="mail", reason="rejected") - before == 1


async def _has_arrived(room: Room) -> bool:
    return bool(room.handset.arrivals)


async def test_an_alert_of_a_responder_who_left_reaches_who_is_on_duty(room: Room) -> None:
    referral = Referral()
    room.handset.is_failing = True
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: _all_were_tried(room, 1))
        await room.wait_until_none_is_pending(channel="mail")
    [person] = ROSTER.on_duty["rs-rujukan"]
    successor = replace(
        person, reference="rs-rujukan-2", contact_methods={**person.contact_methods, AlertChannel.SMS: "+6283400111999"}
    )
    room.roster = replace(
        ROSTER, on_duty={**ROSTER.on_duty, "rs-rujukan": (successor,)}, responders={successor.reference: successor}
    )
    room.handset.is_failing = False
    async with room.running():
        await eventually(lambda: _has_arrived(room))
        await room.wait_until_none_is_pending()

    assert len(room.sms_to("+6283400111999")) == 1
    assert {event["reason"] for event in room.of("alert.failed.v1")} == {"nobody_on_duty"}


async def test_a_party_without_a_responder_is_a_failed_alert(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.step("overdue", referral, "answer", "bapas", "uptd-ppa")
        await room.wait_until_none_is_pending()

    failed = {(event["channel"], event["reason"], event["attempts"]) for event in room.of("alert.failed.v1")}
    assert failed == {("sms", "nobody_on_duty", 0), ("mail", "nobody_on_duty", 0)}
    assert len(room.sms_to(PIKET_UPTD)) == 1


async def test_an_unreadable_row_does_not_block_other_alerts(room: Room) -> None:
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
        await room.wait_until_none_is_pending()

    assert await room.alerted("rs-rujukan-1") == {referral.referral_id for referral in referrals[1:]}
    assert await room.states(channel="pigeon") == ["failed"]


async def test_a_sender_that_starts_without_a_database_recovers(room: Room) -> None:
    await room.rows("ALTER TABLE alert RENAME TO away")
    async with room.running():
        await asyncio.sleep(0.3)
        await room.rows("ALTER TABLE away RENAME TO alert")
        await room.offer(Referral())
        await room.wait_until_none_is_pending()

    assert await room.states() == ["sent", "sent"]


async def test_a_restarted_sender_continues_sending(room: Room) -> None:
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        # As `keep_running` does when a loop of the sender has ended.
        await room.restart_sender()
        await room.offer(Referral())
        await room.wait_until_none_is_pending()

    assert await room.states() == ["sent"] * 4


async def test_a_message_that_cannot_be_composed_does_not_block_other_alerts(room: Room) -> None:
    [person] = ROSTER.on_duty["rs-rujukan"]
    broken = replace(person, contact_methods={**person.contact_methods, AlertChannel.MAIL: "igd@rs-rujukan.example\nx"})
    room.roster = replace(ROSTER, responders={**ROSTER.responders, "rs-rujukan-1": broken})
    async with room.running():
        await room.offer(Referral(), Referral(agency="uptd-ppa"))
        await eventually(lambda: _reached(room, 2))
        states = await room.states(channel="mail")

    assert room.mailbox.recipients == ["piket@uptd-ppa.example"]
    assert states == ["pending", "sent"]


async def test_pending_alerts_are_measured_and_a_failing_provider_is_named(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simpul_notify.use_cases.send_alerts.MEASURE_INTERVAL", timedelta(seconds=0.1))
    room.handset.is_failing = True
    async with room.running():
        await room.offer(Referral(), Referral())
        await eventually(lambda: _all_were_tried(room, 2))
        await room.rows("UPDATE alert SET created_at = created_at - interval '6 minutes' WHERE channel = 'sms'")
        await eventually(lambda: _is_measured(2, 360))
        oldest = measured("simpul_alerts_oldest_seconds", channel="sms")
        monkeypatch.setattr("simpul_notify.use_cases.send_alerts.PROVIDER_ALARM_AFTER", timedelta())
        problems = room.sender.readiness_problems()
        room.handset.is_failing = False
        await room.wait_until_none_is_pending()
        await eventually(_nothing_waits)
        problems_after = room.sender.readiness_problems()

    assert oldest >= 360
    assert problems == [
        "sms: no provider has accepted anything for 0 minutes",
        "sms: an urgent alert has been pending for 6 minutes",
    ]
    assert problems_after == []


async def _is_measured(count: int, oldest: float = 0) -> bool:
    is_counted = measured("simpul_alerts_waiting", channel="sms") >= count
    return is_counted and measured("simpul_alerts_oldest_seconds", channel="sms") >= oldest


async def _nothing_waits() -> bool:
    gauges = ("simpul_alerts_waiting", "simpul_alerts_oldest_seconds")
    return all(measured(gauge, channel="sms") == 0 for gauge in gauges)


async def test_alerts_of_an_older_version_are_sent_unless_answered(room: Room) -> None:
    answered, waits, given_up = uuid4(), uuid4(), uuid4()
    await _restore_old_schema(room)
    for referral_id, state in ((answered, "pending"), (waits, "pending"), (given_up, "failed")):
        await room.rows(
            "INSERT INTO alert (alert_id, referral_id, case_id, step, contact, channel, urgency, answer_by, state,"
            " attempts, due_at, created_at) VALUES ($1, $2, $3, 1, 'rs-rujukan-1', 'sms', 'high', now(), $4, 12,"
            " now(), now())",
            uuid4(),
            referral_id,
            uuid4(),
            state,
        )
    await room.rows(
        "INSERT INTO inbox (source, event_id, type, subject, sequence, digest, state)"
        " VALUES ('/kediri/routing', $1, 'referral.accepted.v1', $2, 2, '\\x00', 'done')",
        uuid4(),
        f"referral/{answered}",
    )
    await migrate_async(room.url, "simpul_notify", "20261126_responders")
    # The messaging tables are at the newest revision already.
    await room.rows("UPDATE alembic_version SET version_num = '20261126_inbox_states'")
    await migrate_async(room.url, "simpul_notify", "20261126_letters")
    # The table of the audit is there as well.
    await room.rows("UPDATE alembic_version SET version_num = '20261126_audit'")
    await migrate_async(room.url, "simpul_notify")
    async with room.running():
        await room.wait_until_none_is_pending()

    assert await room.states(referral_id=answered) == ["suppressed"]
    assert await room.states(referral_id=waits) == ["sent"]
    assert await room.states(referral_id=given_up) == ["sent"]


async def _restore_old_schema(room: Room) -> None:
    statements: list[Any] = [
        "DROP TABLE referral_service", "DROP TABLE excluded_party", "DROP TABLE alert", "DROP TABLE delivery",
        "DROP TABLE notification", "DROP TABLE escalation", "DROP TABLE reach_check",
        "DROP TABLE met_deadline", "DROP TABLE roster_change",
        "ALTER TABLE outbox DROP COLUMN traceparent",
        ("CREATE TABLE alert (alert_id uuid PRIMARY KEY, referral_id uuid NOT NULL, case_id uuid NOT NULL,"
        " step smallint NOT NULL, contact text NOT NULL, channel text NOT NULL, urgency text NOT NULL,"
        " answer_by timestamptz NOT NULL, state text NOT NULL, attempts smallint NOT NULL, due_at timestamptz NOT NULL,"
        " created_at timestamptz NOT NULL, settled_at timestamptz, UNIQUE (referral_id, step, contact, channel))"),
        "UPDATE alembic_version SET version_num = '20261126_held_events'",
    ]  # fmt: skip
    for statement in statements:
        await room.rows(statement)
