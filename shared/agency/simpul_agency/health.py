"""Answers health checks about the agency's consumer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from typing import Final, Optional

import aio_pika
from aiohttp import web
from aiormq.exceptions import AMQPError

from simpul_agency.status_page import AgencyStatus, render_status
from simpul_agency.store import Store

PING_TIMEOUT: Final = 2.0
"""Seconds the broker has to answer."""


async def count_waiting(broker_url: str, queue_name: str) -> Optional[int]:
    """Returns how many messages wait in a queue; None if the broker does not say."""

    async def count() -> Optional[int]:
        async with await aio_pika.connect(broker_url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(queue_name, passive=True)
            return queue.declaration_result.message_count

    try:
        return await asyncio.wait_for(count(), PING_TIMEOUT)
    except (AMQPError, OSError, asyncio.TimeoutError):
        return None


class HealthServer:
    """Serves `/health/live`, `/health/ready` and, for people, `/status` on 127.0.0.1; no content of a message."""

    def __init__(
        self,
        agency: str,
        store: Store,
        is_connected: Callable[[], Awaitable[bool]],
        count_waiting: Callable[[], Awaitable[Optional[int]]],
        *,
        find_audit_problems: Callable[[], Awaitable[list[str]]],
        find_audit_warnings: Callable[[datetime], list[str]],
        port: int,
    ) -> None:
        """`count_waiting` returns how many messages wait in the agency's queue; None if the broker does not say."""
        self._find_audit_problems = find_audit_problems
        self._find_audit_warnings = find_audit_warnings
        self._agency = agency
        self._store = store
        self._is_connected = is_connected
        self._count_waiting = count_waiting
        self._port = port

    async def readiness_problems(self) -> list[str]:
        """Lists what is wrong and what to do about it; empty when the consumer is ready."""
        problems = []
        if not await self._is_connected():
            problems.append("broker: not connected; run `simpul-agency doctor` for the cause")
        try:
            problems += await self._find_audit_problems()
            statuses = await self._store.compare_manifests()
        except Exception:
            return [*problems, "store: no answer; check SIMPUL_AGENCY_STORE_URL"]
        for city in statuses:
            if city.is_silent(time.time()):
                problems.append(f"{city.source}: its delivery manifest is overdue; call the city if this lasts")
            if city.first_missing is not None:
                first, last = city.first_missing
                problems.append(f"{city.source}: events {first} to {last} are missing and have been requested")
        return problems

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Serves while the context is open."""
        application = web.Application()
        application.add_routes([web.get("/health/live", self._live), web.get("/health/ready", self._ready)])
        application.add_routes([web.get("/status", self._show_status)])
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
        problems = await self.readiness_problems()
        backlog = await self._store.count_backlog()
        counts = {
            "pending_events": backlog.pending_events,
            "unpublished_replies": backlog.unpublished_replies,
            "parked_messages": backlog.parked_messages,
        }
        warnings = self._find_audit_warnings(datetime.now(timezone.utc))
        return web.json_response(
            {"problems": problems, "warnings": warnings, **counts}, status=503 if problems else 200
        )

    async def _show_status(self, request: web.Request) -> web.Response:
        """Shows people whether the city is up and the queue drained; `?lang=en` for English."""
        is_connected = await self._is_connected()
        backlog = await self._store.count_backlog()
        status = AgencyStatus(
            is_connected,
            await self._count_waiting() if is_connected else None,
            backlog.pending_events,
            backlog.unpublished_replies,
            backlog.parked_messages,
            await self._store.compare_manifests(),
        )
        page = render_status(self._agency, status, request.query.get("lang", ""), time.time())
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        }
        return web.Response(text=page, content_type="text/html", headers=headers)
