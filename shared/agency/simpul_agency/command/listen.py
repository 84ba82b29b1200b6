"""Shows the messages in the agency's queue without taking them out of it."""

import json
from datetime import datetime, timezone
from typing import Any, Optional

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from rich.console import Console

from simpul_agency.event_reader import EventReader, UnusableMessage
from simpul_agency.received_event import ReceivedEvent, listed_services
from simpul_agency.settings import AgencySettings
from simpul_schema.messages import AgencyManifestV1, ReferralAmendedV1
from simpul_seal import SIGNATURE_HEADER, Directory, KeyRing, signature_in


class QueueInUse(Exception):
    """A consumer takes messages from the queue; the message says what to do."""


async def show_queue(settings: AgencySettings, console: Console, *, raw: bool, limit: Optional[int]) -> None:
    """Shows messages until cancelled, or `limit` of them; acknowledges none, so that all stay in the queue."""
    reader = EventReader(settings.code, KeyRing.read(settings.key_file), Directory.read(settings.directory_file))
    async with await aio_pika.connect(settings.broker_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(settings.queue_name, ensure=False)
        if (await channel.declare_queue(settings.queue_name, passive=True)).declaration_result.consumer_count:
            msg = f"a consumer is running on {settings.queue_name}, and would not get what is shown here: stop it first"
            raise QueueInUse(msg)
        console.print(f"listening to {settings.queue_name}; messages stay in the queue", style="dim")
        shown = 0
        async with queue.iterator() as messages:
            async for message in messages:
                _show(reader, message, console, raw=raw)
                shown += 1
                if shown == limit:
                    return


def _show(reader: EventReader, message: AbstractIncomingMessage, console: Console, *, raw: bool) -> None:
    signature = signature_in(message.headers)
    try:
        received = reader.open_sections(reader.verify(message.body, signature, datetime.now(timezone.utc)))
        console.print(describe_event(received), highlight=False, markup=False)
    except UnusableMessage as error:
        console.print(f"not usable: {error.reason.value}", style="red")
    if raw:
        console.print(f"{SIGNATURE_HEADER}: {signature}", style="dim", highlight=False, markup=False, soft_wrap=True)
        console.print(_pretty(message.body), style="dim", highlight=False, markup=False, soft_wrap=True)


def describe_event(received: ReceivedEvent[Any]) -> str:
    """Describes an event in one line."""
    event = received.event
    moment = event.time.astimezone().strftime("%H:%M:%S %Z")
    if isinstance(event, AgencyManifestV1):
        return f"{moment}  delivery manifest  {event.data.last_manifest_number} events so far"
    data = received.data
    parts = [moment, event.type, received.code]
    new = {one.service_id for one in received.new_services} if isinstance(event, ReferralAmendedV1) else set()
    parts += [_describe_service(one, is_new=one.service_id in new) for one in listed_services(event) or ()]
    if hasattr(data, "answer_by"):
        parts.append(f"answer by {data.answer_by.astimezone():%d/%m %H:%M %Z}")
    if received.facts is not None:
        parts.append(f"[{received.facts.age_band}, {'+'.join(map(str, received.facts.violence))}]")
    return "  ".join(parts)


def _describe_service(service: Any, *, is_new: bool) -> str:
    """Describes a service that the event asks for or is about, such as `shelter (lead, high)`."""
    details = [str(getattr(service, name)) for name in ("role", "urgency") if hasattr(service, name)]
    details += ["new"] if is_new else []
    return f"{service.service} ({', '.join(details)})" if details else str(service.service)


def _pretty(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=1)
    except ValueError:
        return repr(body[:200])
