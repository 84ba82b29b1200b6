"""Notices what is missing, requests it from the city, and reports a city that falls silent.

There are three signs: an event whose predecessor does not come, a manifest number whose event was not received, and a
manifest that does not come when it is due.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, Final

import structlog

from simpul_agency.records import DeliveryStatus, StreamGap
from simpul_agency.store import Store

FIRST_RETRY_DELAY: Final = 15.0
"""Seconds until the same range is requested again; the delay doubles each time."""
MAX_RETRY_DELAY: Final = 3600.0
"""Seconds between two requests for the same range at most."""
KEEPALIVE_INTERVAL: Final = 1800.0
"""Seconds between two requests to a city from which nothing is missing: it stops sending manifests to an agency that is
silent for an hour.
"""
TIME_MARGIN: Final = timedelta(minutes=1)
"""Widens a requested range of time, because the clocks of the city's machines differ."""
MAX_LOOKBACK: Final = timedelta(days=7)
"""How long before an event the missing beginning of its stream is requested."""

ResendRange = dict[str, Any]
"""The range to send again, in the fields of the resend request."""

log = structlog.get_logger()


@dataclass(frozen=True)
class ResendRequest:
    """A range to request; the same gap has the same key."""

    key: str
    range: ResendRange
    is_silence: bool = False
    """Whether a manifest is overdue."""


def find_resend_requests(
    statuses: Iterable[DeliveryStatus], gaps: Iterable[StreamGap], now: float
) -> list[ResendRequest]:
    """Lists everything that is missing now."""
    requests = []
    for city in statuses:
        if city.is_silent(now):
            missing = {"first_manifest_number": city.settled_number + 1}
            requests.append(ResendRequest(f"{city.source} silent", missing, is_silence=True))
        else:
            requests += [
                ResendRequest(f"{city.source} {first}", {"first_manifest_number": first, "last_manifest_number": last})
                for first, last in city.missing_ranges
            ]
    return requests + [ResendRequest(f"{gap.subject} {gap.sequence}", _range_of_gap(gap)) for gap in gaps]


def _range_of_gap(gap: StreamGap) -> ResendRange:
    until = _time_of(gap.body)
    since = _time_of(gap.previous_body) if gap.previous_body else until - MAX_LOOKBACK
    return {"since": since - TIME_MARGIN, "until": until + TIME_MARGIN}


def _time_of(body: bytes) -> datetime:
    # Python 3.10 does not parse the Z of the wire format.
    return datetime.fromisoformat(str(json.loads(body)["time"]).replace("Z", "+00:00"))


class GapMonitor:
    """Requests each gap once it has lasted for a while, and again after delays that double."""

    def __init__(
        self,
        store: Store,
        request_resend: Callable[[Sequence[ResendRange]], Awaitable[None]],
        *,
        agency: str,
        gap_timeout: float,
    ) -> None:
        """`gap_timeout`: seconds that a gap lasts before it is requested, since the event may be on its way."""
        self._store = store
        self._request_resend = request_resend
        self._agency = agency
        self._gap_timeout = gap_timeout
        self._requested: dict[str, tuple[float, float]] = {}
        """Key of a request -> when it may be repeated, and the delay after that."""
        self._check_at = 0.0
        self._keepalive_at = time.time() + KEEPALIVE_INTERVAL
        self._wakeup = asyncio.Event()

    def check_soon(self) -> None:
        """Checks after the gap timeout, because a manifest came or an event waits for its predecessor."""
        self._check_at = min(self._check_at, time.time() + self._gap_timeout)
        self._wakeup.set()

    async def run(self) -> None:
        """Monitors until cancelled."""
        while True:
            self._wakeup.clear()
            if time.time() >= self._check_at:
                await self._check()
            wait = max(self._check_at - time.time(), 0.01)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wakeup.wait(), None if wait == inf else wait)

    async def _check(self) -> None:
        """Requests what is missing, and schedules the next check: none while nothing can be missing."""
        now = time.time()
        self._check_at = inf
        try:
            statuses = await self._store.compare_manifests()
            gaps, some_wait = await self._store.find_gaps(now - self._gap_timeout)
            open_requests = find_resend_requests(statuses, gaps, now)
            due = [one for one in open_requests if now >= self._requested.get(one.key, (0.0, 0.0))[0]]
            await self._request_resend([one.range for one in due] + self._keepalives(statuses, now))
        except Exception as error:
            log.error("store_failed", agency=self._agency, error=type(error).__name__)
            self._check_at = now + FIRST_RETRY_DELAY
            return
        self._record_requests(open_requests, due, now)
        moments = [self._requested[one.key][0] for one in open_requests]
        moments += [city.next_due_at for city in statuses if not city.is_silent(now)]
        moments += [now + self._gap_timeout] if some_wait else []
        moments += [self._keepalive_at] if statuses else []
        self._check_at = min(self._check_at, min(moments, default=inf))

    def _keepalives(self, statuses: Sequence[DeliveryStatus], now: float) -> list[ResendRange]:
        """Requests the empty range after the last number, which shows the city that this agency is running."""
        if now < self._keepalive_at:
            return []
        self._keepalive_at = now + KEEPALIVE_INTERVAL
        return [{"first_manifest_number": city.last_number + 1} for city in statuses]

    def _record_requests(
        self, open_requests: Sequence[ResendRequest], sent: Sequence[ResendRequest], now: float
    ) -> None:
        for one in sent:
            delay = min(self._requested.get(one.key, (0.0, FIRST_RETRY_DELAY))[1], MAX_RETRY_DELAY)
            self._requested[one.key] = (now + delay, delay * 2)
            if one.is_silence:
                log.error("manifest_missed", agency=self._agency)
            else:
                log.warning("resend_requested", agency=self._agency)
        open_keys = {one.key for one in open_requests}
        self._requested = {key: request for key, request in self._requested.items() if key in open_keys}
