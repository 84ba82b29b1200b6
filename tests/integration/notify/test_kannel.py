"""SMS through a real Kannel to a simulated operator."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from simpul_agency.sandbox.process import free_port
from simpul_city import City
from simpul_notify.channels import KannelSms
from simpul_notify.domain import Alert, AlertText, Outcome
from simpul_notify.texts import AlertTexts
from simpul_schema.vocabulary import AlertChannel, Urgency
from tests.integration.notify.conftest import PASSWORD, USER, Kannel

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"
TEXTS = AlertTexts.read(KEDIRI / "messages.yaml", City.read(KEDIRI))
SOME_TEXT = AlertText("", "Simpul: R-7K3Q2M")


def a_text(language: str) -> AlertText:
    deadline = datetime(2026, 12, 31, 16, 59, tzinfo=UTC)
    alert = Alert(uuid4(), uuid4(), uuid4(), "somebody", AlertChannel.SMS, Urgency.MEDIUM, deadline)
    return TEXTS.render_alert(alert, language)


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


async def arrived(kannel: Kannel, number: str) -> list[str]:
    """Waits a few seconds for the texts that the operator received."""
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while not kannel.delivered_to(number):  # noqa: ASYNC110 - another process writes the file
                await asyncio.sleep(0.02)
    return kannel.delivered_to(number)


@pytest.mark.parametrize(("language", "number"), [("id", "+62800111901"), ("en", "+62800111902")])
async def test_an_alert_reaches_the_operator_unchanged(kannel: Kannel, language: str, number: str) -> None:
    text = a_text(language)

    async with sms_by(kannel.url) as sms:
        outcome = await sms.send(number, text)

    assert outcome == Outcome.ACCEPTED
    assert await arrived(kannel, number) == [text.body]


async def test_many_alerts_at_once_arrive_once_each(kannel: Kannel) -> None:
    texts = {f"+628001120{n:02}": a_text("id") for n in range(20)}

    async with sms_by(kannel.url) as sms:
        outcomes = await asyncio.gather(*(sms.send(number, text) for number, text in texts.items()))

    assert set(outcomes) == {Outcome.ACCEPTED}
    assert {number: await arrived(kannel, number) for number in texts} == {n: [t.body] for n, t in texts.items()}


async def test_non_ascii_characters_survive_the_gateway(kannel: Kannel) -> None:
    text = AlertText("", "à é ñ ß @ _ $ £ (1) 'x' \"y\"")

    async with sms_by(kannel.url) as sms:
        await sms.send("+62800111903", text)

    assert await arrived(kannel, "+62800111903") == [text.body]


async def test_a_wrong_password_is_a_temporary_rejection(kannel: Kannel) -> None:
    async with sms_by(kannel.url, password="wrong") as sms:
        outcome = await sms.send("+62800111904", SOME_TEXT)

    assert outcome == Outcome.REJECTED_TEMPORARILY
    assert kannel.delivered_to("+62800111904") == []


async def test_a_missing_number_is_rejected_permanently(kannel: Kannel) -> None:
    async with sms_by(kannel.url) as sms:
        outcome = await sms.send("", SOME_TEXT)

    assert outcome == Outcome.REJECTED_PERMANENTLY


async def test_an_unreachable_gateway_is_a_temporary_rejection() -> None:
    async with sms_by(f"http://127.0.0.1:{free_port()}/cgi-bin/sendsms") as sms:
        outcome = await sms.send("+62800111905", SOME_TEXT)

    assert outcome == Outcome.REJECTED_TEMPORARILY


async def test_a_timeout_leaves_the_outcome_unknown() -> None:
    async def say_nothing(reader: asyncio.StreamReader) -> None:
        await reader.read()

    started = time.monotonic()

    async with a_gateway(say_nothing) as url, sms_by(url, seconds=0.5) as sms:
        outcome = await sms.send("+62800111906", SOME_TEXT)

    assert outcome == Outcome.UNKNOWN
    assert 0.4 < time.monotonic() - started < 3


async def test_a_closed_connection_leaves_the_outcome_unknown() -> None:
    async def hang_up(reader: asyncio.StreamReader) -> None:
        await reader.readline()

    async with a_gateway(hang_up) as url, sms_by(url) as sms:
        outcome = await sms.send("+62800111907", SOME_TEXT)

    assert outcome == Outcome.UNKNOWN
