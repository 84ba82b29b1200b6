"""Applies the declared topology through the broker's management API, and resends unrouted messages."""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any

import aio_pika

from simpul_agency.broker_api import BrokerApi
from simpul_city import City
from simpul_cli.broker_users import create_users
from simpul_cli.city_topology import build_city_topology
from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.topology import Exchange, Topology
from simpul_schema.names import UNROUTED
from simpul_seal import SIGNATURE_HEADER

QUORUM = {"x-queue-type": "quorum"}
_RESENT_HEADERS = ("simpul-exchange", SIGNATURE_HEADER)
"""Sent again with the body; a receiver parks a message without its signature."""


async def apply_topology(api: BrokerApi, topology: Topology) -> None:
    """Creates what is declared and missing; idempotent. Undeclared objects stay."""
    for exchange in topology.exchanges:
        arguments = {"alternate-exchange": exchange.alternate} if exchange.alternate else {}
        body: dict[str, Any] = {"type": exchange.type, "durable": True, "arguments": arguments}
        await api.call("PUT", "exchanges", "{vhost}", exchange.name, body=body)
    for policy in topology.policies:
        body = {"pattern": policy.pattern, "definition": policy.definition, "apply-to": "queues", "priority": 1}
        await api.call("PUT", "policies", "{vhost}", policy.name, body=body)
    limit = asyncio.Semaphore(8)

    async def declare(name: str, bindings: Iterable[tuple[str, str]]) -> None:
        async with limit:
            await api.call("PUT", "queues", "{vhost}", name, body={"durable": True, "arguments": QUORUM})
            for exchange, key in bindings:
                body = {"routing_key": key, "arguments": {}}
                await api.call("POST", "bindings", "{vhost}", "e", exchange, "q", name, body=body)

    async with asyncio.TaskGroup() as tasks:
        for queue in topology.queues:
            tasks.create_task(declare(queue.name, queue.bindings))


async def find_differences(api: BrokerApi, topology: Topology) -> list[str]:
    """Finds differences between the broker and the declaration, one sentence each."""
    queues = {queue["name"]: queue for queue in await api.call("GET", "queues", "{vhost}") or []}
    exchanges = {exchange["name"]: exchange for exchange in await api.call("GET", "exchanges", "{vhost}") or []}
    bound = {
        (binding["source"], binding["destination"], binding["routing_key"])
        for binding in await api.call("GET", "bindings", "{vhost}") or []
    }
    held = await api.call("GET", "policies", "{vhost}") or []
    policies = {policy["name"]: (policy["pattern"], policy["definition"]) for policy in held}
    found = [f"exchange {e.name} is missing" for e in topology.exchanges if e.name not in exchanges]
    found += [f"queue {q.name} is missing" for q in topology.queues if q.name not in queues]
    found += [
        f"queue {queue.name} is not bound to {exchange} with {key}"
        for queue in topology.queues
        for exchange, key in queue.bindings
        if (exchange, queue.name, key) not in bound
    ]
    found += [
        f"exchange {e.name} is of another kind" for e in topology.exchanges if not _matches_declaration(e, exchanges)
    ]
    found += [
        f"queue {q.name} is not a quorum queue"
        for q in topology.queues
        if q.name in queues and queues[q.name].get("arguments", {}).get("x-queue-type") != "quorum"
    ]
    found += [
        f"policy {p.name} differs" for p in topology.policies if policies.get(p.name) != (p.pattern, p.definition)
    ]
    found += [
        f"queue {queue.name} has no dead-letter target"
        for queue in topology.queues
        if queue.name in queues
        and not (queue.is_catch_all or queue.is_copy)
        and "dead-letter-exchange" not in _find_policy(queue.name, held)
    ]
    return found + _find_undeclared(topology, queues.keys(), exchanges.keys(), bound, policies.keys())


def _matches_declaration(declared: Exchange, held: Mapping[str, Any]) -> bool:
    """Whether an existing exchange matches its declaration; a missing one is reported separately."""
    found = held.get(declared.name)
    if found is None:
        return True
    alternate = found.get("arguments", {}).get("alternate-exchange", "")
    return bool(found["durable"]) and (found["type"], alternate) == (declared.type, declared.alternate)


def _find_undeclared(
    topology: Topology,
    queues: AbstractSet[str],
    exchanges: AbstractSet[str],
    bound: Iterable[tuple[str, str, str]],
    policies: AbstractSet[str],
) -> list[str]:
    """Finds undeclared objects that could carry referrals elsewhere; ignores queues of other software."""
    declared = {(exchange, queue.name, key) for queue in topology.queues for exchange, key in queue.bindings}
    ours = {exchange.name for exchange in topology.exchanges}
    found = [f"queue {name} is not declared" for name in queues - {q.name for q in topology.queues} if _is_ours(name)]
    found += [f"exchange {name} is not declared" for name in exchanges - ours if _is_ours(name)]
    found += [
        f"{destination} is bound to {source} with {key or 'no key'}, which is not declared"
        for source, destination, key in bound
        if source in ours and (source, destination, key) not in declared
    ]
    found += [f"policy {name} is not declared" for name in policies - {p.name for p in topology.policies}]
    return sorted(found)


def _is_ours(name: str) -> bool:
    return name.startswith(("simpul.", "agency.")) or name.endswith(".inbox")


def _find_policy(queue: str, policies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Finds the policy that applies to a queue; the broker itself answers from statistics that lag by seconds."""
    matching = [
        policy
        for policy in policies
        if policy["apply-to"] in ("queues", "quorum_queues", "all") and re.search(policy["pattern"], queue)
    ]
    return max(matching, key=lambda policy: int(policy["priority"]), default={"definition": {}})["definition"]


async def resend_messages(amqp_url: str, queue_name: str) -> int:
    """Resends every message that a queue holds now, once and with confirms; returns how many were sent.

    A message that is still unrouted returns through the alternate exchange to the end of the queue.
    """
    sent = 0
    async with await BrokerAddresses(amqp_url).connect() as connection:
        receiving = await connection.channel()
        publishing = await connection.channel(publisher_confirms=True, on_return_raises=True)
        queue = await receiving.get_queue(queue_name)
        for _ in range(queue.declaration_result.message_count or 0):
            message = await queue.get(no_ack=False, fail=False)
            exchange = str(message.headers.get("simpul-exchange", "")) if message else ""
            if message is None or not exchange:
                # Not published by Simpul: it stays for an operator to inspect.
                continue
            again = aio_pika.Message(
                message.body,
                message_id=message.message_id,
                correlation_id=message.correlation_id,
                content_type=message.content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                # Without the broker's own x- headers: with them an older broker sees a cycle and drops the message.
                headers={name: message.headers[name] for name in _RESENT_HEADERS if name in message.headers},
            )
            target = await publishing.get_exchange(exchange, ensure=False)
            await target.publish(again, message.routing_key or "", mandatory=True, timeout=10)
            await message.ack()
            sent += 1
    return sent


async def prepare_broker(
    api_url: str, amqp_url: str, city: City, passwords: Mapping[str, str] = MappingProxyType({})
) -> int:
    """Applies the topology of a city and creates the users of `passwords`, then resends unrouted messages."""
    async with BrokerApi(api_url) as api:
        await apply_topology(api, build_city_topology(city))
        await create_users(api, passwords)
    return await resend_messages(amqp_url, UNROUTED)
