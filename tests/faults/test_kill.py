"""Processes are killed under load: nothing is lost, and every effect happens exactly once."""

import asyncio
from collections import Counter

import aiohttp
import pytest

from tests.faults.conftest import BreakableCity
from tests.support.doomed import POINTS
from tests.support.ledger import assert_exactly_once, eventually, post_until_accepted, received, rows, settle
from tests.support.reports import a_report


async def load(city: BreakableCity, count: int) -> set[str]:
    """Sends about 25 reports a second; returns the accepted cases."""
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        sending = []
        for _ in range(count):
            sending.append(tasks.create_task(post_until_accepted(session, city, a_report())))
            await asyncio.sleep(0.04)
    return {task.result() for task in sending}


@pytest.mark.parametrize("service", ["intake", "routing", "notify"])
async def test_nothing_is_lost_when_a_service_is_killed_under_load(breakable: BreakableCity, service: str) -> None:
    loading = asyncio.create_task(load(breakable, 60))
    for _ in range(2):
        await asyncio.sleep(0.6)
        breakable.kill(service)
        breakable.start(service)
    cases = await loading
    breakable.wait_ready(service)

    await settle(breakable, cases)

    assert len(cases) == 60
    await assert_exactly_once(breakable, cases)


async def test_nothing_is_lost_when_the_agencies_are_killed_under_load(breakable: BreakableCity) -> None:
    loading = asyncio.create_task(load(breakable, 60))
    for _ in range(2):
        await asyncio.sleep(0.6)
        breakable.kill("agencies")
        breakable.start("agencies")
    cases = await loading
    breakable.wait_ready("agencies")

    await settle(breakable, cases)

    planned = await rows(
        breakable, "routing", "SELECT referral_id::text FROM referral WHERE case_id = ANY($1::uuid[])", cases
    )
    handled = Counter(line["referral_id"] for line in received(breakable) if line["case_id"] in cases)
    # A handler that ran when its process died is called again, so an agency may handle a referral twice.
    assert set(handled) == {row["referral_id"] for row in planned}
    assert await rows(breakable, "routing", "SELECT reason FROM parked") == []
    delivered = await rows(
        breakable,
        "routing",
        "SELECT 1 FROM inbox WHERE type = 'reply.referral.delivered.v1' AND subject = ANY($1)",
        [f"referral/{row['referral_id']}" for row in planned],
    )
    assert len(delivered) == len(planned)


@pytest.mark.parametrize(
    ("service", "point"),
    [(service, point) for service in ("routing", "notify") for point in POINTS]
    + [("intake", "before_publish"), ("intake", "after_confirm"), ("intake", "before_commit")],
)
async def test_nothing_is_lost_or_doubled_when_it_dies_at(breakable: BreakableCity, service: str, point: str) -> None:
    breakable.kill(service)
    # At the second batch, because reports still arrive then.
    breakable.doomed[service] = (point, 2)
    breakable.start(service)
    loading = asyncio.create_task(load(breakable, 25))

    async def has_died() -> bool:
        return breakable.processes[service].poll() is not None

    await eventually(has_died)
    assert breakable.processes[service].returncode == -9
    breakable.restart(service)
    cases = await loading
    await settle(breakable, cases)

    await assert_exactly_once(breakable, cases)
