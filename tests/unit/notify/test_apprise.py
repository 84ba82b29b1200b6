"""Apprise carries messages to chat services; tried against a server that speaks ntfy's protocol."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from simpul_notify.channels import OutgoingMessage, load_providers
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import ACCEPTED, Attempt, Problem
from simpul_notify.domain.notifications import AlertText
from simpul_notify.errors import ProviderInvalid

# A module of Apprise imports one that Python 3.13 no longer has; Apprise copes with its absence.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
Send = Callable[..., Awaitable[Attempt]]
MESSAGE = OutgoingMessage(UUID(int=7), "+6281234567890", AlertText("", "Simpul: R-7K3Q2M menunggu jawaban Anda."))


class Ntfy:
    """Takes messages as a ntfy server does."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        self.answers = asyncio.Event()
        self.answers.set()

    async def take(self, request: web.Request) -> web.Response:
        await self.answers.wait()
        self.received.append(await request.json())
        return web.json_response({"id": "x"}, status=self.status)


@pytest.fixture
async def ntfy() -> AsyncIterator[tuple[Ntfy, str]]:
    """The server and its address as Apprise writes it."""
    server, app = Ntfy(), web.Application()
    app.router.add_post("/{tail:.*}", server.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield server, f"ntfy://127.0.0.1:{runner.addresses[0][1]}/simpul-{{address}}"
    await runner.cleanup()


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Attempt]]:
    """Sends the message by a provider that is loaded as a city loads it."""

    async def send(url: str, seconds: float = 30) -> Attempt:
        monkeypatch.setenv("SIMPUL_APPRISE_URL", url)
        monkeypatch.setenv("SIMPUL_PROVIDER_TIMEOUT", str(seconds))
        [chat] = load_providers(["apprise"])
        try:
            return await chat.send(MESSAGE)
        finally:
            await chat.close()

    return send


async def test_a_message_reaches_the_persons_own_address(ntfy: tuple[Ntfy, str], send: Send) -> None:
    server, url = ntfy

    assert await send(url) == ACCEPTED

    [received] = server.received
    assert (received["topic"], received["message"].strip()) == ("simpul-6281234567890", MESSAGE.text.body)


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_a_refusal_is_tried_again(ntfy: tuple[Ntfy, str], send: Send, status: int) -> None:
    server, url = ntfy
    server.status = status

    assert await send(url) == Attempt(Outcome.REJECTED_TEMPORARILY, Problem.BUSY)


async def test_a_service_that_hangs_may_have_taken_the_message(ntfy: tuple[Ntfy, str], send: Send) -> None:
    server, url = ntfy
    server.answers.clear()

    attempt = await send(url, seconds=0.3)
    server.answers.set()

    assert attempt.outcome in (Outcome.UNKNOWN, Outcome.REJECTED_TEMPORARILY)


async def test_nothing_of_a_message_is_logged(
    ntfy: tuple[Ntfy, str], send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    server, url = ntfy
    server.status = 500
    with caplog.at_level(logging.DEBUG):
        await send(url)

    assert "81234567890" not in caplog.text
    assert "R-7K3Q2M" not in caplog.text


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ntfy://127.0.0.1/everybody", "write {address}"),
        ("smpps://user:word@smsc:2775/100/{address}", "kannel, gammu and smtp"),
        ("nothing://{address}", "cannot read this URL"),
    ],
)
def test_a_url_that_cannot_work_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, url: str, complaint: str
) -> None:
    monkeypatch.setenv("SIMPUL_APPRISE_URL", url)

    with pytest.raises(ProviderInvalid, match=re.escape(complaint)) as refused:
        load_providers(["apprise"])

    assert url not in str(refused.value)
