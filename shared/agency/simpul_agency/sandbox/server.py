"""Runs `simpul-agency sandbox up`: a private broker and a simulated city, which `trigger` reaches over that broker."""

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from simpul_agency.broker_api import BrokerApi
from simpul_agency.command.files import SETTINGS_FILE
from simpul_agency.enrolment import write_secret
from simpul_agency.sandbox.city import SimulatedCity
from simpul_agency.sandbox.events import references_to
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_agency.sandbox.requests import requests_to
from simpul_agency.sandbox.scenarios import SCENARIOS
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import CancelReason, ReplanReason
from simpul_seal import sign

MANIFEST_INTERVAL: Final = 20.0
"""Seconds between two delivery manifests."""
MAX_SILENCE: Final = 3 * MANIFEST_INTERVAL
"""Seconds until a manifest is overdue."""
TRIGGER_TIMEOUT: Final = 10.0
"""Seconds the sandbox has to answer a trigger."""
_CONTROL_QUEUE: Final = "sandbox.control"
_URL_FILE: Final = "sandbox.url"
_POISON: Final = b"\x00 not an event"

TRIGGERS: Final[Mapping[str, str]] = {
    "referral.offered": "a new referral",
    "referral.amended": "one more service, and new facts, in the last referral",
    "referral.reminded": "half of the time of the last referral's services has passed",
    "referral.overdue": "the time of the last referral's services has passed",
    "referral.cancelled": "the first service of the last referral was taken back",
    "referral.revoked": "all services of the last referral were revoked; an amendment opens it again",
    "referral.rerouted": "the first service of the last referral was given to another agency",
    "referral.consent_withdrawn": "the consent to the last referral's services was withdrawn",
    "duplicate": "the last referral again, with the same bytes",
    "forged": "a referral signed by another party",
    "poison": "bytes that are not an event",
    "lost": "a referral that only the manifest lists",
    "manifest": "a delivery manifest",
}


class SandboxNotFound(Exception):
    """No sandbox is running with this folder; start one with `simpul-agency sandbox up`."""


async def run_sandbox(folder: Path, agency: str, offers: int, show: Callable[[str], None]) -> None:
    """Runs until SIGINT or SIGTERM."""
    show("starting a private broker ...")
    broker = PrivateRabbit()
    async with AsyncExitStack() as stack:
        stack.callback(broker.close)
        api = await stack.enter_async_context(BrokerApi(broker.api_url))
        city = SimulatedCity(broker.amqp_url, api, agency)
        await city.open()
        stack.push_async_callback(city.close)
        settings = city.write_files(folder, await city.broker.create_user())
        _replace(folder / SETTINGS_FILE, "\n".join(f"{name}={json.dumps(value)}" for name, value in settings.items()))
        _replace(folder / _URL_FILE, broker.amqp_url)
        stack.callback((folder / _URL_FILE).unlink)
        city.on_reply = lambda reply: show(reply.describe())
        triggers = _TriggerConsumer(city, show)
        await triggers.open(broker.amqp_url)
        stack.push_async_callback(triggers.close)
        for number in range(offers):
            await triggers.run("referral.offered", number % len(SCENARIOS) + 1)
        show(f"the city is open for {agency}; end it with Ctrl-C. In another terminal:")
        show(f"  cd {folder} && simpul-agency listen      (or run, doctor, new, ...)")
        show("  simpul-agency trigger referral.offered --scenario 4")
        stop = _stop_signal()
        while not stop.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), MANIFEST_INTERVAL)
            await city.publish_manifest(MAX_SILENCE)


def _stop_signal() -> asyncio.Event:
    """Returns an event that Ctrl-C or SIGTERM sets, so that the broker is stopped properly."""
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    return stop


async def send_trigger(folder: Path, name: str, scenario: int) -> str:
    """Runs a trigger in the sandbox of a folder; raises SandboxNotFound."""
    url_file = folder / _URL_FILE if (folder / _URL_FILE).exists() else Path(_URL_FILE)
    try:
        connection = await aio_pika.connect(url_file.read_text().strip())
    except (OSError, aio_pika.exceptions.AMQPError) as error:
        msg = f"no sandbox is running with {folder}: start one with `simpul-agency sandbox up`, or name its --folder"
        raise SandboxNotFound(msg) from error
    async with connection:
        channel = await connection.channel()
        responses = await channel.declare_queue(exclusive=True)
        request = json.dumps({"trigger": name, "scenario": scenario}).encode()
        await channel.default_exchange.publish(aio_pika.Message(request, reply_to=responses.name), _CONTROL_QUEUE)
        async with responses.iterator(timeout=TRIGGER_TIMEOUT) as messages:
            async for message in messages:
                return message.body.decode()
    return ""


class _TriggerConsumer:
    """Runs the triggers that `send_trigger` sends."""

    def __init__(self, city: SimulatedCity, show: Callable[[str], None]) -> None:
        self._city = city
        self._show = show
        self._last_offer: dict[str, Any] = {}

    async def open(self, amqp_url: str) -> None:
        """Consumes the control queue."""
        self._connection = await aio_pika.connect_robust(amqp_url)
        self._channel = await self._connection.channel()
        queue = await self._channel.declare_queue(_CONTROL_QUEUE, auto_delete=True)
        await queue.consume(self._receive)

    async def close(self) -> None:
        """Disconnects."""
        await self._connection.close()

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        async with message.process():
            request = json.loads(message.body)
            line = await self.run(request["trigger"], request["scenario"])
            response = aio_pika.Message(line.encode())
            await self._channel.default_exchange.publish(response, message.reply_to or "")

    async def run(self, name: str, scenario: int) -> str:
        """Sends what a trigger stands for; returns a line that describes it."""
        city = self._city
        if name == "manifest":
            await city.publish_manifest(MAX_SILENCE)
        elif name == "poison":
            await city.publish(_POISON, sign(_POISON, city.rings["routing"]))
        elif name == "forged":
            await city.send(self._create_offer(scenario), by="intake", is_listed=False)
        elif name == "lost":
            await city.send(self._create_offer(scenario), is_lost=True)
            await city.publish_manifest(MAX_SILENCE)
        elif name == "referral.offered" or not self._last_offer:
            self._last_offer = self._create_offer(scenario)
            await city.send(self._last_offer)
        elif name == "duplicate":
            await city.repeat(self._last_offer)
        else:
            await self._send_next(name, scenario)
        code = referral_code(UUID(self._last_offer["data"]["referral_id"])) if self._last_offer else ""
        line = f"-> {name} {code}".rstrip()
        self._show(line)
        return line

    def _create_offer(self, scenario: int) -> dict[str, Any]:
        events = self._city.events
        services = [events.create_service(**one) for one in requests_to(self._city.agency, scenario)]
        return events.create_offer(scenario, services=services)

    async def _send_next(self, name: str, scenario: int) -> None:
        events, offer = self._city.events, self._last_offer
        known = self._city.referrals[offer["subject"]]
        services = known.open_services or list(known.services.values())
        if name == "referral.amended":
            child = SCENARIOS[(scenario - 1) % len(SCENARIOS)]
            added = events.create_service(**requests_to(self._city.agency, scenario)[-1])
            listed = [*known.open_services, added]
            event = events.create_amendment(offer, listed, added=[added["service_id"]], facts=child["facts"])
        elif name == "referral.cancelled":
            event = events.create_ending(offer, f"{name}.v1", services[:1], CancelReason.TAKEN_BACK.value)
        elif name == "referral.revoked":
            event = events.create_ending(offer, f"{name}.v1", services, ReplanReason.FACTS_AMENDED.value)
        elif name == "referral.rerouted":
            event = self._city.create_rerouting(offer, references_to(services[:1]))
        elif name == "referral.consent_withdrawn":
            event = events.create_consent_withdrawal(offer, services)
        else:
            event = events.create_clock_step(offer, 50 if name == "referral.reminded" else 100, services)
        await self._city.send(event)


def _replace(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    write_secret(path, content)
