"""An agency's queues and its user on the broker, with the permissions of the user."""

import asyncio
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import aio_pika

from simpul_agency.broker_api import BrokerApi
from simpul_city import FilteredQueue
from simpul_cli.topology import apply_topology
from simpul_runtime.topology import Account, agency_account, declare_filtered_queue, topology_of
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
    account = agency_account(agency)
    user = await api.call("GET", "users", account.user)
    if user is None:
        return State.MISSING
    if user.get("tags"):
        # An administrator may do anything, and an impersonator may publish in any name.
        return State.ALTERED
    held = await _held(api, account.user)
    if held == _written(account):
        return State.ACTIVE
    return State.SUSPENDED if held == _written(agency_account(agency, is_suspended=True)) else State.ALTERED


async def _held(api: BrokerApi, user: str) -> dict[str, Any]:
    """The permissions of a user in this virtual host."""
    permission = await api.call("GET", "permissions", "{vhost}", user) or {}
    topics = await api.call("GET", "topic-permissions", "{vhost}", user) or []
    return {
        **{name: permission.get(name, "^$") for name in ("configure", "write", "read")},
        "topics": {topic["exchange"]: (topic["write"], topic["read"]) for topic in topics},
    }


def _written(account: Account) -> dict[str, Any]:
    return {
        "configure": account.configure, "write": account.write, "read": account.read,
        "topics": {exchange: (keys, "^$") for exchange, keys in account.topics.items()},
    }  # fmt: skip


def _connections(agency: str) -> tuple[str, ...]:
    return "connections", "username", agency_account(agency).user


async def add(
    api: BrokerApi, agency: str, password: str | None = None, queues: Sequence[FilteredQueue] = ()
) -> str | None:
    """Give an agency its queues, bindings and account; returns the password of a new account, None of an old one.

    Running it again changes nothing; with `password` an account gets that one.
    """
    await apply_topology(api, topology_of([agency], queues))
    account = agency_account(agency)
    is_new = await api.call("GET", "users", account.user) is None
    if is_new and password is None:
        password = secrets.token_urlsafe(32)
    if password is not None:
        await api.call("PUT", "users", account.user, body={"password": password, "tags": ""})
    else:
        await _take_tags(api, account.user)
    await _permit(api, account)
    return password


async def _take_tags(api: BrokerApi, user: str) -> None:
    """The password stays as it is."""
    held = await api.call("GET", "users", user)
    if held and held.get("tags"):
        kept = {name: held[name] for name in ("password_hash", "hashing_algorithm") if name in held}
        await api.call("PUT", "users", user, body={**kept, "tags": ""})


async def suspend(api: BrokerApi, agency: str) -> None:
    """Revoke an agency's permissions and close its connections; its queue keeps new messages."""
    await _permit(api, agency_account(agency, is_suspended=True))
    # The broker checks permissions only when a consumer starts, so a running one would continue.
    await api.call("DELETE", *_connections(agency))


async def remove(api: BrokerApi, amqp_url: str, agency: str, queues: Sequence[FilteredQueue] = ()) -> None:
    """Take an agency's account and queues away.

    QueueNotEmpty when messages wait in its inbox; it then stays suspended.
    """
    queue = agency_inbox(agency)
    if await api.call("GET", "users", agency_account(agency).user) is not None:
        await suspend(api, agency)
    if await api.call("GET", "queues", "{vhost}", queue) is None:
        waiting = None
    else:
        waiting = await _waiting(amqp_url, queue)
    if waiting:
        msg = f"{waiting} messages wait in {queue}; they are kept, and {agency} is suspended"
        raise QueueNotEmpty(msg)
    await api.call("DELETE", "users", agency_account(agency).user)
    if waiting is not None:
        await api.call("DELETE", "queues", "{vhost}", queue)
    for filtered in map(declare_filtered_queue, queues):
        if await api.call("GET", "queues", "{vhost}", filtered.name) is not None:
            await api.call("DELETE", "queues", "{vhost}", filtered.name)


async def _waiting(amqp_url: str, queue: str) -> int:
    """How many messages a queue holds now; the management API would answer from statistics that lag for seconds."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0


async def _permit(api: BrokerApi, account: Account) -> None:
    body = {"configure": account.configure, "write": account.write, "read": account.read}
    await api.call("PUT", "permissions", "{vhost}", account.user, body=body)
    for exchange, keys in account.topics.items():
        topic = {"exchange": exchange, "write": keys, "read": "^$"}
        await api.call("PUT", "topic-permissions", "{vhost}", account.user, body=topic)


async def add_all(api_url: str, amqp_url: str, agencies: Iterable[str]) -> dict[str, str]:
    """Accounts for all agencies of a city; returns the broker's address for each, password included."""
    limit = asyncio.Semaphore(8)

    async def one(api: BrokerApi, agency: str) -> tuple[str, str]:
        async with limit:
            password = secrets.token_urlsafe(32)
            await api.call("PUT", "users", agency_account(agency).user, body={"password": password, "tags": ""})
            await _permit(api, agency_account(agency))
            return agency, address_for(amqp_url, agency, password)

    async with BrokerApi(api_url) as api:
        return dict(await asyncio.gather(*(one(api, agency) for agency in agencies)))


def address_for(amqp_url: str, agency: str, password: str) -> str:
    """The broker's address with an agency's account in it."""
    parts = urlsplit(amqp_url)
    host = parts.netloc.rpartition("@")[2]
    account = f"{quote(agency_account(agency).user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{account}@{host}"))


async def differences(api: BrokerApi, agencies: Iterable[str]) -> list[str]:
    """Differences between users and their declaration, one sentence each; a suspended agency is not one."""
    found = []
    for agency in agencies:
        state = await _state(api, agency)
        if state is State.MISSING:
            found.append(f"{agency} has no account; run simpul agency add {agency}")
        elif state is State.ALTERED:
            found.append(f"{agency} may do other things than it should; run simpul agency add {agency}")
    return found
