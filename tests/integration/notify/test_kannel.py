"""SMS through a real Kannel to a simulated operator."""

import asyncio
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import pytest
from aiohttp import web

from simpul_agency.sandbox.process import free_port
from simpul_city import City
from simpul_notify.channels import KannelSms, OutgoingMessage
from simpul_notify.domain.alerts import Alert, Outcome
from simpul_notify.domain.deliveries import DeliveryState, Reply
from simpul_notify.domain.notifications import AlertText, Notification
from simpul_notify.texts import AlertTexts
from simpul_schema.vocabulary import AlertChannel, Urgency
from tests.integration.notify.conftest import FAKESMSC, PASSWORD, REPLY_TOKEN, USER, Kannel

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"
TEXTS = AlertTexts.read(KEDIRI / "messages.yaml", City.read(KEDIRI))
SOME_TEXT = AlertText("", "Simpul: R-7K3Q2M")


def a_text(language: str) -> AlertText:
    deadline = datetime(2026, 12, 31, 16, 59, tzinfo=UTC)
    services = (uuid4(),)
    alert = Alert(uuid4(), uuid4(), uuid4(), uuid4(), services, "somebody", AlertChannel.SMS, Urgency.MEDIUM, deadline)
    return TEXTS.render(Notification(uuid4(), alert.recipient, (alert,)), language)


@asynccontextmanager
async def sms_by(url: str, password: str = PASSWORD, seconds: float = 5) -> AsyncIterator[KannelSms]:
    sms = KannelSms(url, USER, password, "Simpul", seconds)
    try:
        yield sms
    finally:
        await sms.close()


@asynccontextmanager
async def a_gateway(talk: Callable[[asyncio.StreamReader], Awaitable[None]]) -> AsyncIterator[str]:
    """Starts a gateway that accepts connections and behaves as given; returns its URL."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(serve(reader, writer)))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/cgi-bin/sendsms"
        await asyncio.gather(*talks)


async def send(sms: KannelSms, number: str, text: AlertText) -> Outcome:
    return (await sms.send(OutgoingMessage(uuid4(), number, text))).outcome


async def arrived(kannel: Kannel, number: str) -> list[str]:
    """Waits a few seconds for the texts that the operator received."""
    with suppress(TimeoutError):
        async with asyncio.timeout(90):
            while not kannel.delivered_to(number):  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(0.02)
    return kannel.delivered_to(number)


@pytest.mark.parametrize(("language", "number"), [("id", "+6283400111901"), ("en", "+6283400111902")])
async def test_an_alert_reaches_the_operator_unchanged(kannel: Kannel, language: str, number: str) -> None:
    text = a_text(language)

    async with sms_by(kannel.url) as sms:
        outcome = await send(sms, number, text)

    assert outcome == Outcome.ACCEPTED
    assert await arrived(kannel, number) == [text.body]


async def test_many_alerts_at_once_arrive_once_each(kannel: Kannel) -> None:
    texts = {f"+62834001120{n:02}": a_text("id") for n in range(20)}

    async with sms_by(kannel.url) as sms:
        outcomes = await asyncio.gather(*(send(sms, number, text) for number, text in texts.items()))

    assert set(outcomes) == {Outcome.ACCEPTED}
    assert {number: await arrived(kannel, number) for number in texts} == {n: [t.body] for n, t in texts.items()}


async def test_non_ascii_characters_survive_the_gateway(kannel: Kannel) -> None:
    text = AlertText("", "à é ñ ß @ _ $ £ (1) 'x' \"y\"")

    async with sms_by(kannel.url) as sms:
        await send(sms, "+6283400111903", text)

    assert await arrived(kannel, "+6283400111903") == [text.body]


async def test_a_wrong_password_is_a_temporary_rejection(kannel: Kannel) -> None:
    async with sms_by(kannel.url, password="wrong") as sms:
        outcome = await send(sms, "+6283400111904", SOME_TEXT)

    assert outcome == Outcome.REJECTED_TEMPORARILY
    assert kannel.delivered_to("+6283400111904") == []


async def test_a_missing_number_is_rejected_permanently(kannel: Kannel) -> None:
    async with sms_by(kannel.url) as sms:
        outcome = await send(sms, "", SOME_TEXT)

    assert outcome == Outcome.REJECTED_PERMANENTLY


async def test_an_unreachable_gateway_is_a_temporary_rejection() -> None:
    async with sms_by(f"http://127.0.0.1:{free_port()}/cgi-bin/sendsms") as sms:
        outcome = await send(sms, "+6283400111905", SOME_TEXT)

    assert outcome == Outcome.REJECTED_TEMPORARILY


async def test_a_timeout_leaves_the_outcome_unknown() -> None:
    async def say_nothing(reader: asyncio.StreamReader) -> None:
        await reader.read()

    started = time.monotonic()

    async with a_gateway(say_nothing) as url, sms_by(url, seconds=0.5) as sms:
        outcome = await send(sms, "+6283400111906", SOME_TEXT)

    assert outcome == Outcome.UNKNOWN
    assert time.monotonic() - started > 0.4


async def test_a_closed_connection_leaves_the_outcome_unknown() -> None:
    async def hang_up(reader: asyncio.StreamReader) -> None:
        await reader.readline()

    async with a_gateway(hang_up) as url, sms_by(url) as sms:
        outcome = await send(sms, "+6283400111907", SOME_TEXT)

    assert outcome == Outcome.UNKNOWN


@dataclass(frozen=True)
class Call:
    """A request of the gateway."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@asynccontextmanager
async def a_notify(port: int) -> AsyncIterator[asyncio.Queue[Call]]:
    """Takes what the gateway calls."""
    calls: asyncio.Queue[Call] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        await calls.put(Call(request.method, request.path_qs, headers, await request.read()))
        return web.Response(text="")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield calls
    finally:
        await runner.cleanup()


async def test_the_gateway_reports_what_came_of_an_sms(kannel: Kannel) -> None:
    address = f"http://127.0.0.1:{kannel.notify_port}/gateway/reports/k7pq2mzx9dta/kannel"

    async with a_notify(kannel.notify_port) as calls, sms_by(kannel.url) as sms, asyncio.timeout(90):
        await sms.send(OutgoingMessage(uuid4(), "+6283400111908", SOME_TEXT, address))
        reports = [await calls.get(), await calls.get()]

    queries = [dict(parse_qsl(urlsplit(report.path).query)) for report in reports]
    states = [sms.parse_report(query, b"") for query in queries]
    assert states == [DeliveryState.IN_NETWORK, DeliveryState.ON_HANDSET]
    assert {urlsplit(report.path).path for report in reports} == {urlsplit(address).path}
    assert not any("83400111908" in f"{report.path} {report.headers}" for report in reports)


async def test_a_reply_reaches_notify_and_no_address_holds_it(kannel: Kannel) -> None:
    phone = (FAKESMSC, "-H", "127.0.0.1", "-r", str(kannel.replies_port), "-m", "1")

    async with a_notify(kannel.notify_port) as calls, sms_by(kannel.url) as sms, asyncio.timeout(90):
        process = await asyncio.create_subprocess_exec(*phone, "083400111006 2 text TERIMA R-7K3Q2M", stderr=DEVNULL)
        call = await calls.get()
        process.kill()
        await process.wait()

    assert (call.method, call.path) == ("POST", f"/gateway/replies/{REPLY_TOKEN}/kannel")
    assert sms.parse_reply(call.headers, call.body) == Reply("083400111006", "TERIMA R-7K3Q2M")
