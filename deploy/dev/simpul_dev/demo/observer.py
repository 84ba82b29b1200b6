"""Records the public events."""

import json
from typing import Any

import aio_pika

from simpul_schema.names import EVENTS
from simpul_seal import signature_in


class Observer:
    """Records events while its context is open."""

    def __init__(self, amqp_url: str) -> None:
        self._amqp_url = amqp_url
        self.events: list[dict[str, Any]] = []
        self.messages: list[tuple[bytes, str]] = []
        """Body and signature of each message."""

    async def __aenter__(self) -> "Observer":
        self._connection = await aio_pika.connect(self._amqp_url)
        channel = await self._connection.channel()
        await channel.set_qos(prefetch_count=500)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS, "#")
        await queue.consume(self._record, no_ack=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def _record(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self.events.append(json.loads(message.body))
        self.messages.append((message.body, signature_in(message.headers)))

    def events_of(self, wire_name: str) -> dict[str, dict[str, Any]]:
        """Returns the events of a type by id."""
        return {event["id"]: event for event in self.events if event["type"] == wire_name}
