"""An event that reaches no queue raises an alarm until the queue is empty again."""

import aio_pika
from structlog.testing import capture_logs

from simpul_agency.broker_api import BrokerApi
from simpul_cli.city_topology import build_topology
from simpul_cli.topology import apply_topology
from simpul_dev.backends import Backends
from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.metrics import MESSAGES_UNROUTED
from simpul_runtime.unrouted import UnroutedWatch
from simpul_schema.names import REFERRALS, UNROUTED


def measured() -> float:
    [metric] = MESSAGES_UNROUTED.collect()
    return metric.samples[0].value


async def test_an_event_for_an_agency_without_a_queue_raises_one_alarm(backends: Backends) -> None:
    async with BrokerApi(backends.rabbitmq_api) as api:
        await apply_topology(api, build_topology([]))
    watch = UnroutedWatch(BrokerAddresses(backends.amqp_url))
    async with await aio_pika.connect(backends.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(UNROUTED, passive=True)
        await queue.purge()
        await watch.measure()
        before = [measured(), watch.find_warnings()]
        exchange = await channel.get_exchange(REFERRALS, ensure=False)
        await exchange.publish(aio_pika.Message(b"{}"), "referral.of-another-city.offered.v1")
        with capture_logs() as logs:
            await watch.measure()
            await watch.measure()
        during = [measured(), watch.find_warnings()]
        await queue.purge()
        await watch.measure()

    assert before == [0, []]
    assert during == [1, [f"1 events reached no queue and wait in {UNROUTED}: run `simpul topology apply`"]]
    assert [(entry["event"], entry["count"]) for entry in logs] == [("messages_unrouted", 1)]
    assert [measured(), watch.find_warnings()] == [0, []]
