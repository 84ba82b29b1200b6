"""SMS through a real gammu-smsd, its PostgreSQL tables, and its dummy phone."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from simpul_agency.sandbox.process import free_port, spawn
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_notify.channels import GammuSms, Incoming, OutgoingMessage
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import DeliveryReport, DeliveryState, Problem, Reply
from simpul_notify.domain.notifications import AlertText
from tests.integration.notify.conftest import end_group
from tests.support.debian import need

DAEMON, SCHEMA = "/usr/bin/gammu-smsd", Path("/usr/share/doc/gammu-smsd/examples/pgsql.sql")
NUMBER, TEXT = "+6283400111006", "Simpul: R-7K3Q2M menunggu jawaban Anda. @ $ _"

CONFIG = """\
[gammu]
model = dummy
connection = none
device = {phone}

[smsd]
service = sql
driver = native_pgsql
host = {host}
user = {user}
password = {password}
database = {database}
logfile = {folder}/smsd.log
debuglevel = 0
commtimeout = 1
sendtimeout = 5
receivefrequency = 1
statusfrequency = 0
loopsleep = 1
checksecurity = 0
checkbattery = 0
checksignal = 0
checknetwork = 0
resetfrequency = 0
"""
RECEIVED = """
    INSERT INTO inbox ("Text", "SenderNumber", "UDH", "TextDecoded", "RecipientID") VALUES ('', $1, '', $2, '')
"""


@dataclass(frozen=True)
class Modem:
    """A running daemon: its database and log."""

    url: str
    log: Path

    async def receive(self, number: str, text: str) -> None:
        """Stores a received SMS as the daemon does."""
        connection = await asyncpg.connect(self.url)
        await connection.execute(RECEIVED, number, text)
        await connection.close()

    async def take_report(self, status: str) -> None:
        """Stores a phone's report as the daemon does; its dummy phone never sends one."""
        connection = await asyncpg.connect(self.url)
        changed = await connection.execute(
            'UPDATE sentitems SET "Status" = $1, "DeliveryDateTime" = now() WHERE "Status" LIKE \'Sending%\'', status
        )
        await connection.close()
        assert changed == "UPDATE 1"


def _read_schema() -> str:
    # The language is there already.
    return SCHEMA.read_text().replace("CREATE LANGUAGE plpgsql;", "")


@pytest.fixture
async def modem(backends: Backends, tmp_path: Path) -> AsyncIterator[Modem]:
    """Runs the daemon with a dummy phone on a database of its own."""
    need((DAEMON,), ("gammu-smsd",))
    name = f"smsd_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"smsd": name})
    url = backends.database_url(name)
    connection = await asyncpg.connect(url)
    await connection.execute(_read_schema())
    await connection.close()
    phone = tmp_path / "phone"
    for box in "12345":
        (phone / "sms" / box).mkdir(parents=True)
    address = urlsplit(url)
    config = tmp_path / "smsdrc"
    config.write_text(
        CONFIG.format(
            phone=phone,
            folder=tmp_path,
            host=f"{address.hostname}:{address.port}",
            user=address.username,
            password=address.password,
            database=name,
        )
    )
    log = tmp_path / "daemon.log"
    process = spawn((DAEMON, "-c", str(config)), log=log, env={}, death_signal=signal.SIGKILL, account={})
    try:
        yield Modem(url, tmp_path / "smsd.log")
    finally:
        end_group(process)


async def test_an_sms_leaves_by_the_modem_and_a_reply_comes_back(modem: Modem) -> None:
    sms = GammuSms(modem.url, 5)
    message = OutgoingMessage(uuid4(), NUMBER, AlertText("", TEXT))
    try:
        attempt = await sms.send(message)
        reports = (await _wait_for(sms, modem, replies=0)).reports
        await modem.receive("083400111006", "TERIMA")
        incoming = await _wait_for(sms, modem, replies=1)
        await sms.confirm(incoming)
        after = await sms.fetch_incoming()
    finally:
        await sms.close()

    assert attempt.outcome is Outcome.ACCEPTED
    assert reports == (DeliveryReport(message.notification_id, "gammu", DeliveryState.IN_NETWORK),)
    assert incoming.replies == (Reply("083400111006", "TERIMA"),)
    assert after.replies == ()
    connection = await asyncpg.connect(modem.url)
    [sent] = await connection.fetch('SELECT "TextDecoded" AS text, "DestinationNumber" AS number FROM sentitems')
    await connection.close()
    assert (sent["text"], sent["number"]) == (TEXT, NUMBER)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("DeliveryOK", DeliveryState.ON_HANDSET),
        ("DeliveryPending", DeliveryState.DELAYED),
        ("DeliveryFailed", DeliveryState.FAILED),
    ],
)
async def test_the_report_of_the_phone_itself_is_fetched(modem: Modem, status: str, state: DeliveryState) -> None:
    sms = GammuSms(modem.url, 5)
    message = OutgoingMessage(uuid4(), NUMBER, AlertText("", TEXT))
    try:
        await sms.send(message)
        await _wait_for(sms, modem, replies=0)
        await modem.take_report(status)
        reports = (await sms.fetch_incoming()).reports
    finally:
        await sms.close()

    assert reports == (DeliveryReport(message.notification_id, "gammu", state),)


async def _wait_for(sms: GammuSms, modem: Modem, *, replies: int) -> Incoming:
    for _ in range(300):
        incoming = await sms.fetch_incoming()
        if incoming.reports and len(incoming.replies) == replies:
            return incoming
        await asyncio.sleep(0.1)
    pytest.fail(f"{incoming}\n{modem.log.read_text()[-2000:]}", pytrace=False)


async def test_a_wrong_password_and_a_database_that_is_away_are_named(modem: Modem) -> None:
    address = urlsplit(modem.url)
    wrong = address._replace(netloc=f"nobody:wrong@{address.hostname}:{address.port}").geturl()
    away = address._replace(netloc=f"x:x@127.0.0.1:{free_port()}").geturl()
    problems = []
    for url in (wrong, away):
        sms = GammuSms(url, 5)
        attempt = await sms.send(OutgoingMessage(uuid4(), NUMBER, AlertText("", TEXT)))
        await sms.close()
        problems.append((attempt.outcome, attempt.problem))

    assert problems == [
        (Outcome.REJECTED_TEMPORARILY, Problem.WRONG_CREDENTIALS),
        (Outcome.REJECTED_TEMPORARILY, Problem.UNREACHABLE),
    ]
