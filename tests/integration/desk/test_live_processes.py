"""Two processes of the desk on one database: a change in one reaches the pages that are open in the other."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from simpul_desk.live import Listener, LiveChannels
from simpul_runtime.database import create_engine
from simpul_runtime.signals import DatabaseSignals

CHANGED = b"event: changed\ndata: 1\n\n"


@asynccontextmanager
async def a_process(database_url: str) -> AsyncIterator[LiveChannels]:
    """The open pages of one process, and its connection to the others."""
    live, engine = LiveChannels(), create_engine(database_url, connections=2)
    signals = DatabaseSignals(engine, "desk_live", live.receive)
    live.forward = signals.send
    task = asyncio.create_task(signals.run())
    try:
        yield live
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.dispose()


async def _may_listen() -> bool:
    return True


async def test_a_change_in_one_process_reaches_the_pages_of_both(desk_database: str) -> None:
    async with a_process(desk_database) as first, a_process(desk_database) as second:
        pages = [live.listen("rs-rujukan", Listener(uuid4(), "Wiji", _may_listen)) for live in (first, second)]
        other = second.listen("ylpa", Listener(uuid4(), "Sari", _may_listen))
        for page in (*pages, other):
            assert b"opened" in await anext(page)
        # A new connection may have missed something, so each page reads once more.
        for page in (*pages, other):
            seen = b""
            while CHANGED not in seen:
                seen += await asyncio.wait_for(anext(page), 30)

        took = []
        for _ in range(3):
            began = time.monotonic()
            first.announce("rs-rujukan")
            assert await asyncio.wait_for(anext(pages[1]), 30) == CHANGED
            took.append(time.monotonic() - began)
            assert await asyncio.wait_for(anext(pages[0]), 30) == CHANGED

        # The best of several: other tests may hold both processors for seconds.
        assert min(took) < 2
        waiting = asyncio.ensure_future(anext(other))
        assert not (await asyncio.wait([waiting], timeout=0.5))[0]
        waiting.cancel()
