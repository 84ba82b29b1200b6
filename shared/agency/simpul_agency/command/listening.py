"""Shows what comes, as it comes, without taking it: for a look at what the city sends."""

import json
from datetime import datetime, timezone
from typing import Any, Optional

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from rich.console import Console

from simpul_agency.reading import NotReadable, Reader
from simpul_agency.received import Received
from simpul_agency.settings import AgencySettings
from simpul_schema.messages import ReferralHeartbeatV1
from simpul_seal import SIGNATURE_HEADER, Directory, KeyRing, signature_in


class QueueInUse(Exception):
    """Somebody takes from the queue; the message says what to do."""


async def listen(settings: AgencySettings, console: Console, *, raw: bool, most: Optional[int]) -> None:
    """Until ended, or for `most` messages. Everything stays in the queue: nothing is acknowledged."""
    reader = Reader(settings.code, KeyRing.read(settings.key_file), Directory.read(settings.directory_file))
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(settings.queue_name, ensure=False)
        if (await channel.declare_queue(settings.queue_name, passive=True)).declaration_result.consumer_count:
            msg = f"a consumer is at work on {settings.queue_name}; it would miss what is shown here: stop it first"
            raise QueueInUse(msg)
        console.print(f"listening to {settings.queue_name}; what comes stays there", style="dim")
        shown = 0
        async with queue.iterator() as messages:
            async for message in messages:
                _show(reader, message, console, raw=raw)
                shown += 1
                if shown == most:
                    return


def _show(reader: Reader, message: AbstractIncomingMessage, console: Console, *, raw: bool) -> None:
    signature = signature_in(message.headers)
    try:
        received = reader.opened(reader.verified(message.body, signature, datetime.now(timezone.utc)))
        console.print(line_of(received), highlight=False, markup=False)
    except NotReadable as error:
        console.print(f"not usable: {error.reason.value}", style="red")
    if raw:
        console.print(f"{SIGNATURE_HEADER}: {signature}", style="dim", highlight=False, markup=False, soft_wrap=True)
        console.print(_pretty(message.body), style="dim", highlight=False, markup=False, soft_wrap=True)


def line_of(received: Received[Any]) -> str:
    """One event in one line."""
    event = received.event
    moment = event.time.astimezone().strftime("%H:%M:%S")
    if isinstance(event, ReferralHeartbeatV1):
        return f"{moment}  heartbeat  {event.data.last_number} events so far"
    data = received.data
    words = [moment, event.type, received.code]
    words += [str(getattr(data, name)) for name in ("service", "role", "urgency") if hasattr(data, name)]
    if hasattr(data, "answer_by"):
        words.append(f"answer by {data.answer_by.astimezone():%d/%m %H:%M}")
    if received.facts is not None:
        words.append(f"[{received.facts.age_band}, {'+'.join(map(str, received.facts.violence))}]")
    return "  ".join(words)


def _pretty(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=1)
    except ValueError:
        return repr(body[:200])
