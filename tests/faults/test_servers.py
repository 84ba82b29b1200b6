"""Broker and database fail and recover; a queue is missing; unusable messages delay no others."""

import asyncio
import json
from uuid import uuid4

import aio_pika
import aiohttp
import pytest

from simpul_agency.broker_api import BrokerApi
from simpul_cli.parked import list_parked, replay_parked
from simpul_cli.topology import prepare_broker
from simpul_runtime.database import utc_now
from simpul_schema.names import EVENTS, REPLIES, UNROUTED, agency_inbox
from simpul_schema.samples import samples
from simpul_seal import KeyRing, generate, sign
from tests.faults.conftest import BreakableCity
from tests.support.ledger import assert_exactly_once, eventually, post_until_accepted, received, rows, settle
from tests.support.reports import a_report
from tests.support.signing import message, signed

SATGAS = "satgas-kel-bandar-lor"
"""The task force of the ward where the reports of these tests happen."""


async def send(city: BreakableCity, count: int) -> set[str]:
    async with aiohttp.ClientSession() as session:
        return {await post_until_accepted(session, city, a_report()) for _ in range(count)}


async def test_intake_accepts_reports_while_the_broker_is_unavailable(breakable: BreakableCity) -> None:
    assert breakable.rabbit
    breakable.rabbit.kill()
    cases = await send(breakable, 5)
    assert len(cases) == 5

    breakable.rabbit.start()
    await settle(breakable, cases)

    await assert_exactly_once(breakable, cases)


async def test_services_recover_when_the_database_restarts(breakable: BreakableCity) -> None:
    assert breakable.postgres
    loading = asyncio.create_task(send(breakable, 10))
    await asyncio.sleep(0.1)
    breakable.postgres.stop()
    breakable.postgres.start()

    cases = await loading
    await settle(breakable, cases)

    await assert_exactly_once(breakable, cases)


async def test_readiness_names_the_problem(breakable: BreakableCity) -> None:
    assert breakable.rabbit
    breakable.rabbit.kill()

    async def names_the_relay() -> bool:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{breakable.url('routing')}/health/ready") as answer,
        ):
            return answer.status == 503 and "relay" in json.dumps(await answer.json())

    await eventually(names_the_relay)
    breakable.rabbit.start()
    breakable.wait_ready("intake", "routing", "notify")


async def test_a_referral_to_a_missing_queue_is_sent_once_the_queue_exists(breakable: BreakableCity) -> None:
    async with BrokerApi(breakable.backends.rabbitmq_api) as api:
        await api.call("DELETE", "queues", "{vhost}", agency_inbox(SATGAS))
        (case_id,) = await send(breakable, 1)

        async def is_held() -> bool:
            return bool((await api.call("GET", "queues", "{vhost}", UNROUTED)).get("messages"))

        await eventually(is_held)
    sent = await prepare_broker(breakable.backends.rabbitmq_api, breakable.backends.amqp_url, breakable.city)
    breakable.kill("agencies")
    breakable.start("agencies")
    breakable.wait_ready("agencies")

    await settle(breakable, {case_id})

    # Manifests to that agency were unrouted, too.
    assert sent >= 1
    assert SATGAS in {line["agency"] for line in received(breakable) if line["case_id"] == case_id}


def _sample(wire_name: str) -> dict[str, object]:
    body = next(body for name, _, body in samples() if name == wire_name)
    event: dict[str, object] = json.loads(body)
    return event | {"id": str(uuid4())}


async def _publish(city: BreakableCity, exchange: str, key: str, body: bytes, signature: str = "") -> None:
    async with await aio_pika.connect(city.backends.amqp_url) as connection:
        channel = await connection.channel()
        target = await channel.get_exchange(exchange)
        await target.publish(message(body, signature), key)


@pytest.mark.parametrize(
    "reason",
    [
        "malformed",
        "too_large",
        "unsigned",
        "forged",
        "unknown_key",
        "unknown_type",
        "unauthorized_publisher",
        "invalid",
    ],
)
async def test_an_unusable_message_is_parked_with_its_reason_and_delays_no_others(
    breakable: BreakableCity, reason: str
) -> None:
    stranger = KeyRing.read(breakable.keys / "ylpa.key.json")
    intake = KeyRing.read(breakable.keys / "intake.key.json")
    event, junk = _sample("case.reported.v1"), b'{"type": "case.reported.v1", ' + uuid4().bytes
    sent = {
        "malformed": (junk, sign(junk, intake)),
        "too_large": (b'{"type": "' + b"x" * 300_000 + uuid4().hex.encode() + b'"}', ""),
        "unsigned": (json.dumps(event).encode(), ""),
        "forged": signed(event, stranger),
        "unknown_key": signed(event, generate("intake", not_before=utc_now(), not_after=utc_now())[0]),
        "unknown_type": signed(event | {"type": "case.reported.v9"}, intake),
        "unauthorized_publisher": signed(event | {"source": "/kediri/agency/ylpa"}, stranger),
        "invalid": signed(event | {"data": {"case_id": "no"}}, intake),
    }[reason]
    await _publish(breakable, EVENTS, "case.reported.v1", *sent)
    cases = await send(breakable, 2)

    async def is_parked() -> bool:
        return reason in {row["reason"] for row in await list_parked(breakable.database_url("routing"))}

    await eventually(is_parked)
    await settle(breakable, cases)
    assert await replay_parked(breakable.database_url("routing"), "all") >= 1

    await eventually(is_parked)
    await rows(breakable, "routing", "DELETE FROM parked")


async def test_reply_of_another_agency_changes_nothing_and_is_recorded(breakable: BreakableCity) -> None:
    (case_id,) = await send(breakable, 1)
    await settle(breakable, {case_id})
    (referral, *_) = await rows(
        breakable,
        "routing",
        "SELECT referral_id::text FROM referral WHERE case_id = $1::uuid AND agency <> 'ylpa'",
        case_id,
    )
    ring = KeyRing.read(breakable.keys / "ylpa.key.json")
    event = _sample("reply.referral.accepted.v1") | {
        "source": "/kediri/agency/ylpa",
        "subject": f"referral/{referral['referral_id']}",
        "sequence": "0000000001",
        "data": {"referral_id": referral["referral_id"], "agency": "ylpa"},
    }

    await _publish(breakable, REPLIES, "reply.ylpa.accepted.v1", *signed(event, ring))

    async def is_recorded() -> bool:
        refused = await rows(breakable, "routing", "SELECT agency, reason FROM refused_reply")
        return {"agency": "ylpa", "reason": "not_its_referral"} in refused

    await eventually(is_recorded)
    states = await rows(
        breakable,
        "routing",
        "SELECT DISTINCT state FROM referral_service WHERE referral_id = $1::uuid",
        referral["referral_id"],
    )
    assert states == [{"state": "delivered"}]
