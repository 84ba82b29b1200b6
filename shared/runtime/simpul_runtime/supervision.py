"""Keeps the endless loops of a service running, whatever one round of them raises."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

RESTART_AFTER: Final = 1.0
"""Seconds until a loop that ended is started again."""

log = structlog.get_logger()


def is_cancelled() -> bool:
    """Whether the running task was told to end.

    aiormq cancels those who wait for a link when it dies: a CancelledError that nobody sent to this task.
    """
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def keep_running(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run endless work until cancelled; start it again when it fails or ends."""
    while True:
        try:
            await work()
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            log.warning("background_task_interrupted", task=name)
        except Exception as error:
            log.error("background_task_failed", task=name, exc_info=error)
        await asyncio.sleep(RESTART_AFTER)
