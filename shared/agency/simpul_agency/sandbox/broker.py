"""Declares the exchanges, queues and broker user that a city gives an agency, and inspects the broker."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from simpul_agency.broker_api import BrokerApi
from simpul_schema.envelope import CONTENT_TYPE
from simpul_schema.names import (
    DEAD,
    EVENTS,
    REFERRALS,
    REPLIES,
    agency_inbox,
    broker_user,
    inbox_bindings,
    own_queues_pattern,
    own_replies_pattern,
    service_inbox,
)
from simpul_seal import SIGNATURE_HEADER

PUBLISH_TIMEOUT: Final = 10.0
"""Seconds the broker has to confirm a message."""
_NOTHING: Final = "^$"


def broker_permissions(agency: str) -> dict[str, str]:
    """Returns what an agency's broker user may do: read its own queues, and write to the exchange of replies."""
    return {"configure": _NOTHING, "write": f"^{re.escape(REPLIES)}$", "read": own_queues_pattern(agency)}


def topic_permissions(agency: str) -> dict[str, str]:
    """Returns, by exchange, the routing keys that an agency may publish."""
    return {EVENTS: _NOTHING, REFERRALS: _NOTHING, REPLIES: own_replies_pattern(agency)}


class CityBroker:
    """The virtual host of a simulated city with one agency and a neighbour."""

    def __init__(self, amqp_url: str, api: BrokerApi, agency: str, neighbour: str) -> None:
        self._amqp_url = amqp_url
        self._api = api
        self._agency = agency
        self._neighbour = neighbour

    @property
    def inbox(self) -> str:
        """The name of the agency's queue."""
        return agency_inbox(self._agency)

    async def open(self, on_reply: Callable[[AbstractIncomingMessage], Awaitable[None]]) -> None:
        """Declares what a city declares for an agency, and consumes its replies."""
        self._connection = await aio_pika.connect_robust(self._amqp_url)
        self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        for name in (REFERRALS, REPLIES, DEAD):
            await self._channel.declare_exchange(name, "topic", durable=True)
        quorum = {"x-queue-type": "quorum"}
        dead = await self._channel.declare_queue(DEAD, durable=True, arguments=quorum)
        await dead.bind(DEAD, "#")
        for agency in (self._agency, self._neighbour):
            queue = await self._channel.declare_queue(agency_inbox(agency), durable=True, arguments=quorum)
            for key in inbox_bindings(agency):
                await queue.bind(REFERRALS, key)
        replies = await self._channel.declare_queue(service_inbox("routing"), durable=True, arguments=quorum)
        await replies.bind(REPLIES, "reply.#")
        policy = {"dead-letter-exchange": DEAD, "dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
        body = {"pattern": r"^.+\.inbox$", "definition": policy | {"delivery-limit": 100}, "apply-to": "queues"}
        await self._api.call("PUT", "policies", "{vhost}", "simpul-inbox", body=body)
        await replies.consume(on_reply)

    async def close(self) -> None:
        """Disconnects."""
        await self._connection.close()

    async def create_user(self) -> str:
        """Creates the agency's broker user, as `simpul agency add` does; returns its URL with a new password."""
        password, user = secrets.token_urlsafe(24), broker_user(self._agency)
        await self._api.call("PUT", "users", user, body={"password": password, "tags": ""})
        await self._api.call("PUT", "permissions", "{vhost}", user, body=broker_permissions(self._agency))
        for exchange, key in topic_permissions(self._agency).items():
            body = {"exchange": exchange, "write": key, "read": _NOTHING}
            await self._api.call("PUT", "topic-permissions", "{vhost}", user, body=body)
        parts = urlsplit(self._amqp_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))

    async def publish(self, body: bytes, signature: str, routing_key: str, exchange: str) -> None:
        """Publishes bytes as they are; an empty signature leaves the header out."""
        target = await self._channel.get_exchange(exchange, ensure=False)
        message = aio_pika.Message(
            body,
            message_id=str(uuid4()),
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            headers={SIGNATURE_HEADER: signature} if signature else {},
        )
        await target.publish(message, routing_key, timeout=PUBLISH_TIMEOUT)

    async def cut_connections(self) -> int:
        """Closes the agency's connections as a restart of the broker does; returns their number."""
        user = broker_user(self._agency)
        connections = await self._api.call("GET", "connections", "username", user) or []
        await self._api.call("DELETE", "connections", "username", user)
        return len(connections)

    async def count_consumers(self) -> int:
        """Counts the consumers of the agency's queue."""
        channel = await self._connection.channel()
        try:
            queue = await channel.declare_queue(self.inbox, passive=True)
            return queue.declaration_result.consumer_count or 0
        finally:
            await channel.close()

    async def count_messages(self, queue: str) -> int:
        """Counts the ready messages of a queue."""
        channel = await self._connection.channel()
        try:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0
        finally:
            await channel.close()

    async def describe_consumers(self) -> list[dict[str, Any]]:
        """Returns what the management API says about the consumers, such as `prefetch_count`."""
        for _ in range(100):
            consumers = await self._api.call("GET", "consumers", "{vhost}") or []
            own = [consumer for consumer in consumers if consumer["queue"]["name"] == self.inbox]
            if own:
                return own
            # The broker's statistics lag by some seconds.
            await asyncio.sleep(0.1)
        return []

    async def purge_queues(self) -> None:
        """Deletes all messages in the agency's queue and the dead letters."""
        for name in (self.inbox, DEAD):
            await (await self._channel.get_queue(name, ensure=False)).purge()
