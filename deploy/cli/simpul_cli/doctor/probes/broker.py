"""Asks the management API of the broker."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import aiohttp

from simpul_agency.broker_api import BrokerApi, BrokerRefused
from simpul_city import City
from simpul_cli import broker_users
from simpul_cli.city_topology import SERVICE_BINDINGS, build_city_topology
from simpul_cli.doctor.checks.broker import BrokerFacts, Node, QueueState
from simpul_cli.topology import find_differences
from simpul_schema.names import service_inbox


async def collect(api_url: str, city: City, passwords: Mapping[str, str] = MappingProxyType({})) -> BrokerFacts:
    """Collects alarms, queues and what differs from the declaration, also of the users of these passwords."""
    try:
        async with BrokerApi(api_url) as api:
            nodes = await api.call("GET", "nodes") or []
            connections = await api.call("GET", "connections") or []
            queues = await api.call("GET", "queues", "{vhost}") or []
            differences = await find_differences(api, build_city_topology(city))
            user_differences = await broker_users.find_differences(api, passwords)
    except BrokerRefused as error:
        return BrokerFacts(problem="login" if ": 401 " in str(error) else "unreachable")
    except (aiohttp.ClientError, OSError, TimeoutError):
        return BrokerFacts(problem="unreachable")
    return BrokerFacts(
        nodes=[_node(node) for node in nodes],
        blocked_connections=sum(connection.get("state") in ("blocked", "blocking") for connection in connections),
        queues=[_queue(queue) for queue in queues],
        differences=differences,
        service_inboxes=frozenset(service_inbox(service) for service in SERVICE_BINDINGS),
        user_differences=user_differences,
    )


def _node(node: dict[str, Any]) -> Node:
    return Node(
        node["name"],
        bool(node.get("running", False)),
        bool(node.get("mem_alarm", False)),
        bool(node.get("disk_free_alarm", False)),
        tuple(node.get("partitions") or ()),
        node.get("fd_used", 0) / (node.get("fd_total") or 1),
    )


def _queue(queue: dict[str, Any]) -> QueueState:
    members, online = queue.get("members") or [""], queue.get("online") or [""]
    return QueueState(
        queue["name"],
        queue.get("messages", 0),
        queue.get("consumers", 0),
        (queue.get("effective_policy_definition") or {}).get("max-length"),
        len(members),
        len(online),
    )
