"""Puts the parts of a service together, and starts and stops them in order."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from sqlalchemy import text

from simpul_runtime.city import City
from simpul_runtime.database import engine_for, utc_now
from simpul_runtime.inbox import Delivery, Handler, Inbox
from simpul_runtime.key_watch import KeyWatch
from simpul_runtime.logging import configure_logging
from simpul_runtime.outbox import Outbox
from simpul_runtime.relay import Relay
from simpul_runtime.release import FindWithheld, HeldEventRelease
from simpul_runtime.settings import ServiceSettings
from simpul_runtime.signing import Keys
from simpul_runtime.topology import service_inbox
from simpul_runtime.transaction import Transactions
from simpul_schema import Event
from simpul_seal import WatchedDirectory, WatchedKeyRing

log = structlog.get_logger()

LAG_LIMIT = 30.0
"""Seconds an event may wait for its publish before the service calls itself not ready."""


class Service:
    """What all services have: database, keys, outbox with relay, and an inbox where one is wanted."""

    def __init__(self, name: str, settings: ServiceSettings) -> None:
        configure_logging(name, settings.log_level)
        self.name = name
        self.settings = settings
        self.city = City.read(settings.city_dir)
        self.keys = Keys(WatchedKeyRing(settings.key_file), WatchedDirectory(settings.directory_file))
        self.engine = engine_for(settings.database_url.get_secret_value(), connections=settings.database_connections)
        self.relay = Relay(self.engine, settings.amqp_url.get_secret_value())
        self.transactions = Transactions(self.engine, Outbox(self.city.code, name, self.keys), self.relay.hand_over)
        self.key_watch = KeyWatch(self.keys, self.city.agency_codes)
        self.release = HeldEventRelease(self.transactions, self.keys)
        self._inbox: Inbox | None = None
        self._broker: RabbitBroker | None = None
        self._background: list[Callable[[], Awaitable[None]]] = [
            self.relay.run,
            self.release.run,
            self.key_watch.run,
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._more_troubles: list[Callable[[], list[str]]] = []

    def consume(self, handlers: Mapping[type[Event], Handler], *has_room: Callable[[], Awaitable[None]]) -> None:
        """Take messages from this service's inbox queue, a batch whenever the relay and `has_room` say so."""

        async def all_have_room() -> None:
            for wait in (self.relay.has_room, *has_room):
                await wait()

        inbox = Inbox(self.engine, self.transactions, self.keys, handlers, all_have_room)
        broker = RabbitBroker(
            self.settings.amqp_url.get_secret_value(),
            # The inbox acknowledges what it has stored, a batch at a time. While the database is away nothing is
            # acknowledged or rejected, and the broker keeps what it has.
            ack_policy=AckPolicy.MANUAL,
            apply_types=False,
            fail_fast=False,
            logger=None,
        )

        @broker.subscriber(
            # Declared by `simpul topology apply`; declaring here would also undo the prefetch.
            RabbitQueue(service_inbox(self.name), declare=False),
            channel=Channel(prefetch_count=self.settings.prefetch),
            decoder=_undecoded,
            no_reply=True,
        )
        async def receive(message: RabbitMessage) -> None:
            raw = message.raw_message
            inbox.deliver(Delivery(raw.body, raw.exchange or "", raw.routing_key or "", raw))

        self._inbox, self._broker = inbox, broker
        self._background.append(inbox.run)

    def run_beside(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run a loop of the service from start to stop."""
        self._background.append(task)

    def send_to_agencies(self, find_withheld: FindWithheld) -> None:
        """Warn of agencies' keys too, and never send an agency what `find_withheld` names among its held events."""
        self.key_watch.covers_agencies = True
        self.release.find_withheld = find_withheld

    def report_troubles(self, troubles: Callable[[], list[str]]) -> None:
        """Call the service not ready while this names problems of its own; consuming does not depend on it."""
        self._more_troubles.append(troubles)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Background loops first, consumers last; the reverse when stopping."""
        self._tasks = [asyncio.create_task(self._guarded(task)) for task in self._background]
        broker = asyncio.create_task(self._broker.start()) if self._broker else None
        _calm_the_collector()
        log.info("service_started", port=self.settings.http_port)
        try:
            yield
        finally:
            if broker and self._broker:
                broker.cancel()
                await self._broker.stop()
            await asyncio.sleep(0)
            for task in self._tasks:
                task.cancel()
            for task in self._tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await self.engine.dispose()
            log.info("service_stopped")

    async def _guarded(self, task: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await task()
            except Exception as error:
                log.error("background_task_failed", exc_info=error)
            await asyncio.sleep(1)

    async def troubles(self) -> list[str]:
        """Why the service is not ready; empty when it is."""
        found = []
        try:
            async with asyncio.timeout(2), self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:
            found.append("database: no answer")
        if not self.relay.is_connected:
            found.append("relay: not connected to the broker")
        if self.relay.oldest_seconds > LAG_LIMIT:
            found.append("relay: events wait longer than they may")
        found += self.key_watch.problems(utc_now())
        if any(task.done() for task in self._tasks):
            found.append("a background task has ended")
        if self._broker is not None:
            found += await _consumer_troubles(self._broker)
        for more in self._more_troubles:
            found += more()
        return found

    def warnings(self) -> list[str]:
        """What somebody must look at although the service works; empty when there is nothing."""
        held = [
            f"{count} events wait for a usable key of {party}, the oldest for {int(age)} s"
            for party, (count, age) in sorted(self.release.held.items())
        ]
        return [*held, *self.key_watch.warnings(utc_now())]

    def serve(self, web: FastAPI) -> None:
        """Listen until told to stop."""
        uvicorn.run(
            web,
            host=self.settings.http_host,
            port=self.settings.http_port,
            loop="uvloop",
            http="httptools",
            log_config=None,
            # Addresses of pages would tell who looked at what.
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )


def _calm_the_collector() -> None:
    """What was loaded at the start lives for ever; walking it again and again would stall messages for 100 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)


async def _undecoded(message: Any) -> Any:
    """The inbox reads the bytes itself, because what cannot be read must be stored too."""
    return message


async def _consumer_troubles(broker: RabbitBroker) -> Sequence[str]:
    if not await broker.ping(timeout=2):
        return ["broker: no answer"]
    # ping only looks at a flag, so the consumers themselves are asked too.
    return [] if all(subscriber.running for subscriber in broker.subscribers) else ["consumer: not running"]
