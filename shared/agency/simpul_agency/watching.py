"""Notices what is missing, asks the city to send it again, and raises the alarm when the city falls silent.

Three signs: an event whose predecessor does not come; a number of the city's accounts whose event is not here; an
account that does not come when it should.
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

from simpul_agency.records import Gap, Standing
from simpul_agency.store import Store

ASK_AGAIN: Final = 15.0
"""Seconds until the same thing is asked for once more; they double each time."""
ALIVE: Final = 1800.0
"""Seconds between two words to a city that we hear from: to an agency that says nothing it soon says nothing."""
LONGEST: Final = 3600.0
"""Seconds between two such questions at most."""
MARGIN: Final = timedelta(minutes=1)
"""By which a window of time is widened: the city's machines need not agree to the second."""
BEFORE: Final = timedelta(days=7)
"""How long before an event its missing beginning is looked for."""

Window = dict[str, Any]
"""Where it begins and ends, as in `reply.window.requested.v1`."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Question:
    """Something to ask for; the same question has the same name."""

    name: str
    window: Window
    is_silence: bool = False


def questions(standings: Iterable[Standing], gaps: Iterable[Gap], now: float) -> list[Question]:
    """What there is to ask for."""
    found = []
    for city in standings:
        if city.is_silent(now):
            found.append(Question(f"{city.source} silent", {"first_number": city.settled + 1}, is_silence=True))
        else:
            found += [
                Question(f"{city.source} {first}", {"first_number": first, "last_number": last})
                for first, last in city.holes
            ]
    return found + [Question(f"{gap.subject} {gap.sequence}", _window_of(gap)) for gap in gaps]


def _window_of(gap: Gap) -> Window:
    until = _time_of(gap.body)
    since = _time_of(gap.before) if gap.before else until - BEFORE
    return {"since": since - MARGIN, "until": until + MARGIN}


def _time_of(body: bytes) -> datetime:
    # Python 3.10 does not read the Z of the wire.
    return datetime.fromisoformat(str(json.loads(body)["time"]).replace("Z", "+00:00"))


class Watching:
    """Asks each question after a moment's patience, and again after waits that double."""

    def __init__(
        self, store: Store, ask: Callable[[Sequence[Window]], Awaitable[None]], *, agency: str, patience: float
    ) -> None:
        self._store = store
        self._ask = ask
        self._agency = agency
        self._patience = patience
        self._asked: dict[str, tuple[float, float]] = {}
        """Question -> when it may be asked again, and the wait after that."""
        self._look_at = 0.0
        self._alive_at = time.time() + ALIVE
        self._changed = asyncio.Event()

    def look_soon(self) -> None:
        """An account came, or an event that waits for another: what is under way may take a moment."""
        self._look_at = min(self._look_at, time.time() + self._patience)
        self._changed.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._changed.clear()
            if time.time() >= self._look_at:
                await self._look()
            wait = max(self._look_at - time.time(), 0.01)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if wait == inf else wait)

    async def _look(self) -> None:
        """Ask what there is to ask, and settle when to look again: never while nothing is there."""
        now = time.time()
        self._look_at = inf
        try:
            standings = await self._store.settle()
            gaps, some_wait = await self._store.gaps(now - self._patience)
            found = questions(standings, gaps, now)
            fresh = [question for question in found if now >= self._asked.get(question.name, (0.0, 0.0))[0]]
            await self._ask([question.window for question in fresh] + self._signs_of_life(standings, now))
        except Exception as error:
            log.error("store_failed", agency=self._agency, error=type(error).__name__)
            self._look_at = now + ASK_AGAIN
            return
        self._note(found, fresh, now)
        moments = [self._asked[question.name][0] for question in found]
        moments += [city.next_due_at for city in standings if not city.is_silent(now)]
        moments += [now + self._patience] if some_wait else []
        moments += [self._alive_at] if standings else []
        self._look_at = min(self._look_at, min(moments, default=inf))

    def _signs_of_life(self, standings: Sequence[Standing], now: float) -> list[Window]:
        """Ask for what follows the last number, which is nothing: the city learns that we are there."""
        if now < self._alive_at:
            return []
        self._alive_at = now + ALIVE
        return [{"first_number": city.last_number + 1} for city in standings]

    def _note(self, found: Sequence[Question], fresh: Sequence[Question], now: float) -> None:
        for question in fresh:
            wait = min(self._asked.get(question.name, (0.0, ASK_AGAIN))[1], LONGEST)
            self._asked[question.name] = (now + wait, wait * 2)
            say = log.error if question.is_silence else log.warning
            say("heartbeat_missing" if question.is_silence else "window_requested", agency=self._agency)
        open_names = {question.name for question in found}
        self._asked = {name: asked for name, asked in self._asked.items() if name in open_names}
