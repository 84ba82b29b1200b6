"""What providers report about messages, and what is used when one of them fails, hangs or reports nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from simpul_dev.backends import Backends
from simpul_notify.channels import OutgoingMessage, SmtpMail
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.contact_rules import ContactRules
from simpul_notify.domain.deliveries import ACCEPTED, Attempt, Capabilities, DeliveryState, Problem
from simpul_notify.domain.provider_health import REPORTS_DUE_AFTER
from simpul_notify.domain.responders import Responder, Roster
from simpul_notify.domain.safe_hours import SafeHours
from simpul_runtime.metrics import REGISTRY
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.room import ROSTER, START, Referral, Room, a_room
from tests.integration.notify.test_smtp import PASSWORD, SENDER, USER
from tests.support.agreements import CITY
from tests.support.ledger import eventually

REJECTED = Attempt(Outcome.REJECTED_TEMPORARILY, Problem.UNREACHABLE)
SMS_ONLY = replace(ROSTER, channels=dict.fromkeys(ROSTER.channels, (AlertChannel.SMS,)))


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        yield prepared


@dataclass
class ScriptedProvider:
    """A provider that answers as the test wants."""

    name: str
    attempt: Attempt = ACCEPTED
    channel: AlertChannel = AlertChannel.SMS
    reports_delivery: bool = False
    is_hanging: bool = False
    messages: list[OutgoingMessage] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(self.channel, concurrency=8, reports_delivery=self.reports_delivery)

    async def send(self, message: OutgoingMessage) -> Attempt:
        self.messages.append(message)
        if self.is_hanging:
            await asyncio.Event().wait()
        return self.attempt

    async def close(self) -> None:
        self.messages.clear()


def crowd(count: int) -> Roster:
    """A roster with many agencies, each with one responder."""
    people = tuple(
        Responder(f"rs-{n}", "id", {AlertChannel.SMS: f"+62834002{n:05}", AlertChannel.MAIL: f"{n}@rs.example"})
        for n in range(count)
    )
    responders = {person.reference: person for person in people}
    return replace(ROSTER, on_duty={name: (person,) for name, person in responders.items()}, responders=responders)


def to_all(count: int) -> list[Referral]:
    """A referral to each agency of a crowd."""
    return [Referral(agency=f"rs-{n}") for n in range(count)]


async def test_reports_are_merged_by_rank_in_whatever_order_and_however_often_they_come(room: Room) -> None:
    room.roster = SMS_ONLY
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        [sms] = room.handset.arrivals
        states = []
        for state in (8, 4, 1, 8, 1, 2):
            assert await room.report(sms, state) == 200
            states += [state for _, state in await room.deliveries()]

    assert states == [DeliveryState.IN_NETWORK] * 2 + [DeliveryState.ON_HANDSET] * 4
    assert await room.states() == ["sent"]


async def test_a_report_may_come_before_the_providers_answer(room: Room) -> None:
    room.roster = SMS_ONLY
    slow = ScriptedProvider("slow", reports_delivery=True)
    answered = asyncio.Event()

    async def report_first(message: OutgoingMessage) -> Attempt:
        for state in (16, 8):
            await room.call("GET", f"{message.report_url}?state={state}")
        answered.set()
        return ACCEPTED

    # The report of this provider is read as Kannel's are.
    slow.send = report_first  # type: ignore[method-assign]
    slow.parse_report = lambda fields, _: {"16": DeliveryState.FAILED, "8": DeliveryState.IN_NETWORK}[fields["state"]]  # type: ignore[attr-defined]
    room.providers = [slow]
    async with room.running():
        await room.offer(Referral())
        async with asyncio.timeout(90):
            await answered.wait()
        await room.wait_until_none_is_pending()

    assert await room.deliveries() == [("slow", DeliveryState.FAILED)]
    assert await room.states(channel="sms") == ["failed"]


async def test_an_sms_that_the_network_refuses_is_followed_by_another_way(room: Room) -> None:
    low = Referral(urgency="medium")
    room.bundle_period = 3600
    async with room.running():
        await room.offer(low)
        await room.rows("UPDATE alert SET due_at = now() WHERE channel = 'sms'")
        await room.wait_until_none_is_pending(channel="sms")
        [sms] = room.handset.arrivals
        await room.report(sms, 16)
        await room.rows("UPDATE alert SET due_at = now()")
        await room.wait_until_none_is_pending()

    assert await room.states(channel="sms") == ["failed"]
    assert room.mailbox.recipients == ["igd@rs-rujukan.example"]
    assert [event["reason"] for event in room.of("alert.failed.v1")] == ["rejected"]


@pytest.mark.parametrize(
    "path", ["/gateway/reports/aaaaaaaaaaaa/kannel?state=1", "/gateway/reports/aaaaaaaaaaaa/no?state=1"]
)
async def test_a_report_without_a_valid_token_finds_nothing(room: Room, path: str) -> None:
    async with room.running():
        assert await room.call("GET", room.web_url + path) == 404


async def test_an_expired_token_and_an_unknown_state_find_nothing(room: Room) -> None:
    room.roster = SMS_ONLY
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        [sms] = room.handset.arrivals
        statuses = [await room.report(sms, 7)]
        await room.rows("UPDATE notification SET created_at = created_at - interval '15 days'")
        statuses.append(await room.report(sms, 1))

    assert statuses == [404, 404]
    assert await room.deliveries() == [("kannel", DeliveryState.ACCEPTED)]


async def test_a_report_address_holds_nothing_personal(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.offer(referral)
        await room.wait_until_none_is_pending()
    [sms] = room.handset.arrivals

    held = [str(referral.referral_id), str(referral.case_id), "rs-rujukan", sms.to.strip("+"), sms.to[3:]]
    assert [value for value in held if value in sms.report_url] == []
    assert [
        row for row in await room.rows("SELECT * FROM notification") if sms.report_url.split("/")[5] in str(row)
    ] == []


async def test_a_rejected_message_leaves_by_the_next_provider_at_once(room: Room) -> None:
    room.roster = replace(crowd(20), channels=SMS_ONLY.channels)
    first, second = ScriptedProvider("first", REJECTED), ScriptedProvider("second")
    room.providers, room.first_retry_delay = [first, second], 60
    async with room.running():
        await room.offer(*to_all(20))
        await room.wait_until_none_is_pending()
        tries = len(first.messages)
        problems = room.dispatch.find_problems()
        sent = len(second.messages)

    assert set(await room.states()) == {"sent"}
    assert {provider for provider, _ in await room.deliveries()} == {"second"}
    assert tries < sent
    assert problems == ["sms: first is set aside: it fails"]
    assert REGISTRY.get_sample_value("simpul_provider_set_aside", {"provider": "first"}) == 1


async def test_what_a_provider_may_have_taken_is_repeated_by_the_other_with_the_same_code(room: Room) -> None:
    room.roster = SMS_ONLY
    first, second = ScriptedProvider("first", Attempt(Outcome.UNKNOWN, Problem.NO_ANSWER)), ScriptedProvider("second")
    room.providers = [first, second]
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        [before], [after] = first.messages, second.messages

    # Each message has a link of its own.
    assert before.text.body.partition("https")[0] == after.text.body.partition("https")[0]
    assert await room.deliveries() == [("first", DeliveryState.QUEUED), ("second", DeliveryState.ACCEPTED)]


async def test_a_provider_whose_reports_stay_out_is_used_last_until_they_come_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simpul_notify.use_cases.send_alerts.MEASURE_INTERVAL", timedelta(seconds=0.05))
    room.roster = crowd(6)
    room.roster = replace(room.roster, channels=dict.fromkeys(ROSTER.channels, (AlertChannel.SMS,)))
    first, second = ScriptedProvider("first", reports_delivery=True), ScriptedProvider("second")
    room.providers = [first, second]
    async with room.running():
        await room.offer(*to_all(6))
        await room.wait_until_none_is_pending()
        await room.rows("UPDATE delivery SET accepted_at = accepted_at - $1::interval", REPORTS_DUE_AFTER * 1.5)
        await eventually(lambda: _is_set_aside(room, True))
        await room.offer(*to_all(6))
        await room.wait_until_none_is_pending()
        counts = len(first.messages), len(second.messages)
        await room.rows("UPDATE delivery SET state = $1", int(DeliveryState.ON_HANDSET))
        await eventually(lambda: _is_set_aside(room, False))

    assert counts == (6, 6)


async def _is_set_aside(room: Room, expected: bool) -> bool:
    return bool(room.dispatch.find_problems()) is expected


async def test_a_mail_server_that_never_answers_delays_no_sms(room: Room) -> None:
    room.roster = crowd(600)
    async with AsyncExitStack() as ending:
        silent = await ending.enter_async_context(await asyncio.start_server(_say_nothing, "127.0.0.1", 0))
        mail = SmtpMail("127.0.0.1", silent.sockets[0].getsockname()[1], USER, PASSWORD, SENDER, room.ca_file, 5)
        room.providers = [ScriptedProvider("gateway"), mail]
        await ending.enter_async_context(room.running())
        started = time.monotonic()
        await room.take_in("referral.offered.v1", *((one, {"answer_by": START}) for one in to_all(600)))
        await room.wait_until_none_is_pending(channel="sms")
        seconds = time.monotonic() - started
        mails = await room.rows("SELECT state, attempts FROM alert WHERE channel = 'mail'")

    assert await room.states(channel="sms") == ["sent"] * 600
    assert seconds < 60
    assert {row["state"] for row in mails} == {"pending"}
    # Of the mails, at the longest some have been given up for now; nobody waited for them.
    assert sum(row["attempts"] for row in mails) < 100


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.read()
    finally:
        writer.close()


async def test_a_provider_that_ignores_its_timeout_is_interrupted(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpul_notify.use_cases.dispatch.TIMEOUT_MARGIN", timedelta(seconds=-4.9))
    room.roster = SMS_ONLY
    hanging = ScriptedProvider("hanging", is_hanging=True)
    room.providers = [hanging, ScriptedProvider("second")]
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        tries = len(hanging.messages)

    assert tries == 1
    assert await room.states() == ["sent"]


async def test_an_address_that_is_never_used_gets_nothing_by_any_provider(room: Room) -> None:
    [person] = ROSTER.on_duty["rs-rujukan"]
    never = frozenset({person.contact_methods[AlertChannel.SMS].strip("+")})
    room.rules = ContactRules(CITY.zone, never)
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()

    assert room.sms_to() == []
    assert room.mailbox.recipients == ["igd@rs-rujukan.example"]
    assert await room.states(channel="sms") == ["failed"]


async def test_what_exceeds_the_limit_of_a_number_waits_and_is_bundled(room: Room) -> None:
    room.roster, room.rules = SMS_ONLY, ContactRules(CITY.zone, urgent_per_hour=2)
    async with room.running():
        for _ in range(2):
            await room.offer(Referral())
            await room.wait_until_none_is_pending()
        await room.offer(Referral())
        await room.offer(Referral())
        await eventually(lambda: _waits_for_an_hour(room))
        held = len(room.sms_to())
        await room.rows("UPDATE delivery SET accepted_at = accepted_at - interval '1 hour'")
        await room.rows("UPDATE alert SET due_at = now() WHERE state = 'pending'")
        await room.wait_until_none_is_pending()

    assert held == 2
    assert room.sms_to()[2].startswith("Simpul: 2 kasus, 2 rujukan menunggu.")
    assert [row["attempts"] for row in await room.rows("SELECT attempts FROM alert")] == [1] * 4


async def _waits_for_an_hour(room: Room) -> bool:
    waiting = await room.rows(
        "SELECT FROM alert WHERE state = 'pending' AND due_at > now() + interval '50 minutes' AND leased_until IS NULL"
    )
    return len(waiting) == 2


async def test_people_who_share_a_number_share_its_limit(room: Room) -> None:
    [person] = ROSTER.on_duty["rs-rujukan"]
    other = Responder("rs-2", "id", {AlertChannel.SMS: person.contact_methods[AlertChannel.SMS]})
    room.roster = replace(
        SMS_ONLY,
        on_duty={"rs-rujukan": (person,), "uptd-ppa": (other,)},
        responders={person.reference: person, other.reference: other},
    )
    room.rules = ContactRules(CITY.zone, urgent_per_hour=1)
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        await room.offer(Referral(agency="uptd-ppa"))
        await eventually(lambda: _is_postponed(room))

    assert len(room.sms_to()) == 1


async def _is_postponed(room: Room) -> bool:
    return bool(
        await room.rows("SELECT FROM alert WHERE responder = 'rs-2' AND due_at > now() + interval '50 minutes'")
    )


async def test_outside_safe_hours_even_an_urgent_message_waits_and_is_no_attempt(room: Room) -> None:
    [person] = ROSTER.on_duty["rs-rujukan"]
    local = datetime.now(CITY.zone)
    hours = SafeHours((local + timedelta(hours=2)).time(), (local + timedelta(hours=4)).time())
    private = replace(person, safe_hours=hours)
    room.roster = replace(SMS_ONLY, on_duty={"rs-rujukan": (private,)}, responders={private.reference: private})
    async with room.running():
        await room.offer(Referral())
        await eventually(lambda: _is_held(room))
        room.roster = SMS_ONLY
        await room.rows("UPDATE alert SET due_at = now()")
        await room.wait_until_none_is_pending()

    [row] = await room.rows("SELECT attempts, state FROM alert WHERE responder = 'rs-rujukan-1' AND channel = 'sms'")
    assert (row["attempts"], row["state"]) == (1, "sent")


async def _is_held(room: Room) -> bool:
    return bool(await room.rows("SELECT FROM alert WHERE due_at > now() + interval '1 hour' AND leased_until IS NULL"))
