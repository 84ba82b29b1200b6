"""No agency can read, imitate or disturb another: every operation is tried on a live broker."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aiormq.exceptions import AMQPError

from simpul_agency.broker_api import BrokerApi
from simpul_city import FilteredQueue
from simpul_cli.agency import accounts
from simpul_cli.city_topology import build_filtered_queue, build_topology
from simpul_cli.topology import apply_topology, find_differences
from simpul_dev.backends import Backends
from simpul_schema.names import DEAD, EVENTS, REFERRALS, REPLIES, UNROUTED, agency_inbox

ONE, OTHER = "first-agency", "second-agency"
EXCHANGES = (EVENTS, REFERRALS, REPLIES, UNROUTED, DEAD, "")
KEYS = (
    f"reply.{ONE}.accepted.v1",
    f"reply.{OTHER}.accepted.v1",
    f"referral.{ONE}.offered.v1",
    f"referral.{OTHER}.offered.v1",
    "case.reported.v1",
    f"reply.{ONE}",
    f"reply.{ONE}x.accepted.v1",
    "#",
    f"reply.*.{ONE}",
    "agency.second-agency.inbox",
    "routing.inbox",
)
QUEUES = (agency_inbox(ONE), agency_inbox(OTHER), "routing.inbox", "notify.inbox", "desk.inbox", UNROUTED, DEAD)


@dataclass(frozen=True)
class Try:
    """One operation of one agency."""

    user: str
    operation: str
    resource: str
    key: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether the operation is allowed: an agency only consumes from its queues and publishes its replies."""
        if self.operation == "publish":
            return self.resource == REPLIES and self.key == f"reply.{self.user}.accepted.v1"
        # An agency that empties its own queue affects nobody else.
        return self.operation in ("get", "consume", "purge") and self.resource == agency_inbox(self.user)


def everything() -> Iterator[Try]:
    for user in (ONE, OTHER):
        for exchange in EXCHANGES:
            yield from (Try(user, "publish", exchange, key) for key in KEYS)
            yield from (Try(user, operation, exchange) for operation in ("redeclare exchange", "delete exchange"))
        for queue in QUEUES:
            for operation in ("get", "consume", "purge", "delete", "redeclare queue"):
                yield Try(user, operation, queue)
            yield from (Try(user, "bind", queue, f"{exchange}|#") for exchange in (EVENTS, REFERRALS, REPLIES))
        yield from (Try(user, operation, "brand-new") for operation in ("redeclare queue", "redeclare exchange"))


async def attempt(connection: Any, what: Try) -> None:
    """Performs the operation; raises AMQPError when the broker refuses."""
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    try:
        await _do(channel, what)
    finally:
        if not channel.is_closed:
            await channel.close()


async def _do(channel: Any, what: Try) -> None:
    message = aio_pika.Message(b"{}", delivery_mode=2)
    match what.operation:
        case "publish":
            exchange = (
                await channel.get_exchange(what.resource, ensure=False) if what.resource else channel.default_exchange
            )
            await exchange.publish(message, what.key, mandatory=True, timeout=60)
        case "redeclare exchange":
            await channel.declare_exchange(what.resource or "amq.default", "topic", durable=True)
        case "delete exchange":
            await channel.exchange_delete(what.resource or "amq.default")
        case "redeclare queue":
            await channel.declare_queue(what.resource, durable=True, arguments={"x-queue-type": "quorum"})
        case "bind":
            exchange, _, key = what.key.partition("|")
            queue = await channel.get_queue(what.resource, ensure=False)
            await queue.bind(exchange, key)
        case "get":
            queue = await channel.get_queue(what.resource, ensure=False)
            await queue.get(fail=False, no_ack=False)
        case "consume":
            queue = await channel.get_queue(what.resource, ensure=False)
            await queue.cancel(await queue.consume(_nothing))
        case "purge":
            await (await channel.get_queue(what.resource, ensure=False)).purge()
        case "delete":
            await channel.queue_delete(what.resource)


async def _nothing(_: Any) -> None:
    return None


@dataclass
class Broker:
    api: BrokerApi
    admin_url: str
    addresses: dict[str, str]


@pytest.fixture
async def broker(backends: Backends) -> AsyncIterator[Broker]:
    vhost = f"isolation-{uuid4().hex[:8]}"
    url = f"{backends.amqp_url.rsplit('/', 1)[0]}/{vhost}"
    async with BrokerApi(backends.rabbitmq_api, vhost) as api:
        await api.call("PUT", "vhosts", "{vhost}")
        everything_is_allowed = {"configure": ".*", "write": ".*", "read": ".*"}
        await api.call("PUT", "permissions", "{vhost}", "guest", body=everything_is_allowed)
        await apply_topology(api, build_topology([ONE, OTHER]))
        addresses = {}
        for agency in (ONE, OTHER):
            password = await accounts.add(api, agency)
            assert password
            addresses[agency] = accounts.address_for(url, agency, password)
        yield Broker(api, url, addresses)
        for agency in (ONE, OTHER):
            await api.call("DELETE", "users", f"agency.{agency}")
        await api.call("DELETE", "vhosts", "{vhost}")


async def test_every_operation_of_every_agency_is_allowed_or_refused_as_declared(broker: Broker) -> None:
    connections = {agency: await aio_pika.connect(url) for agency, url in broker.addresses.items()}
    wrong, allowed = [], 0
    for what in everything():
        try:
            await attempt(connections[what.user], what)
            was_allowed = True
        except (AMQPError, ValueError):
            was_allowed = False
        allowed += was_allowed
        if was_allowed is not what.is_allowed:
            wrong.append((what, "allowed" if was_allowed else "refused"))
        if connections[what.user].is_closed:
            connections[what.user] = await aio_pika.connect(broker.addresses[what.user])
    for connection in connections.values():
        await connection.close()

    assert wrong == []
    # Without them a broker that refuses everything would pass.
    assert allowed == sum(what.is_allowed for what in everything()) == 8


async def test_a_forged_user_and_a_stolen_name_are_refused(broker: Broker) -> None:
    async with await aio_pika.connect(broker.addresses[ONE]) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(REPLIES, ensure=False)
        own = aio_pika.Message(b"{}", user_id=f"agency.{ONE}")
        await exchange.publish(own, f"reply.{ONE}.seen.v1", timeout=60)
        forged = aio_pika.Message(b"{}", user_id=f"agency.{OTHER}")
        with pytest.raises(AMQPError):
            await exchange.publish(forged, f"reply.{ONE}.seen.v1", timeout=60)
    stolen = broker.addresses[ONE].replace(f"agency.{ONE}", f"agency.{OTHER}")
    with pytest.raises(AMQPError):
        await aio_pika.connect(stolen)


async def test_who_is_suspended_can_do_nothing_and_loses_nothing(broker: Broker) -> None:
    connection = await aio_pika.connect(broker.addresses[ONE])
    connected = await accounts.standing_of(broker.api, ONE)
    await accounts.suspend(broker.api, ONE)
    async with await aio_pika.connect(broker.admin_url) as admin:
        channel = await admin.channel()
        exchange = await channel.get_exchange(REFERRALS)
        await exchange.publish(aio_pika.Message(b"{}", delivery_mode=2), f"referral.{ONE}.offered.v1")
    suspended = await accounts.standing_of(broker.api, ONE)
    async with await aio_pika.connect(broker.addresses[ONE]) as again:
        with pytest.raises(AMQPError):
            await attempt(again, Try(ONE, "get", agency_inbox(ONE)))
    await accounts.add(broker.api, ONE)
    async with await aio_pika.connect(broker.addresses[ONE]) as again:
        channel = await again.channel()
        waiting = await (await channel.get_queue(agency_inbox(ONE), ensure=False)).get(timeout=60)

    assert suspended.state is accounts.State.SUSPENDED
    assert waiting is not None
    assert (connected.state, connected.connections, suspended.connections) == (accounts.State.ACTIVE, 1, 0)
    with pytest.raises(RuntimeError):
        await connection.channel()


async def test_what_nobody_declared_is_named(broker: Broker) -> None:
    declared = build_topology([ONE, OTHER])
    assert await find_differences(broker.api, declared) == []
    await broker.api.call("PUT", "queues", "{vhost}", "agency.third.inbox", body={"durable": True})
    bindings = "bindings", "{vhost}", "e", REFERRALS, "q"
    foreign = {"routing_key": f"referral.{OTHER}.#", "arguments": {}}
    await broker.api.call("POST", *bindings, agency_inbox(ONE), body=foreign)
    await broker.api.call("DELETE", "exchanges", "{vhost}", EVENTS)
    await broker.api.call("PUT", "exchanges", "{vhost}", EVENTS, body={"type": "fanout", "durable": True})
    bound_to_events = [(q.name, key) for q in declared.queues for name, key in q.bindings if name == EVENTS]
    await broker.api.call("PUT", "exchanges", "{vhost}", "simpul.copy", body={"type": "fanout", "durable": True})
    everything = {"pattern": ".*", "definition": {"max-length": 1}, "apply-to": "queues", "priority": 9}
    await broker.api.call("PUT", "policies", "{vhost}", "eager", body=everything)

    assert await find_differences(broker.api, declared) == [
        *(f"queue {queue} is not bound to {EVENTS} with {key}" for queue, key in bound_to_events),
        f"exchange {EVENTS} is of another kind",
        # The undeclared policy has precedence over ours.
        *(f"queue {q.name} has no dead-letter target" for q in declared.queues if not q.is_catch_all),
        f"{agency_inbox(ONE)} is bound to {REFERRALS} with referral.{OTHER}.#, which is not declared",
        "exchange simpul.copy is not declared",
        "policy eager is not declared",
        "queue agency.third.inbox is not declared",
    ]


async def test_a_filtered_queue_takes_its_part_for_its_agency_alone_and_blocks_nobody(broker: Broker) -> None:
    ward = FilteredQueue(ONE, "ward", ("medical_care",), ("high",))
    await apply_topology(broker.api, build_topology([ONE, OTHER], [ward]))
    name = build_filtered_queue(ward).name
    keys = [f"referral.{ONE}.{topic}.offered.v1" for topic in ("medical_care.high", "medical_care.low", "shelter.high")]
    async with await aio_pika.connect(broker.admin_url) as admin:
        channel = await admin.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(REFERRALS)
        await broker.api.call(
            "PUT",
            "policies",
            "{vhost}",
            "simpul-filtered-queue",
            body={
                "pattern": r"^agency\..+\.queue$",
                "priority": 1,
                "apply-to": "queues",
                "definition": {"overflow": "drop-head", "max-length": 2},
            },
        )
        for key in keys * 3:
            await exchange.publish(aio_pika.Message(key.encode(), delivery_mode=2), key, timeout=60)
        held = await channel.declare_queue(name, passive=True)
        inbox = await channel.declare_queue(agency_inbox(ONE), passive=True)

    assert held.declaration_result.message_count == 2
    assert inbox.declaration_result.message_count == 9
    async with await aio_pika.connect(broker.addresses[ONE]) as own:
        message = await (await (await own.channel()).get_queue(name, ensure=False)).get(timeout=60)
        assert message is not None
        assert message.body.decode() == keys[0]
    async with await aio_pika.connect(broker.addresses[OTHER]) as other:
        for operation in ("get", "consume", "purge", "delete"):
            with pytest.raises(AMQPError):
                await attempt(other, Try(OTHER, operation, name))


async def test_an_account_is_put_right_removed_and_never_with_messages_in_its_queue(broker: Broker) -> None:
    assert await accounts.find_differences(broker.api, [ONE, OTHER]) == []
    assert await accounts.add(broker.api, ONE) is None
    wide = {"configure": ".*", "write": ".*", "read": ".*"}
    await broker.api.call("PUT", "permissions", "{vhost}", f"agency.{ONE}", body=wide)
    altered = await accounts.find_differences(broker.api, [ONE, OTHER, "third-agency"])
    await accounts.add(broker.api, ONE)
    held = await broker.api.call("GET", "users", f"agency.{ONE}")
    impersonator = {"password_hash": held["password_hash"], "tags": "impersonator"}
    await broker.api.call("PUT", "users", f"agency.{ONE}", body=impersonator)
    assert len(await accounts.find_differences(broker.api, [ONE])) == 1
    await accounts.add(broker.api, ONE)
    # The password is the same as before.
    async with await aio_pika.connect(broker.addresses[ONE]) as again:
        assert not again.is_closed
    async with await aio_pika.connect(broker.admin_url) as admin:
        channel = await admin.channel()
        exchange = await channel.get_exchange(REFERRALS)
        await exchange.publish(aio_pika.Message(b"{}", delivery_mode=2), f"referral.{OTHER}.offered.v1")
        with pytest.raises(accounts.QueueNotEmpty):
            await accounts.remove(broker.api, broker.admin_url, OTHER)
        await (await channel.get_queue(agency_inbox(OTHER))).purge()
    await accounts.remove(broker.api, broker.admin_url, OTHER)

    assert [sentence.split(" ")[0] for sentence in altered] == [ONE, "third-agency"]
    assert await accounts.find_differences(broker.api, [ONE]) == []
    assert (await accounts.standing_of(broker.api, OTHER)).state is accounts.State.MISSING
    await accounts.add(broker.api, OTHER)
