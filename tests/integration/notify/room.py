"""Notify on a real database with a real gateway and mail server, without its broker."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import aiohttp
import asyncpg
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_agency.sandbox.process import free_port
from simpul_dev.backends import Backends
from simpul_dev.demo.handset import ACCOUNT, PASSWORD, Arrival, Handset
from simpul_notify.api import add_gateway_routes
from simpul_notify.channels import KannelSms, Provider, SmtpMail
from simpul_notify.consumers import alert_handlers
from simpul_notify.domain.contact_rules import ContactRules
from simpul_notify.domain.deliveries import DeliveryState
from simpul_notify.domain.responders import Roster
from simpul_notify.pages import add_pages
from simpul_notify.roster import read_escalation_levels, read_roster
from simpul_notify.texts import AlertTexts
from simpul_notify.use_cases import (
    Dispatch,
    EndAlerts,
    EscalateAlerts,
    RecordAlerts,
    RecordAnswers,
    RecordReports,
    Schedule,
    SendAlerts,
)
from simpul_runtime.database import create_engine
from simpul_runtime.outbox import Outbox
from simpul_runtime.outbox_message import OutboxMessage
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema import Event, message_class
from simpul_seal import Directory, generate
from tests.integration.notify.test_smtp import PASSWORD as MAIL_PASSWORD
from tests.integration.notify.test_smtp import SENDER, USER, Server, an_authority, serving
from tests.support.agreements import CITY, KEDIRI
from tests.support.databases import create_migrated

START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
LEVELS = read_escalation_levels(KEDIRI / "agreement")
ROSTER = read_roster(KEDIRI / "roster.yaml", CITY, LEVELS)
TEXTS = AlertTexts.read(KEDIRI / "messages.yaml", CITY)

REPLY_TOKEN = "only-the-gateway-knows"
UNLIMITED = ContactRules(CITY.zone, per_hour=1000, urgent_per_hour=1000)


@dataclass(frozen=True)
class Referral:
    """Ids of a referral and its services, its agency and urgency."""

    agency: str = "rs-rujukan"
    urgency: str = "high"
    services: tuple[UUID, ...] = field(default_factory=lambda: (uuid4(),))
    case_id: UUID = field(default_factory=uuid4)
    referral_id: UUID = field(default_factory=uuid4)


@dataclass
class Room:
    """Access to delivered texts, published events and the database."""

    engine: AsyncEngine
    url: str
    handset: Handset
    mailbox: Server
    sms_url: str
    ca_file: Path
    outbox: Outbox
    announced: list[dict[str, Any]] = field(default_factory=list)
    first_retry_delay: float = 0.05
    concurrency: int = 16
    bundle_period: float = 0.0
    pause: float = 0.0
    """Seconds between an urgent message and the next one to the same recipient."""
    roster: Roster = ROSTER
    rules: ContactRules = UNLIMITED
    providers: Sequence[Provider] = ()
    """Those of the room when empty."""
    provider_timeout: float = 5.0
    web_port: int = 0
    """Where a real gateway reaches notify; any free one when 0."""

    def keep(self, rows: Sequence[OutboxMessage]) -> None:
        self.announced += [json.loads(row.body) for row in rows]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Room"]:
        """Runs the sender and accepts events."""
        self.transactions = Transactions(self.engine, self.outbox, self.keep)
        providers = self.make_providers()
        self.web_url = f"http://127.0.0.1:{self.web_port or free_port()}"
        self.dispatch = Dispatch(
            providers, lambda: self.rules, timedelta(seconds=self.provider_timeout), report_url=self.web_url
        )
        self.sender = SendAlerts(
            self.transactions,
            lambda: self.roster,
            TEXTS,
            self.dispatch,
            timedelta(seconds=self.first_retry_delay),
            timedelta(seconds=self.pause),
        )
        web_app = FastAPI()
        record_answers = RecordAnswers(self.transactions, lambda: self.roster, self.sender.wake)
        add_gateway_routes(web_app, providers, RecordReports(self.transactions, self.sender), record_answers)
        add_pages(web_app, record_answers)
        schedule = Schedule(lambda: self.roster, timedelta(seconds=self.bundle_period), self.sender.wake)
        self.escalate = EscalateAlerts(self.transactions, lambda: self.roster, schedule)
        self.end = EndAlerts(LEVELS, schedule)
        self.handlers = alert_handlers(RecordAlerts(lambda: self.roster, schedule, self.escalate, LEVELS), self.end)
        self.running_sender = asyncio.create_task(self.sender.run())
        escalating = asyncio.create_task(self.escalate.run())
        try:
            async with serving_web(web_app, self.web_url):
                yield self
        finally:
            await _stop(escalating)
            await self.stop_sender()

    def make_providers(self) -> Sequence[Provider]:
        """Connects to the gateway and the mail server."""
        return self.providers or [
            KannelSms(
                self.sms_url, ACCOUNT, PASSWORD, "Simpul", 5, concurrency=self.concurrency, reply_token=REPLY_TOKEN
            ),
            SmtpMail("127.0.0.1", self.mailbox.port, USER, MAIL_PASSWORD, SENDER, self.ca_file, 5),
        ]

    async def restart_sender(self) -> None:
        """Stops and restarts the sender with the same channels."""
        await self.stop_sender()
        self.running_sender = asyncio.create_task(self.sender.run())

    async def stop_sender(self) -> None:
        """Stops the sender; what is recorded waits."""
        await _stop(self.running_sender)

    async def receive(self, wire_name: str, *referrals: Referral, **data: Any) -> None:
        """Receives a batch of events of one type, one per referral."""
        await self.take_in(wire_name, *((referral, data) for referral in referrals))

    async def offer(self, *referrals: Referral) -> None:
        """Receives offers, one after the other."""
        for referral in referrals:
            await self.receive("referral.offered.v1", referral, answer_by=START)

    async def revoke(self, referral: Referral, *services: UUID) -> None:
        """Receives the revocation of these services, or of all."""
        revoked = replace(referral, services=services or referral.services)
        await self.receive("referral.revoked.v1", revoked, revoked_at=START, why="facts_amended")

    async def step(self, step: str, referral: Referral, clock: str, *targets: str) -> None:
        """Receives a clock step."""
        await self.receive(f"referral.{step}.v1", referral, **a_step(step, clock, *targets))

    def sms_to(self, number: str = "") -> list[str]:
        """Delivered texts, of one number or all."""
        return [arrival.text for arrival in self.handset.arrivals if number in arrival.to]

    def phone(self, number: str) -> "Phone":
        """The phone with a number."""
        return Phone(self, number)

    async def report(self, sms: Arrival, state: int) -> int:
        """Reports as Kannel does: 1 delivered, 2 failed, 4 queued, 8 in the network, 16 refused; returns the status."""
        return await self.call("GET", sms.report_url.replace("%d", str(state)))

    async def call(self, method: str, url: str, **request: Any) -> int:
        """Makes a request; returns the status."""
        async with aiohttp.ClientSession() as session, session.request(method, url, **request) as answer:
            return answer.status

    async def deliveries(self) -> list[tuple[str, DeliveryState]]:
        """What is known about messages: provider and state, in the order of their notifications."""
        found = await self.rows(
            "SELECT d.provider, d.state FROM delivery d JOIN notification USING (notification_id) ORDER BY created_at"
        )
        return [(row["provider"], DeliveryState(row["state"])) for row in found]

    async def alerted(self, responder: str, channel: str = "sms") -> set[UUID]:
        """Referrals about which messages were sent to a responder by a channel."""
        found = await self.rows(
            "SELECT referral_id FROM alert WHERE responder = $1 AND channel = $2 AND state = 'sent'", responder, channel
        )
        return {row["referral_id"] for row in found}

    async def take_in(self, wire_name: str, *events: tuple[Referral, dict[str, Any]]) -> None:
        """Receives events with different data in one transaction, as the inbox does."""
        message = message_class(wire_name)
        assert message is not None
        async with self.transactions.begin() as transaction:
            await self.handlers[message](transaction, [_event(message, referral, data) for referral, data in events])

    async def pass_time(self, span: timedelta) -> None:
        """Moves the clock forward minute by minute, and takes the steps that fall due."""
        while span > timedelta():
            await self.jump(min(span, timedelta(minutes=1)))
            span -= timedelta(minutes=1)

    async def jump(self, span: timedelta) -> None:
        """Moves the clock forward as if nothing had run: what is stored is that much older; then takes due steps."""
        for table, moments in (
            ("alert", ("due_at", "created_at", "settled_at", "leased_until", "postponed_until")),
            ("escalation", ("opened_at", "waiting_since", "due_at", "alerted_at", "exhausted_at", "ended_at")),
        ):
            earlier = ", ".join(f"{moment} = {moment} - $1::interval" for moment in moments)
            await self.rows(f"UPDATE {table} SET {earlier}", span)
        while await self.escalate.take_due_steps():
            pass

    def of(self, wire_name: str) -> list[dict[str, Any]]:
        """The data of published events of a type."""
        return [event["data"] for event in self.announced if event["type"] == wire_name]

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Runs a query."""
        connection = await asyncpg.connect(self.url)
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def states(self, **where: Any) -> list[str]:
        """States of alerts with these values, sorted."""
        condition = " AND ".join(f"{name} = ${number}" for number, name in enumerate(where, 1)) or "true"
        return sorted(
            r["state"] for r in await self.rows(f"SELECT state FROM alert WHERE {condition}", *where.values())
        )

    async def wait_until_none_is_pending(self, **where: Any) -> None:
        """Waits until no alert is pending."""
        async with asyncio.timeout(90):
            while "pending" in await self.states(**where):  # noqa: ASYNC110 - the state is in the database
                await asyncio.sleep(0.05)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@dataclass(frozen=True)
class Message:
    """An SMS on a phone."""

    phone: "Phone"
    text: str

    @property
    def link(self) -> str:
        """Its link, on the address at which the test reaches notify."""
        found = re.search(r"https://\S+(/a/\w+)", self.text)
        assert found, self.text
        return self.phone.room.web_url + found[1]

    async def reply(self, text: str, sender: str = "") -> int:
        """Answers by SMS, as Kannel delivers it; returns the status that the gateway gets."""
        headers = {"X-Kannel-From": sender or self.phone.number, "Content-Type": "text/plain"}
        address = f"{self.phone.room.web_url}/gateway/replies/{REPLY_TOKEN}/kannel"
        return await self.phone.room.call("POST", address, data=text.encode(), headers=headers)

    async def open(self, language: str = "") -> str:
        """Opens the link, and chooses a language on the page if one is given; returns the page."""
        address = f"{self.link}?lang={language}" if language else self.link
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            return await answer.text()

    async def press(self, answer: str) -> int:
        """Opens the link, types the number of the page and presses a button; returns the status."""
        shown = re.search(r"<strong>(\d\d)</strong>", await self.open())
        assert shown
        return await self.phone.room.call("POST", self.link, data={"number": shown[1], "answer": answer})


@dataclass(frozen=True)
class Phone:
    """A responder's phone."""

    room: "Room"
    number: str

    async def expect_sms(self, *parts: str) -> Message:
        """Waits for an SMS whose text has these parts."""
        async with asyncio.timeout(90):
            while not (  # noqa: ASYNC110 - the handset has no event for it
                texts := [text for text in self.room.sms_to(self.number) if all(part in text for part in parts)]
            ):
                await asyncio.sleep(0.02)
        return Message(self, texts[-1])


@asynccontextmanager
async def serving_web(app: FastAPI, url: str) -> AsyncIterator[None]:
    """Serves what gateways and responders call."""
    settings = uvicorn.Config(app, host="127.0.0.1", port=int(url.rpartition(":")[2]), log_config=None, lifespan="off")
    server = uvicorn.Server(settings)
    # The signals belong to the test run.
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await task


def a_step(step: str, clock: str, *targets: str) -> dict[str, Any]:
    """Returns the data of a clock step."""
    percent = {"reminded": 50, "overdue": 100, "escalated": 200}[step]
    return {"clock": clock, "step": percent, "due_at": START, "escalation_targets": targets}


def requested(service_id: UUID, urgency: str, answer_by: datetime = START) -> dict[str, Any]:
    """Returns a service as offers and amendments list it."""
    return {
        "service_id": service_id,
        "service": "medical_care",
        "role": "lead",
        "urgency": urgency,
        "answer_by": answer_by,
    }


def _event(message: type[Event], referral: Referral, data: dict[str, Any]) -> Event:
    about = {"referral_id": referral.referral_id, "case_id": referral.case_id, "agency": referral.agency}
    own = {"case.agency_excluded.v1": "exclusion", "referral.deadline_met.v1": "deadline"}.get(message.WIRE_NAME)
    subject = f"{own}/{uuid4()}" if own else f"referral/{referral.referral_id}"
    return message.model_validate(
        {
            "id": uuid4(),
            "source": "/kediri/routing",
            "subject": subject,
            "time": START,
            "sequence": "0000000001",
            "correlationid": referral.case_id,
            "data": about
            | {"services": [requested(service_id, referral.urgency) for service_id in referral.services]}
            | {"urgency": referral.urgency, "accepted_at": START, "started_at": START}
            | data,
        }
    )


def zone_at(hour: int) -> ZoneInfo:
    """Returns a time zone in which it is this hour now, for what depends on the time of day."""
    shift = (hour - datetime.now(UTC).hour + 11) % 24 - 11
    # POSIX counts the other way round.
    return ZoneInfo(f"Etc/GMT{-shift:+d}")


@asynccontextmanager
async def a_room(backends: Backends, folder: Path) -> AsyncIterator[Room]:
    """Prepares a room with a working gateway and mail server; its sender is not started."""
    url = await create_migrated(backends, "notify", f"notify_{uuid4().hex[:8]}")
    ring, public = generate("notify", not_before=START - timedelta(days=400), not_after=START + timedelta(days=4000))
    authority = an_authority(folder / "mail")
    handset, mailbox = Handset(folder / "gateway-spool"), Server()
    async with AsyncExitStack() as ending:
        await ending.enter_async_context(serving(mailbox, authority.context))
        app = web.Application()
        app.router.add_post("/cgi-bin/sendsms", handset.sendsms)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        ending.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        engine = create_engine(url, connections=4)
        ending.push_async_callback(engine.dispose)
        outbox = Outbox("kediri", "notify", Keys(ring, Directory([public])))
        yield Room(engine, url, handset, mailbox, f"http://127.0.0.1:{port}/cgi-bin/sendsms", authority.ca_file, outbox)
