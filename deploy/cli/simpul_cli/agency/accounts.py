"""Manages an agency's queues and its broker user, with the permissions of the user."""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, urlsplit, urlunsplit

from simpul_agency.broker_api import BrokerApi
from simpul_city import FilteredQueue
from simpul_cli.broker_users import load_permissions, permissions_of, set_permissions
from simpul_cli.city_topology import build_agency_user, build_filtered_queue, build_topology
from simpul_cli.topology import apply_topology
from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_schema.names import agency_inbox


class State(StrEnum):
    """The state of an agency on the broker."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    MISSING = "missing"
    ALTERED = "altered"
    """Somebody has given it other permissions than these; `simpul agency add` puts them right."""


class QueueNotEmpty(Exception):
    """The agency's queue holds messages; let the agency consume them, or reroute the referrals, first."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An agency as the broker sees it now."""

    agency: str
    state: State
    messages: int
    consumers: int
    connections: int


async def standing_of(api: BrokerApi, agency: str) -> Standing:
    """The state of an agency on the broker."""
    queue = await api.call("GET", "queues", "{vhost}", agency_inbox(agency)) or {}
    return Standing(
        agency=agency,
        state=await _state(api, agency),
        messages=int(queue.get("messages", 0)),
        consumers=int(queue.get("consumers", 0)),
        connections=len(await api.call("GET", *_connections(agency)) or []),
    )


async def _state(api: BrokerApi, agency: str) -> State:
    declared = build_agency_user(agency)
    user = await api.call("GET", "users", declared.name)
    if user is None:
        return State.MISSING
    if user.get("tags"):
        # An administrator may do anything, and an impersonator may publish in any name.
        return State.ALTERED
    held = await load_permissions(api, declared.name)
    if held == permissions_of(declared):
        return State.ACTIVE
    suspended = permissions_of(build_agency_user(agency, is_suspended=True))
    return State.SUSPENDED if held == suspended else State.ALTERED


def _connections(agency: str) -> tuple[str, ...]:
    return "connections", "username", build_agency_user(agency).name


async def add(
    api: BrokerApi, agency: str, password: str | None = None, queues: Sequence[FilteredQueue] = ()
) -> str | None:
    """Gives an agency its queues, bindings and broker user; returns the password of a new user, None of an old one.

    Running it again changes nothing, except that `password` replaces the user's password.
    """
    await apply_topology(api, build_topology([agency], queues))
    user = build_agency_user(agency)
    is_new = await api.call("GET", "users", user.name) is None
    if is_new and password is None:
        password = secrets.token_urlsafe(32)
    if password is not None:
        await api.call("PUT", "users", user.name, body={"password": password, "tags": ""})
    else:
        await _remove_tags(api, user.name)
    await set_permissions(api, user)
    return password


async def _remove_tags(api: BrokerApi, user: str) -> None:
    """Removes the tags of a user, who keeps the password."""
    held = await api.call("GET", "users", user)
    if held and held.get("tags"):
        kept = {name: held[name] for name in ("password_hash", "hashing_algorithm") if name in held}
        await api.call("PUT", "users", user, body={**kept, "tags": ""})


async def suspend(api: BrokerApi, agency: str) -> None:
    """Revokes an agency's permissions and closes its connections; its queue keeps new messages."""
    await set_permissions(api, build_agency_user(agency, is_suspended=True))
    # The broker checks permissions only when a consumer starts, so a running one would continue.
    await api.call("DELETE", *_connections(agency))


async def remove(api: BrokerApi, amqp_url: str, agency: str, queues: Sequence[FilteredQueue] = ()) -> None:
    """Removes an agency's broker user and queues.

    Raises QueueNotEmpty if messages wait in its inbox; the agency then stays suspended.
    """
    queue = agency_inbox(agency)
    if await api.call("GET", "users", build_agency_user(agency).name) is not None:
        await suspend(api, agency)
    if await api.call("GET", "queues", "{vhost}", queue) is None:
        waiting = None
    else:
        waiting = await _count_messages(amqp_url, queue)
    if waiting:
        msg = f"{waiting} messages wait in {queue}; they are kept, and {agency} is suspended"
        raise QueueNotEmpty(msg)
    await api.call("DELETE", "users", build_agency_user(agency).name)
    if waiting is not None:
        await api.call("DELETE", "queues", "{vhost}", queue)
    for filtered in map(build_filtered_queue, queues):
        if await api.call("GET", "queues", "{vhost}", filtered.name) is not None:
            await api.call("DELETE", "queues", "{vhost}", filtered.name)


async def _count_messages(amqp_url: str, queue: str) -> int:
    """Counts the messages in a queue by AMQP; the statistics of the management API lag by seconds."""
    async with await BrokerAddresses(amqp_url).connect() as connection:
        channel = await connection.channel()
        found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0


async def add_all(api_url: str, amqp_url: str, agencies: Iterable[str]) -> dict[str, str]:
    """Creates broker users for all agencies of a city; returns the broker's address for each, with its password."""
    limit = asyncio.Semaphore(8)

    async def one(api: BrokerApi, agency: str) -> tuple[str, str]:
        async with limit:
            password, user = secrets.token_urlsafe(32), build_agency_user(agency)
            await api.call("PUT", "users", user.name, body={"password": password, "tags": ""})
            await set_permissions(api, user)
            return agency, address_for(amqp_url, agency, password)

    async with BrokerApi(api_url) as api:
        return dict(await asyncio.gather(*(one(api, agency) for agency in agencies)))


def address_for(amqp_url: str, agency: str, password: str) -> str:
    """Returns the broker's address with an agency's user and password in it."""
    parts = urlsplit(BrokerAddresses(amqp_url).all[0])
    host = parts.netloc.rpartition("@")[2]
    credentials = f"{quote(build_agency_user(agency).name, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{host}"))


async def find_differences(api: BrokerApi, agencies: Iterable[str]) -> list[str]:
    """Finds differences between users and their declaration, one sentence each; a suspended agency is not one."""
    found = []
    for agency in agencies:
        state = await _state(api, agency)
        if state is State.MISSING:
            found.append(f"{agency} has no broker user; run simpul agency add {agency}")
        elif state is State.ALTERED:
            found.append(f"{agency} has other permissions than declared; run simpul agency add {agency}")
    return found
