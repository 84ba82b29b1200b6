"""Composes the parts of a service, and starts and stops them in order."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text

from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.consuming import QueueConsumer
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.head_publishing import PublishHeads
from simpul_runtime.held_event_release import FindWithheld, HeldEventRelease
from simpul_runtime.inbox import Handler, Inbox
from simpul_runtime.key_watch import KeyWatch
from simpul_runtime.logging import configure_logging
from simpul_runtime.metrics import serve_metrics
from simpul_runtime.outbox import Outbox
from simpul_runtime.relay import OutboxRelay
from simpul_runtime.settings import ServiceSettings
from simpul_runtime.signing import Keys
from simpul_runtime.start_checks import StartRefused, find_broker_problems, find_database_problems
from simpul_runtime.supervision import keep_running
from simpul_runtime.transaction import Transactions
from simpul_schema import Event
from simpul_schema.names import service_inbox
from simpul_schema.tracing import TracesRefused, start_tracing
from simpul_seal import WatchedDirectory, WatchedKeyRing

log = structlog.get_logger()

MAX_PUBLISH_LAG: Final = 30.0
"""Seconds an event may wait to be published before the service reports that it is not ready."""
MAX_STORE_DELAY: Final = 15.0
"""Seconds deliveries may wait without any batch being stored before the service reports that it is not ready."""
DATABASE_CHECK_TIMEOUT: Final = 2.0
"""Seconds."""
SHUTDOWN_TIMEOUT: Final = 10
"""Seconds that requests get to finish when the service stops."""


class Service:
    """The parts every service has: database, keys, outbox, relay, and an inbox if it consumes events."""

    def __init__(self, name: str, settings: ServiceSettings, *, city_code: str, agency_codes: Collection[str]) -> None:
        configure_logging(name, settings.log_level)
        self.is_traced = _start_tracing(name)
        self.name = name
        self.settings = settings
        self.keys = _read_keys(name, settings)
        self.engine = create_engine(settings.database_url.get_secret_value(), connections=settings.database_connections)
        self.relay = OutboxRelay(self.engine, self._broker_addresses(), self.keys.sign_again)
        self.transactions = Transactions(self.engine, Outbox(city_code, name, self.keys), self.relay.publish_soon)
        self.key_watch = KeyWatch(self.keys, agency_codes)
        self.held_event_release = HeldEventRelease(self.transactions, self.keys)
        self._inbox: Inbox | None = None
        self._consumer: QueueConsumer | None = None
        self._background: list[Callable[[], Awaitable[None]]] = [
            self.relay.run,
            self.held_event_release.run,
            self.key_watch.run,
            PublishHeads(self.transactions, self.keys).run,
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._readiness_checks: list[Callable[[], list[str]]] = []
        self._warnings: list[Callable[[], list[str]]] = []
        self._start_checks: list[Callable[[], Awaitable[list[str]]]] = []

    def consume_events(
        self,
        handlers: Mapping[type[Event], Handler],
        *wait_for_capacity: Callable[[], Awaitable[None]],
        in_order: bool = True,
    ) -> None:
        """Consumes the service's inbox queue; each batch waits for the relay and every `wait_for_capacity`.

        Without `in_order` the handlers compare sequences themselves, and the queue may take a part of a stream.
        """

        async def wait_for_all() -> None:
            for wait in (self.relay.wait_for_capacity, *wait_for_capacity):
                await wait()

        inbox = Inbox(self.engine, self.transactions, self.keys, handlers, wait_for_all, in_order=in_order)
        self._inbox = inbox
        self._consumer = QueueConsumer(
            self._broker_addresses(),
            service_inbox(self.name),
            prefetch=self.settings.prefetch,
            deliver=inbox.deliver,
            is_idle=lambda: inbox.stuck_seconds == 0,
        )
        self._background.append(inbox.run)

    def _broker_addresses(self) -> BrokerAddresses:
        # Each connection has its own place in the list, and begins at the first address.
        return BrokerAddresses(self.settings.amqp_url.get_secret_value())

    def add_background_task(self, task: Callable[[], Awaitable[None]]) -> None:
        """Adds a loop that runs while the service runs."""
        self._background.append(task)

    def enable_agency_delivery(self, find_withheld: FindWithheld) -> None:
        """Watches agencies' keys too, and never sends an agency the held events that `find_withheld` finds."""
        self.key_watch.covers_agencies = True
        self.held_event_release.find_withheld = find_withheld

    def add_readiness_check(self, find_problems: Callable[[], list[str]]) -> None:
        """Adds a check of the service's own; the service consumes events even while the check finds problems."""
        self._readiness_checks.append(find_problems)

    def add_warnings(self, find_warnings: Callable[[], list[str]]) -> None:
        """Adds warnings of the service's own, on which an operator must act although the service is ready."""
        self._warnings.append(find_warnings)

    def add_start_check(self, find_problems: Callable[[], Awaitable[list[str]]]) -> None:
        """Adds a check of the service's own before it replaces another process; it may read the database."""
        self._start_checks.append(find_problems)

    async def find_start_problems(self) -> list[str]:
        """Finds why the service must not start; with `check_only` also why it would not become ready."""
        must_fit = self.settings.check_only
        database_url = self.settings.database_url.get_secret_value()
        problems = await find_database_problems(database_url, self.name, must_answer=must_fit)
        if not must_fit or problems:
            return problems
        queue = service_inbox(self.name) if self._consumer else None
        problems += await find_broker_problems(self._broker_addresses(), queue)
        try:
            for find_problems in self._start_checks:
                problems += await find_problems()
        finally:
            await self.engine.dispose()
        return problems

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Starts the background loops, then the consumer; stops them in reverse order."""
        loops = [*self._background, *([self._consumer.run] if self._consumer else [])]
        self._tasks = [asyncio.create_task(keep_running(_name_of(loop), loop)) for loop in loops]
        _tune_garbage_collector()
        log.info("service_started", port=self.settings.http_port)
        try:
            yield
        finally:
            for task in reversed(self._tasks):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                # The broker's client ends some of its own tasks in the next iteration of the event loop.
                await asyncio.sleep(0)
            await self.engine.dispose()
            log.info("service_stopped")

    async def find_readiness_problems(self) -> list[str]:
        """Finds the reasons why the service is not ready; none if it is."""
        problems = []
        try:
            async with asyncio.timeout(DATABASE_CHECK_TIMEOUT), self.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:
            problems.append("database: no answer")
        if not self.relay.is_connected:
            problems.append("relay: not connected to the broker")
        if self.relay.oldest_seconds > MAX_PUBLISH_LAG:
            problems.append(f"relay: an event has waited to be published for {self.relay.oldest_seconds:.0f} s")
        problems += self.key_watch.find_problems(utc_now())
        if any(task.done() for task in self._tasks):
            problems.append("a background task has ended")
        if self._consumer is not None:
            problems += self._consumer.find_problems()
        if self._inbox is not None and self._inbox.stuck_seconds > MAX_STORE_DELAY:
            problems.append(f"inbox: deliveries wait and none was stored for {self._inbox.stuck_seconds:.0f} s")
        for find_problems in self._readiness_checks:
            problems += find_problems()
        return problems

    def find_warnings(self) -> list[str]:
        """Finds what an operator must act on although the service is ready."""
        held = [
            f"{count} events wait for a usable key of {party}, the oldest for {int(age)} s"
            for party, (count, age) in sorted(self.held_event_release.held.items())
        ]
        own = [warning for find_warnings in self._warnings for warning in find_warnings()]
        return [*held, *self.key_watch.find_warnings(utc_now()), *own]

    def serve_http(self, web: FastAPI) -> None:
        """Serves requests, and metrics on a port of their own, until the process is stopped.

        Ends with one sentence if the service must not start, and with `check_only` in any case.
        """
        problems = asyncio.run(self.find_start_problems())
        if problems or self.settings.check_only:
            raise SystemExit(f"{self.name}: {'; '.join(problems)}" if problems else 0)
        with serve_metrics(self.settings.metrics_host, self.settings.metrics_port):
            uvicorn.run(
                web,
                host=self.settings.http_host,
                port=self.settings.http_port,
                loop="uvloop",
                http="httptools",
                log_config=None,
                proxy_headers=True,
                forwarded_allow_ips=self.settings.trusted_proxies,
                # The paths would reveal who looked at which case.
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
            )


def _read_keys(service: str, settings: ServiceSettings) -> Keys:
    """Reads the service's keys; raises StartRefused for files that are unreadable or of another party."""
    try:
        keys = Keys(WatchedKeyRing(settings.key_file), WatchedDirectory(settings.directory_file))
    except OSError as error:
        msg = f"{error.filename} cannot be read: {error.strerror}"
        raise StartRefused(msg) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{settings.key_file} or {settings.directory_file} is damaged: restore the backup"
        raise StartRefused(msg) from error
    if keys.party != service:
        msg = f"{settings.key_file} has the keys of {keys.party}, not of {service}"
        raise StartRefused(msg)
    return keys


def _start_tracing(service: str) -> bool:
    """Switches traces on if a collector is configured; without the extra or with wrong settings it runs untraced."""
    try:
        return start_tracing(service, _log_export)
    except ImportError as error:
        log.error("traces_not_installed", exc_info=error)
    except TracesRefused as error:
        log.error("traces_refused", reason=error.variable)
    return False


def _log_export(is_taken: bool) -> None:
    if is_taken:
        log.info("traces_exported")
    else:
        log.warning("traces_not_exported")


def start_service(build: Callable[[], tuple[Service, FastAPI]], *refusals: type[Exception]) -> None:
    """Builds and serves a service; `refusals` end the process with their message, as do unreadable files and keys."""
    explained: tuple[type[Exception], ...] = (StartRefused, OSError, *refusals)
    try:
        service, web = build()
    except explained as error:
        raise SystemExit(str(error)) from error
    service.serve_http(web)


def _tune_garbage_collector() -> None:
    """Exempts the modules loaded at the start from collection; scanning them would delay messages by 100 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 50)


def _name_of(loop: Callable[[], Awaitable[None]]) -> str:
    return getattr(loop, "__qualname__", "")
