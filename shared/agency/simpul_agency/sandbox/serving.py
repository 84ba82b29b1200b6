"""`simpul-agency sandbox up`: a private broker and a simulated city, and a way for `trigger` to reach them."""

import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from simpul_agency.broker_api import BrokerApi
from simpul_agency.command.files import SETTINGS
from simpul_agency.enrolment import write_secret
from simpul_agency.sandbox.city import SimulatedCity, line_of, utc_now, wire_time
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_agency.sandbox.scenarios import SCENARIOS
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import CancelReason, ReplanReason
from simpul_seal import sign

BEAT: Final = 20.0
"""Seconds between two accounts."""
_CONTROL: Final = "sandbox.control"
_ADDRESS: Final = "sandbox.url"
_NO_EVENT: Final = b"\x00 this is no event"

TRIGGERS: Mapping[str, str] = {
    "referral.offered": "a new referral",
    "referral.amended": "new facts about the last referral",
    "referral.reminded": "half of the last referral's time has passed",
    "referral.overdue": "the last referral's time has passed",
    "referral.cancelled": "the last referral was taken back",
    "referral.revoked": "the last referral is asked no longer",
    "duplicate": "the last referral once more, the same bytes",
    "forged": "a referral that somebody else has signed",
    "poison": "bytes that are no event",
    "lost": "a referral that never comes, only its account",
    "heartbeat": "an account of what was sent",
}


class NoSandbox(Exception):
    """No sandbox runs with this folder; start one with `simpul-agency sandbox up`."""


async def serve(folder: Path, agency: str, offers: int, say: Callable[[str], None]) -> None:
    """Until asked to end."""
    say("starting a private broker ...")
    broker = PrivateRabbit()
    async with AsyncExitStack() as ending:
        ending.callback(broker.close)
        api = await ending.enter_async_context(BrokerApi(broker.api_url))
        city = SimulatedCity(broker.amqp_url, api, agency)
        await city.open()
        ending.push_async_callback(city.close)
        settings = city.write_files(folder, await city.admit())
        _replace(folder / SETTINGS, "\n".join(f"{name}={json.dumps(value)}" for name, value in settings.items()))
        _replace(folder / _ADDRESS, broker.amqp_url)
        ending.callback((folder / _ADDRESS).unlink)
        city.told = lambda heard: say(line_of(heard))
        desk = _Desk(city, say)
        await desk.open(broker.amqp_url)
        ending.push_async_callback(desk.close)
        for number in range(offers):
            await desk.trigger("referral.offered", number % len(SCENARIOS) + 1)
        say(f"the city is open for {agency}; end it with Ctrl-C. In another terminal:")
        say(f"  cd {folder} && simpul-agency listen      (or run, doctor, new, ...)")
        say("  simpul-agency trigger referral.offered --scenario 4")
        ended = _asked_to_end()
        while not ended.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(ended.wait(), BEAT)
            await city.beat(3 * BEAT)


def _asked_to_end() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM, so that the broker is stopped and not left to the kernel."""
    ended = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, ended.set)
    return ended


async def ask(folder: Path, what: str, scenario: int) -> str:
    """Have the sandbox of a folder say something; NoSandbox when there is none."""
    address = folder / _ADDRESS if (folder / _ADDRESS).exists() else Path(_ADDRESS)
    try:
        connection = await aio_pika.connect(address.read_text().strip())
    except (OSError, aio_pika.exceptions.AMQPError) as error:
        msg = f"no sandbox runs with {folder}; start one with `simpul-agency sandbox up`, or name its --folder"
        raise NoSandbox(msg) from error
    async with connection:
        channel = await connection.channel()
        answers = await channel.declare_queue(exclusive=True)
        request = json.dumps({"what": what, "scenario": scenario}).encode()
        await channel.default_exchange.publish(aio_pika.Message(request, reply_to=answers.name), _CONTROL)
        async with answers.iterator(timeout=10) as messages:
            async for message in messages:
                return message.body.decode()
    return ""


class _Desk:
    """Where `trigger` is heard."""

    def __init__(self, city: SimulatedCity, say: Callable[[str], None]) -> None:
        self._city = city
        self._say = say
        self._last: dict[str, Any] = {}

    async def open(self, amqp_url: str) -> None:
        """Listen on a queue of our own."""
        self._connection = await aio_pika.connect_robust(amqp_url)
        self._channel = await self._connection.channel()
        queue = await self._channel.declare_queue(_CONTROL, auto_delete=True)
        await queue.consume(self._asked)

    async def close(self) -> None:
        """Listen no more."""
        await self._connection.close()

    async def _asked(self, message: AbstractIncomingMessage) -> None:
        async with message.process():
            request = json.loads(message.body)
            line = await self.trigger(request["what"], request["scenario"])
            answer = aio_pika.Message(line.encode())
            await self._channel.default_exchange.publish(answer, message.reply_to or "")

    async def trigger(self, what: str, scenario: int) -> str:
        """Say it; returns a line about it."""
        city = self._city
        if what == "heartbeat":
            await city.beat(3 * BEAT)
        elif what == "poison":
            await city.publish(_NO_EVENT, sign(_NO_EVENT, city.rings["routing"]))
        elif what == "forged":
            await city.send(city.offer(scenario), by="intake", is_counted=False)
        elif what == "lost":
            await city.send(city.offer(scenario), is_lost=True)
            await city.beat(3 * BEAT)
        elif what == "referral.offered" or not self._last:
            self._last = city.offer(scenario)
            await city.send(self._last)
        else:
            await self._follow(what, scenario)
        line = f"-> {what} {referral_code(UUID(self._last['data']['referral_id'])) if self._last else ''}".rstrip()
        self._say(line)
        return line

    async def _follow(self, what: str, scenario: int) -> None:
        """Something about the last referral."""
        city, now = self._city, utc_now()
        if what == "duplicate":
            await city.repeat(self._last)
            return
        moment = wire_time(now)
        data: dict[str, Any] = {}
        if what == "referral.amended":
            data = {"urgency": "high", "answer_by": wire_time(now + timedelta(minutes=15))}
        elif what == "referral.cancelled":
            data = {"cancelled_at": moment, "why": CancelReason.TAKEN_BACK.value}
        elif what == "referral.revoked":
            data = {"revoked_at": moment, "why": ReplanReason.FACTS_AMENDED.value}
        else:
            step = 50 if what == "referral.reminded" else 100
            data = {
                "clock": "answer",
                "step": step,
                "due_at": moment,
                "urgency": "high",
                "escalation_targets": [city.agency],
            }
        event = city.then(self._last, f"{what}.v1", **data)
        if what == "referral.amended":
            event["data"]["sealed"] = {"facts": city.sealed(event, SCENARIOS[(scenario - 1) % len(SCENARIOS)]["facts"])}
        await city.send(event)


def _replace(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    write_secret(path, content)
