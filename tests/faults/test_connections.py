"""Connections, channels and queues break under load: nothing is lost, and the services recover by themselves."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import asyncpg
import pytest

from simpul_agency.broker_api import BrokerApi
from simpul_cli.topology import prepare_broker
from simpul_schema.catalog import SERVICES
from simpul_schema.names import service_inbox
from tests.faults.conftest import BreakableCity
from tests.support.amqp_proxy import AmqpProxy
from tests.support.ledger import assert_exactly_once, eventually, post_until_accepted, rows, settle
from tests.support.reports import a_report

SEED: Final = 20261126
FAULTS: Final = 100
MIN_PAUSE, MAX_PAUSE = 0.2, 1.0
"""Seconds between two faults: a hundred take about a minute. Clients reconnect within one to two seconds, so many
faults hit connections that are being opened."""
REPORT_INTERVAL: Final = 0.33
"""Seconds; about three reports a second."""
RECOVERY_TIMEOUT: Final = 30.0
"""Seconds after the last fault within which every report must have reached its agencies."""
pytestmark = pytest.mark.timeout(300)

CONSUMING: Final = ("routing", "notify", "desk")


@pytest.fixture(scope="module")
def proxied(breakable: BreakableCity) -> Iterator[tuple[BreakableCity, AmqpProxy]]:
    """The city with a proxy between its services and the broker."""
    proxy = AmqpProxy(breakable.backends.amqp_url)
    for name in SERVICES:
        if name in breakable.processes:
            breakable.kill(name)
    breakable.environment["SIMPUL_AMQP_URL"] = proxy.url
    # Longer than in the other tests: after each lost connection all 57 agencies would request a resend.
    breakable.environment["SIMPUL_MANIFEST_INTERVAL"] = "20"
    breakable.start(*SERVICES)
    breakable.wait_ready(*SERVICES)
    yield breakable, proxy
    proxy.close()


@dataclass
class Reporting:
    """The cases of the reports that are sent while a test runs."""

    cases: set[str] = field(default_factory=set)


@asynccontextmanager
async def reporting(city: BreakableCity) -> AsyncIterator[Reporting]:
    """Sends about three reports a second until the block ends; each is repeated until it is accepted."""
    found, is_over = Reporting(), asyncio.Event()

    async def send(session: aiohttp.ClientSession) -> None:
        found.cases.add(await post_until_accepted(session, city, a_report()))

    async def keep_sending() -> None:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as sending:
            while not is_over.is_set():
                sending.create_task(send(session))
                await asyncio.sleep(REPORT_INTERVAL)

    running = asyncio.create_task(keep_sending())
    try:
        yield found
    finally:
        is_over.set()
        await running


@dataclass(frozen=True)
class Readiness:
    """What one service reported at one moment."""

    at: float
    service: str
    status: int
    problems: str


@asynccontextmanager
async def polled_readiness(city: BreakableCity) -> AsyncIterator[list[Readiness]]:
    """Polls the readiness of every service twice a second."""
    found: list[Readiness] = []

    async def poll(session: aiohttp.ClientSession, service: str) -> None:
        url = f"{city.url(service)}/health/ready"
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=10)) as answer:
            found.append(Readiness(time.monotonic(), service, answer.status, await answer.text()))

    async def keep_polling() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                await asyncio.gather(*(poll(session, service) for service in SERVICES), return_exceptions=True)
                await asyncio.sleep(0.5)

    running = asyncio.create_task(keep_polling())
    try:
        yield found
    finally:
        running.cancel()


async def is_ready(city: BreakableCity, service: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{city.url(service)}/health/ready") as answer:
        return answer.status == 200


async def all_are_ready(city: BreakableCity) -> bool:
    return all(await asyncio.gather(*(is_ready(city, service) for service in SERVICES)))


@asynccontextmanager
async def inbox_is_locked(city: BreakableCity, service: str) -> AsyncIterator[None]:
    """Locks a service's inbox, so that no batch can be stored."""
    connection = await asyncpg.connect(city.database_url(service))
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def break_while_storing(city: BreakableCity, proxy: AmqpProxy, choice: random.Random) -> None:
    """Breaks connections while a batch is between its first statement and its commit."""
    async with inbox_is_locked(city, choice.choice(CONSUMING)):
        await asyncio.sleep(0.5)
        proxy.force_close_all()
        await asyncio.sleep(choice.uniform(0.1, 1.0))


async def break_something(city: BreakableCity, proxy: AmqpProxy, choice: random.Random) -> None:
    """Causes one fault, chosen by the seed."""
    kinds: list[tuple[int, Callable[[], object] | Callable[[], Awaitable[None]]]] = [
        (3, proxy.force_close_all),
        (2, proxy.cut_all),
        (4, lambda: proxy.force_close_one(choice)),
        (3, lambda: proxy.cut_one(choice)),
        (6, lambda: proxy.break_one_channel(choice)),
        (2, lambda: break_while_storing(city, proxy, choice)),
    ]
    weights = [weight for weight, _ in kinds]
    [(_, act)] = choice.choices(kinds, weights)
    outcome = act()
    if asyncio.iscoroutine(outcome):
        await outcome


async def settle_or_report(city: BreakableCity, cases: set[str]) -> None:
    """Waits until everything has arrived; fails with how far it came."""
    try:
        await settle(city, cases, within=RECOVERY_TIMEOUT)
    except AssertionError:
        planned = await rows(city, "routing", "SELECT 1 FROM case_plan WHERE case_id = ANY($1::uuid[])", cases)
        alerted = await rows(
            city, "notify", "SELECT DISTINCT referral_id FROM alert WHERE case_id = ANY($1::uuid[])", cases
        )
        ready = {service: await is_ready(city, service) for service in SERVICES}
        pytest.fail(f"{len(cases)} reported, {len(planned)} planned, {len(alerted)} referrals alerted; ready: {ready}")


async def test_nothing_is_lost_while_all_connections_close_every_two_seconds(
    proxied: tuple[BreakableCity, AmqpProxy],
) -> None:
    city, proxy = proxied
    async with reporting(city) as reports:
        for _ in range(6):
            await asyncio.sleep(2)
            proxy.force_close_all()

    await settle_or_report(city, reports.cases)

    await assert_exactly_once(city, reports.cases)


async def test_nothing_is_lost_in_a_hundred_faults_at_random_moments(proxied: tuple[BreakableCity, AmqpProxy]) -> None:
    city, proxy = proxied
    choice = random.Random(SEED)
    async with reporting(city) as reports, polled_readiness(city) as readiness:
        for _ in range(FAULTS):
            await asyncio.sleep(choice.uniform(MIN_PAUSE, MAX_PAUSE))
            await break_something(city, proxy, choice)
    last_fault = time.monotonic()

    await settle_or_report(city, reports.cases)
    moving_after = time.monotonic() - last_fault
    await eventually(lambda: all_are_ready(city), RECOVERY_TIMEOUT)

    print(
        f"\n{FAULTS} faults (seed {SEED}), {len(reports.cases)} reports, all there {moving_after:.1f} s after the last;"
        f" {sum(r.status == 503 for r in readiness)} of {len(readiness)} polls were not ready"
    )
    await assert_exactly_once(city, reports.cases)


async def test_a_service_consumes_again_after_its_queue_was_deleted_and_redeclared(
    proxied: tuple[BreakableCity, AmqpProxy],
) -> None:
    city, _ = proxied
    async with BrokerApi(city.backends.rabbitmq_api) as api:
        for service in CONSUMING:
            # No message is under way: those in a deleted queue are lost, and those published while it is missing go to
            # the other queues of their exchange only.
            await api.call("DELETE", "queues", "{vhost}", service_inbox(service))

        async def is_noticed() -> bool:
            return not await is_ready(city, "routing")

        await eventually(is_noticed)
        await prepare_broker(city.backends.rabbitmq_api, city.backends.amqp_url, city.city)
    async with reporting(city) as reports:
        await asyncio.sleep(2)

    await settle_or_report(city, reports.cases)
    await eventually(lambda: all_are_ready(city), RECOVERY_TIMEOUT)
    await assert_exactly_once(city, reports.cases)


async def test_nothing_is_lost_when_the_broker_is_killed_and_readiness_reports_it(
    proxied: tuple[BreakableCity, AmqpProxy],
) -> None:
    city, _ = proxied
    assert city.rabbit
    async with reporting(city) as reports, polled_readiness(city) as readiness:
        await asyncio.sleep(2)
        city.rabbit.kill()
        killed = time.monotonic()

        async def all_report_it() -> bool:
            return {r.service for r in readiness if r.status == 503 and r.at > killed} == set(SERVICES)

        await eventually(all_report_it)
        await asyncio.sleep(5)
        before_start = time.monotonic()
        # In this thread, because the node ends with the thread that started it.
        city.rabbit.start()

    await settle_or_report(city, reports.cases)
    await eventually(lambda: all_are_ready(city), RECOVERY_TIMEOUT)

    for service in SERVICES:
        polled = [r for r in readiness if r.service == service and killed < r.at < before_start]
        first = next(number for number, r in enumerate(polled) if r.status == 503)
        assert {r.status for r in polled[first:]} == {503}, service
    await assert_exactly_once(city, reports.cases)


async def test_a_service_is_not_ready_while_deliveries_wait_and_none_is_stored(
    proxied: tuple[BreakableCity, AmqpProxy],
) -> None:
    city, _ = proxied
    async with reporting(city) as reports, polled_readiness(city) as readiness, inbox_is_locked(city, "routing"):
        locked = time.monotonic()

        async def is_reported() -> bool:
            return any(r.service == "routing" and r.status == 503 and "inbox" in r.problems for r in readiness)

        await eventually(is_reported)
    assert not [r for r in readiness if r.service == "notify" and r.status == 503 and r.at > locked]

    await settle_or_report(city, reports.cases)
    await eventually(lambda: all_are_ready(city), RECOVERY_TIMEOUT)
    await assert_exactly_once(city, reports.cases)
