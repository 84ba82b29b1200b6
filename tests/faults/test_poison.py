"""An unusable message, whatever is wrong with it, delays no others."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import aiohttp
import pytest

from simpul_schema.names import EVENTS, REFERRALS, service_inbox
from simpul_schema.samples import samples
from simpul_seal import KeyRing, sign
from tests.faults.conftest import BreakableCity
from tests.support.ledger import assert_exactly_once, post_until_accepted, rows, settle
from tests.support.raw_amqp import FAULTY_PROPERTIES, RawPublisher, signature_property
from tests.support.reports import a_report
from tests.support.signing import signed

REPORTED = "case.reported.v1"
AGENCY = "uptd-ppa"


def unusable_messages(ring: KeyRing) -> Iterator[tuple[bytes, str]]:
    """Yields events of intake that cannot be read, verified or stored."""
    sample = json.loads(next(body for name, _, body in samples() if name == REPORTED))
    event = sample | {"id": str(uuid4())}
    deep = b"[" * 980 + b"]" * 980
    body, signature = signed(event, ring)
    poison = body.replace(b'"data":{', b'"deep":' + deep + b',"data":{')
    yield b'{"type": "case.reported.v1", "data": ' + deep + b', "id": "' + uuid4().hex.encode() + b'"}', ""
    yield poison, signature
    yield poison, sign(poison, ring)
    yield signed(event | {"source": f"/{'k' * 20_000}/intake"}, ring)
    yield signed(event | {"time": "0001-01-01T00:00:00+14:00"}, ring)
    yield signed(event | {"data": event["data"] | {"received_at": "9999-12-31T23:59:59-12:00"}}, ring)
    yield signed(event | {"sequence": "0000000000"}, ring)


async def send(city: BreakableCity, count: int) -> set[str]:
    async with aiohttp.ClientSession() as session:
        return {await post_until_accepted(session, city, a_report()) for _ in range(count)}


async def readiness(city: BreakableCity) -> list[int]:
    async with aiohttp.ClientSession() as session:
        found = []
        for service in ("routing", "notify"):
            async with session.get(f"{city.url(service)}/health/ready") as answer:
                found.append(answer.status)
        return found


async def test_unusable_events_are_parked_and_delay_no_reports(breakable: BreakableCity) -> None:
    messages = list(unusable_messages(KeyRing.read(breakable.keys / "intake.key.json")))
    with closing(RawPublisher(breakable.backends.amqp_url)) as publisher:
        for body, signature in messages:
            publisher.publish(body, EVENTS, REPORTED.encode(), *signature_property(signature))

        cases = await send(breakable, 3)
        await settle(breakable, cases)

    parked = await rows(breakable, "routing", "DELETE FROM parked RETURNING reason")
    assert sorted(row["reason"] for row in parked) == ["forged", *["invalid"] * 4, "malformed", "unsigned"]
    assert await readiness(breakable) == [200, 200]
    await assert_exactly_once(breakable, cases)


async def test_invalid_properties_stop_neither_a_service_nor_an_agency(breakable: BreakableCity) -> None:
    with closing(RawPublisher(breakable.backends.amqp_url)) as publisher:
        for flags, properties in FAULTY_PROPERTIES.values():
            publisher.publish(b"no event", "", service_inbox("routing").encode(), flags, properties)
            publisher.publish(b"no event", REFERRALS, f"referral.{AGENCY}.offered.v1".encode(), flags, properties)

        cases = await send(breakable, 3)
        await settle(breakable, cases)

    parked = await rows(breakable, "routing", "DELETE FROM parked RETURNING times")
    assert [row["times"] for row in parked] == [len(FAULTY_PROPERTIES)]
    assert await readiness(breakable) == [200, 200]
    await assert_exactly_once(breakable, cases)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1999-12-31T00:00:00Z"])
async def test_a_report_of_an_impossible_year_is_refused_alone(breakable: BreakableCity, moment: str) -> None:
    async with aiohttp.ClientSession() as session:

        async def post(report: dict[str, object]) -> tuple[int, str]:
            async with session.post(f"{breakable.url('intake')}/reports", json=report) as answer:
                return answer.status, await answer.text()

        reports = [a_report(), a_report(received_at=moment), a_report(), a_report()]
        answers = await asyncio.gather(*map(post, reports))

    assert [status for status, _ in answers] == [202, 422, 202, 202]
    assert "Tahun harus antara 2000 dan 2199" in answers[1][1]
    assert "The year must be between 2000 and 2199" in answers[1][1]
