"""Notify on a real database with a real gateway and mail server, without its broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_cli.backends import Backends
from simpul_cli.databases import create_databases
from simpul_cli.demo.handset import ACCOUNT, PASSWORD, Handset
from simpul_notify.channels import Channel, KannelSms, SmtpMail
from simpul_notify.consumers import handlers
from simpul_notify.domain import Roster
from simpul_notify.roster import read_levels, read_roster
from simpul_notify.texts import Texts
from simpul_notify.use_cases import EndAlerts, RecordAlerts, SendAlerts
from simpul_runtime.database import engine_for
from simpul_runtime.held import OutboxRow
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema import Event, message_class
from simpul_schema.vocabulary import AlertChannel
from simpul_seal import Directory, generate
from tests.integration.notify.test_smtp import PASSWORD as MAIL_PASSWORD
from tests.integration.notify.test_smtp import SENDER, USER, Server, an_authority, serving
from tests.support.agreements import CITY, KEDIRI

START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
LEVELS = read_levels(KEDIRI / "agreement")
ROSTER = read_roster(KEDIRI / "roster.yaml", CITY, LEVELS)
TEXTS = Texts.read(KEDIRI / "messages.yaml", CITY)


@dataclass(frozen=True)
class Referral:
    """Ids of a referral, its agency and urgency."""

    agency: str = "rs-rujukan"
    urgency: str = "high"
    case_id: UUID = field(default_factory=uuid4)
    referral_id: UUID = field(default_factory=uuid4)


@dataclass
class Room:
    """What arrives at people, what is announced, and what the database holds."""

    engine: AsyncEngine
    url: str
    handset: Handset
    mailbox: Server
    sms_url: str
    ca_file: Path
    outbox: Outbox
    announced: list[dict[str, Any]] = field(default_factory=list)
    retry_first: float = 0.05
    concurrency: int = 16
    roster: Roster = ROSTER

    def keep(self, rows: Sequence[OutboxRow]) -> None:
        self.announced += [json.loads(row.body) for row in rows]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Room"]:
        """The sender works; what is received reaches it."""
        self.transactions = Transactions(self.engine, self.outbox, self.keep)
        channels: dict[AlertChannel, Channel] = {
            AlertChannel.SMS: KannelSms(self.sms_url, ACCOUNT, PASSWORD, "Simpul", 5),
            AlertChannel.MAIL: SmtpMail("127.0.0.1", self.mailbox.port, USER, MAIL_PASSWORD, SENDER, self.ca_file, 5),
        }
        self.sender = SendAlerts(
            self.transactions, self.roster, TEXTS, channels, timedelta(seconds=self.retry_first), self.concurrency
        )
        self.handlers = handlers(RecordAlerts(self.roster, self.sender.send_soon), EndAlerts(LEVELS))
        self.running_sender = asyncio.create_task(self.sender.run())
        try:
            yield self
        finally:
            await self._stop_sender()

    async def restart(self) -> None:
        """The sender ends and begins again, with the same channels."""
        await self._stop_sender()
        self.running_sender = asyncio.create_task(self.sender.run())

    async def _stop_sender(self) -> None:
        self.running_sender.cancel()
        with suppress(asyncio.CancelledError):
            await self.running_sender

    async def receive(self, wire_name: str, *referrals: Referral, **data: Any) -> None:
        """Events of one type arrive together, one for each referral."""
        message = message_class(wire_name)
        assert message is not None
        events = [_event(message, referral, data) for referral in referrals]
        async with self.transactions.begin() as transaction:
            await self.handlers[message](transaction, events)

    async def offer(self, *referrals: Referral) -> None:
        """Referrals are offered."""
        for referral in referrals:
            await self.receive("referral.offered.v1", referral, **OFFER)

    async def step(self, step: str, referral: Referral, clock: str, *told: str, **more: Any) -> None:
        """A deadline comes near or has passed."""
        percent = {"reminded": 50, "overdue": 100, "escalated": 200}[step]
        await self.receive(
            f"referral.{step}.v1", referral, clock=clock, step=percent, due_at=START, escalation_targets=told, **more
        )

    def sms_to(self, number: str = "") -> list[str]:
        """Texts that arrived at a number, or at all."""
        return [arrival.text for arrival in self.handset.arrivals if number in arrival.to]

    def of(self, wire_name: str) -> list[dict[str, Any]]:
        """The data of the events announced of a type."""
        return [event["data"] for event in self.announced if event["type"] == wire_name]

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Look into the database, or change it."""
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

    async def wait_until_none_waits(self, **where: Any) -> None:
        """Every alert has its fate."""
        async with asyncio.timeout(20):
            while "pending" in await self.states(**where):  # noqa: ASYNC110 - the database tells
                await asyncio.sleep(0.05)


OFFER: dict[str, Any] = {"service": "medical_care", "role": "lead", "answer_by": START}


def _event(message: type[Event], referral: Referral, data: dict[str, Any]) -> Event:
    about = {"referral_id": referral.referral_id, "case_id": referral.case_id, "agency": referral.agency}
    is_exclusion = message.WIRE_NAME == "case.agency_excluded.v1"
    subject = f"exclusion/{uuid4()}" if is_exclusion else f"referral/{referral.referral_id}"
    return message.model_validate({
        "id": uuid4(), "source": "/kediri/routing", "subject": subject, "time": START, "sequence": "0000000001",
        "correlationid": referral.case_id,
        "data": about | {"urgency": referral.urgency, "accepted_at": START, "started_at": START} | data,
    })  # fmt: skip


@asynccontextmanager
async def a_room(backends: Backends, folder: Path) -> AsyncIterator[Room]:
    """A room whose gateway and mail server work; its sender does not run yet."""
    name = f"notify_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"notify": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_notify")
    ring, public = generate("notify", not_before=START - timedelta(days=400), not_after=START + timedelta(days=4000))
    authority = an_authority(folder / "mail")
    handset, mailbox = Handset(), Server()
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
        engine = engine_for(url, connections=4)
        ending.push_async_callback(engine.dispose)
        outbox = Outbox("kediri", "notify", Keys(ring, Directory([public])))
        yield Room(engine, url, handset, mailbox, f"http://127.0.0.1:{port}/cgi-bin/sendsms", authority.ca_file, outbox)
