"""An agency's consumer: stores each message, calls handlers in order, publishes replies, requests what is missing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from typing import Any, Final, Optional, TypeVar
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog
from faststream import FastStream
from faststream.rabbit import Channel, RabbitBroker

from simpul_agency.batch_writer import BatchWriter
from simpul_agency.classifier import MessageClassifier
from simpul_agency.dispatcher import Dispatcher, Handler
from simpul_agency.dossier_files import FileFetcher, FileUnavailable, OpenedFile
from simpul_agency.drivers import driver_for
from simpul_agency.event_reader import EventReader
from simpul_agency.gap_monitor import GapMonitor, ResendRange
from simpul_agency.health import PING_TIMEOUT, HealthServer, count_waiting
from simpul_agency.queue_consumer import QueueConsumer
from simpul_agency.received_event import ReceivedEvent
from simpul_agency.records import DeliveryManifest, IncomingEvent, IncomingMessage, ReplyDraft, SignedBody
from simpul_agency.referral_view import ReferralView, view_referral
from simpul_agency.reply import AnswerableServices, Reply
from simpul_agency.reply_factory import ReplyFactory
from simpul_agency.reply_outbox import ReplyOutbox
from simpul_agency.settings import AgencySettings
from simpul_agency.store import Store
from simpul_agency.witness import Witness
from simpul_schema import Event, SectionContent
from simpul_schema.amqp_properties import tolerate_invalid_properties
from simpul_schema.fhir import ExportedService, as_bundle
from simpul_schema.messages import (
    DossierReleasedV1,
    DossierWithdrawnV1,
    ReplyCapacityStatedV1,
    ReplyMessageParkedV1,
    ReplyResendRequestedV1,
)
from simpul_schema.messages.capacity import StatedCapacity
from simpul_schema.messages.dossier import DossierNarrative
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.names import subject_of_referral
from simpul_schema.tracing import TracesRefused, start_tracing, traceparent_in
from simpul_schema.vocabulary import DossierSection
from simpul_seal import Directory, KeyRing, WatchedDirectory, sign, signature_in
from simpul_seal.embedded import sign_again

E = TypeVar("E", bound=Event)

CONNECT_TIMEOUT: Final = 10.0
"""Seconds that a command waits for the broker."""

log = structlog.get_logger()


class ReferralUnknown(Exception):
    """The store has no offer of this referral: check the id and SIMPUL_AGENCY_STORE_URL."""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Agency:
    """Receives and answers what the city sends to one agency."""

    def __init__(self, settings: AgencySettings, keys: KeyRing, directory: Directory) -> None:
        tolerate_invalid_properties()
        self.code = settings.code
        self.store = Store(driver_for(settings.store_url))
        self._keys = keys
        self._files = FileFetcher(settings.code, settings.city_url, keys, _utc_now) if settings.city_url else None
        self._reply_factory = ReplyFactory(settings.code, settings.source, self.sign, directory)
        self._reader = EventReader(settings.code, keys, directory)
        self._incoming: BatchWriter[IncomingMessage] = BatchWriter(self._store_messages, self._on_store_failure)
        self._tasks: list[asyncio.Task[None]] = []
        self._lifespans: list[Callable[[], AbstractAsyncContextManager[None]]] = []
        self._open_lifespans = AsyncExitStack()
        self.broker = RabbitBroker(
            settings.broker_url,
            # A reply must reach a queue; without this an unroutable one would look published.
            default_channel=Channel(on_return_raises=True),
            apply_types=False,
            fail_fast=False,
            logger=None,
        )
        self._consumer = QueueConsumer(
            self.broker, settings.queue_name, prefetch=settings.prefetch, store=self._store_message
        )
        self._outbox = ReplyOutbox(
            self.store,
            self.broker,
            agency=self.code,
            user=settings.user,
            sign_again=lambda body: SignedBody(*sign_again(body, keys)),
        )
        self._dispatcher = Dispatcher(
            self.store,
            agency=self.code,
            concurrency=settings.concurrency,
            open_stored=self._open_stored,
            create_reply=lambda received: self._create_reply(received.event),
            enqueue_replies=self._outbox.enqueue,
        )
        self._dispatcher.own_handlers |= {
            DossierReleasedV1.WIRE_NAME: self._delete_outdated,
            DossierWithdrawnV1.WIRE_NAME: self._delete_withdrawn,
        }
        self._classifier = MessageClassifier(
            self.code, self._reader, create_reply=self._create_reply, on_opened=self._dispatcher.cache_opened
        )
        self._gap_monitor = GapMonitor(
            self.store, self._request_resend, agency=self.code, gap_timeout=settings.gap_timeout
        )
        self._witness = Witness(self.store, agency=self.code)
        self.health = HealthServer(
            self.code,
            self.store,
            self._is_connected,
            partial(count_waiting, settings.broker_url, settings.queue_name),
            find_audit_problems=self._witness.find_problems,
            find_audit_warnings=self._witness.find_warnings,
            port=settings.health_port,
        )
        if settings.health_port:
            self.add_lifespan(self.health.serve)

    @classmethod
    def from_settings(cls, settings: Optional[AgencySettings] = None) -> "Agency":
        """Creates the agency described by the settings, or by the environment."""
        found = settings or AgencySettings()  # the environment has the rest
        return cls(found, KeyRing.read(found.key_file), WatchedDirectory(found.directory_file))

    def on(self, *messages: type[E]) -> Callable[[Callable[[ReceivedEvent[E], Reply], Awaitable[None]]], Handler]:
        """Registers the handler of types of events; it is called once for each event, in the order of the referral.

        A handler that raises is called again after a growing delay; other referrals are handled meanwhile.
        """

        def register(handler: Callable[[ReceivedEvent[E], Reply], Awaitable[None]]) -> Handler:
            self._dispatcher.handlers |= dict.fromkeys((message.WIRE_NAME for message in messages), handler)
            return handler

        return register

    @asynccontextmanager
    async def reply(self, referral_id: UUID, *, idempotency_key: str = "") -> AsyncIterator[Reply]:
        """Replies to a referral outside a handler, even days later; stored when the block ends without an error.

        Replies under an idempotency key that was used before are not sent again. Raises ReferralUnknown when the
        referral was never offered to this agency.
        """
        view = await self.find_referral(referral_id)
        services = AnswerableServices(
            [one.service_id for one in view.unanswered], [one.service_id for one in view.services if one.is_open]
        )
        reply = Reply(
            view.first,
            self._reply_factory,
            now=_utc_now(),
            idempotency_key=idempotency_key,
            services=services,
            withdrawal_id=view.withdrawal_id,
        )
        yield reply
        self._outbox.enqueue(await self.store.enqueue_replies(reply.drafts))

    async def state_capacity(self, stated: Sequence[StatedCapacity]) -> None:
        """States what the agency can take for some services; the city offers new cases to others while it is full."""
        draft = self._reply_factory.create_agency_draft(
            ReplyCapacityStatedV1, {"services": [one.model_dump() for one in stated]}, now=_utc_now()
        )
        self._outbox.enqueue(await self.store.enqueue_replies([draft]))

    async def publish_replies(self) -> bool:
        """Publishes the stored replies without receiving anything; returns whether the broker confirmed all of them."""
        try:
            await asyncio.wait_for(self.broker.connect(), CONNECT_TIMEOUT)
            return await self._outbox.publish_stored()
        except (asyncio.TimeoutError, OSError):
            return False
        finally:
            await self.broker.stop()

    async def list_referrals(self, limit: int) -> list[ReferralView]:
        """Lists the referrals that were offered or amended last."""
        return [view_referral(stream) for stream in await self.store.find_streams(limit)]

    async def count_referrals(self) -> int:
        """Returns how many referrals were offered to this agency."""
        return await self.store.count_streams()

    async def find_referral(self, referral_id: UUID) -> ReferralView:
        """Returns one referral; raises ReferralUnknown when it was never offered to this agency."""
        streams = await self.store.find_streams(1, subject_of_referral(referral_id))
        if not streams:
            msg = f"referral {referral_id} was not offered to {self.code}, or its offer is parked"
            raise ReferralUnknown(msg)
        return view_referral(streams[0])

    def open_facts(self, body: bytes) -> Optional[ReferralFacts]:
        """Opens the facts of a stored event; None when it has none."""
        return self._open_stored(body).facts

    def open_dossier(self, view: ReferralView) -> dict[DossierSection, SectionContent]:
        """Opens what the agency may know of the child: the newest content of each section that it holds."""
        opened: dict[DossierSection, SectionContent] = {}
        for body in view.releases:
            opened |= self._open_stored(body).dossier
        return opened

    @property
    def can_fetch_files(self) -> bool:
        """Whether the address is set from which files of dossiers are fetched."""
        return self._files is not None

    async def fetch_file(self, view: ReferralView, file_id: UUID) -> OpenedFile:
        """Fetches a file that the dossier of a referral lists now; raises FileUnavailable. The city records it."""
        narrative = self.open_dossier(view).get(DossierSection.NARRATIVE)
        listed = narrative.files if isinstance(narrative, DossierNarrative) else ()
        described = next((one for one in listed if one.file_id == file_id), None)
        if self._files is None or described is None:
            msg = "the dossier does not list this file, or SIMPUL_AGENCY_CITY_URL is not set"
            raise FileUnavailable(msg)
        return await self._files.fetch(view.referral_id, view.first.data.case_id, described)

    async def _delete_outdated(self, received: ReceivedEvent[DossierReleasedV1], _: Reply) -> None:
        """Deletes earlier versions of what was released, and what was withdrawn before the release arrived."""
        await self.store.delete_outdated_sections(received.event.subject)

    async def _delete_withdrawn(self, received: ReceivedEvent[DossierWithdrawnV1], reply: Reply) -> None:
        """Deletes what was withdrawn, after the agency's own handler did, and confirms it."""
        await self.store.delete_outdated_sections(received.event.subject)
        reply.confirm_deletion(received.data.withdrawal_id)

    async def export_fhir(self, referral_id: UUID) -> dict[str, Any]:
        """Exports a referral with its services as a FHIR R4 bundle with BSeR's status codes.

        The patient is identified only while the agency holds that section of the dossier.

        Raises ReferralUnknown when the referral was never offered to this agency.
        """
        view = await self.find_referral(referral_id)
        services = [ExportedService(one.requested, one.requested_at, one.state) for one in view.services]
        dossier = self.open_dossier(view)
        return as_bundle(view.first, services, self.open_facts(view.newest_facts), _utc_now(), dossier)

    def add_lifespan(self, lifespan: Callable[[], AbstractAsyncContextManager[None]]) -> None:
        """Enters a context before the first event and leaves it after the last."""
        self._lifespans.append(lifespan)

    async def replay_parked(self, name: str) -> bool:
        """Processes a parked message again; False when no parked message has this name."""
        parked = await self.store.find_parked(name)
        if parked is None:
            return False
        await self._store_messages([self._classifier.classify_parked(parked)], replaces=name)
        return True

    def sign(self, body: bytes) -> str:
        """Signs bytes with the agency's key; returns the value of the header `simpul-signature`."""
        return sign(body, self._keys)

    async def start(self) -> None:
        """Receives, handles and replies until `stop`."""
        await self._start_loops()
        await self.broker.start()
        await self._consumer.start()

    async def stop(self) -> None:
        """Stops receiving and drains the handlers; unpublished replies stay in the store."""
        await self._consumer.stop()
        await self.broker.stop()
        await self._stop_loops()

    def run(self) -> None:
        """Receives, handles and replies until the process gets SIGTERM or SIGINT."""

        @asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            await self._start_loops()
            try:
                yield
            finally:
                await self._stop_loops()

        app = FastStream(
            self.broker,
            lifespan=lifespan,
            after_startup=[self._consumer.start],
            on_shutdown=[self._consumer.stop],
        )
        asyncio.run(app.run())

    async def _start_loops(self) -> None:
        _start_tracing(self.code)
        await self.store.open()
        for lifespan in self._lifespans:
            await self._open_lifespans.enter_async_context(lifespan())
        loops = (self._incoming.run, self._dispatcher.run, self._outbox.run, self._gap_monitor.run, self._witness.run)
        self._tasks = [asyncio.create_task(loop()) for loop in loops]

    async def _stop_loops(self) -> None:
        # The broker's client ends some of its tasks in the next turn of the event loop.
        await asyncio.sleep(0)
        await self._dispatcher.drain()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        await self._open_lifespans.aclose()
        await self._outbox.record_confirmed()
        await self.store.close()

    async def _is_connected(self) -> bool:
        # ping only checks a flag, so the consumer is checked too.
        return await self.broker.ping(timeout=PING_TIMEOUT) and self._consumer.is_consuming

    async def _store_message(self, body: bytes, headers: Mapping[str, Any]) -> None:
        await self._incoming.submit(self._classifier.classify(body, signature_in(headers), traceparent_in(headers)))

    def _draft_parked_report(self, reason: str, digest: str, event_id: Optional[str]) -> ReplyDraft:
        """Reports a parked message to the city; the id makes sure that it is reported once."""
        return self._reply_factory.create_agency_draft(
            ReplyMessageParkedV1,
            {"reason": reason, "digest": digest, "event_id": event_id},
            now=_utc_now(),
            event_id=uuid5(NAMESPACE_OID, f"{reason} {digest}"),
        )

    def _open_stored(self, body: bytes) -> ReceivedEvent[Any]:
        return self._reader.open_sections(self._reader.read_stored(body))

    def _create_reply(self, about: Event) -> Reply:
        return Reply(about, self._reply_factory, now=_utc_now())

    async def _request_resend(self, ranges: Sequence[ResendRange]) -> None:
        drafts = [
            self._reply_factory.create_agency_draft(ReplyResendRequestedV1, dict(missing), now=_utc_now())
            for missing in ranges
        ]
        if drafts:
            self._outbox.enqueue(await self.store.enqueue_replies(drafts))

    async def _store_messages(self, messages: Sequence[IncomingMessage], *, replaces: str = "") -> None:
        ready, replies = await self.store.add_messages(
            messages, time.time(), self._draft_parked_report, replaces=replaces
        )
        # An event that is not the first of its referral may wait for another.
        others_wait = len(ready) < sum(isinstance(message, IncomingEvent) for message in messages)
        self._dispatcher.dispatch(ready, others_wait=others_wait)
        if any(isinstance(message, DeliveryManifest) and message.heads for message in messages):
            self._witness.check_soon()
        if others_wait or any(isinstance(message, DeliveryManifest) for message in messages):
            self._gap_monitor.check_soon()
        self._outbox.enqueue(replies)

    def _on_store_failure(self, error: Exception) -> None:
        # The commit may have succeeded although its answer was lost.
        self._dispatcher.reload()
        self._outbox.reload()
        log.error("store_failed", agency=self.code, error=type(error).__name__)


def _start_tracing(code: str) -> None:
    """Switches traces on if a collector is configured; without the extra or with wrong settings it runs untraced."""

    def log_export(is_taken: bool) -> None:
        if is_taken:
            log.info("traces_exported", agency=code)
        else:
            log.warning("traces_not_exported", agency=code)

    try:
        start_tracing(f"agency.{code}", log_export)
    except ImportError as error:
        log.error("traces_not_installed", agency=code, error=type(error).__name__)
    except TracesRefused as error:
        log.error("traces_refused", agency=code, reason=error.variable)
