"""Whether the agency's consumer does its work, for whatever watches over it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from simpul_agency.store import Store

HEARD_WITHIN = 2.0
"""Seconds the broker has to answer."""


class Health:
    """`/health/live` while the process runs, `/health/ready` while nothing is wrong; both tell no more than counts."""

    def __init__(self, store: Store, is_connected: Callable[[], Awaitable[bool]], *, port: int) -> None:
        self._store = store
        self._is_connected = is_connected
        self._port = port

    async def troubles(self) -> list[str]:
        """What is wrong, each with what to do; empty when nothing is."""
        found = []
        if not await self._is_connected():
            found.append("broker: not connected; `simpul-agency doctor` says why")
        try:
            standings = await self._store.settle()
        except Exception:
            return [*found, "store: no answer; look at SIMPUL_AGENCY_STORE_URL"]
        for city in standings:
            if city.is_silent(time.time()):
                found.append(f"{city.source}: no heartbeat when one was due; call the city if it lasts")
            if city.hole is not None:
                found.append(f"{city.source}: events {city.hole[0]} to {city.hole[1]} are missing; they are asked for")
        return found

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Answer on 127.0.0.1."""
        application = web.Application()
        application.add_routes([web.get("/health/live", self._live), web.get("/health/ready", self._ready)])
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            yield
        finally:
            await runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _ready(self, _: web.Request) -> web.Response:
        troubles = await self.troubles()
        waiting, unsaid, parked = await self._store.backlog()
        counts = {"waiting_for_their_handler": waiting, "waiting_for_the_broker": unsaid, "parked": parked}
        return web.json_response({"troubles": troubles, **counts}, status=503 if troubles else 200)
