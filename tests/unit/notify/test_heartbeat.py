"""The heartbeat leaves the system; its watcher is alarmed when it stops."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from simpul_agency.sandbox.process import free_port
from simpul_notify.heartbeat import Heartbeat

TOKEN = "only-the-watcher-knows"


@dataclass
class Watcher:
    """A service outside that counts heartbeats."""

    url: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        return web.Response(status=self.status)


@pytest.fixture
async def watcher() -> AsyncIterator[Watcher]:
    peer, app = Watcher(), web.Application()
    app.router.add_post(f"/{TOKEN}", peer.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/{TOKEN}"
    yield peer
    await runner.cleanup()


async def test_a_heartbeat_is_an_empty_post(watcher: Watcher) -> None:
    with capture_logs() as logs:
        await Heartbeat(watcher.url).send()

    assert (watcher.bodies, logs) == ([b""], [])


async def test_a_refused_heartbeat_is_logged_without_its_address(watcher: Watcher) -> None:
    watcher.status = 500
    with capture_logs() as logs:
        await Heartbeat(watcher.url).send()

    assert [(each["event"], each["error"]) for each in logs] == [("heartbeat_failed", "ClientResponseError")]
    assert TOKEN not in str(logs)


async def test_a_watcher_that_cannot_be_reached_stops_nothing() -> None:
    with capture_logs() as logs:
        await Heartbeat(f"http://127.0.0.1:{free_port()}/{TOKEN}").send()

    assert [each["event"] for each in logs] == ["heartbeat_failed"]
    assert TOKEN not in str(logs)


async def test_without_an_address_nothing_is_sent(watcher: Watcher) -> None:
    await Heartbeat("").send()

    assert watcher.bodies == []
