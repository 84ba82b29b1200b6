"""The background loops of a service: repeated, and started again when they fail or end."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

RESTART_DELAY: Final = 1.0
"""Seconds until a loop that failed or ended is started again."""

log = structlog.get_logger()


def is_cancelled() -> bool:
    """Whether the current task was cancelled.

    aiormq raises CancelledError in tasks that wait for a connection when the connection is lost; nobody cancelled them.
    """
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def keep_running(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Runs a loop until cancelled; starts it again when it fails or ends."""
    while True:
        try:
            await work()
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            log.warning("background_task_interrupted", task=name)
        except Exception as error:
            log.error("background_task_failed", task=name, exc_info=error)
        await asyncio.sleep(RESTART_DELAY)


async def repeat(
    work: Callable[[], Awaitable[object]], interval: timedelta, failure: str, *, batch_size: int | None = None
) -> None:
    """Repeats a piece of work until cancelled, and waits for the interval in between.

    Work in batches returns how much it found, and does not wait after a full one. What fails is logged as `failure`
    and tried again after the interval.
    """
    while True:
        found: object = None
        try:
            found = await work()
        except Exception as error:
            log.warning(failure, exc_info=error)
        if batch_size is None or not isinstance(found, int) or found < batch_size:
            await asyncio.sleep(interval.total_seconds())
