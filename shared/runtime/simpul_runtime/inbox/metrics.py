"""Measures the inbox messages that are not done."""

from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_runtime.inbox.storage import InboxState, count_unfinished
from simpul_runtime.metrics import INBOX_UNFINISHED

MAX_PREDECESSOR_DELAY: Final = 60.0
"""Seconds an event may wait for its predecessor before a warning is logged."""

log = structlog.get_logger()


async def update_metrics(engine: AsyncEngine) -> None:
    """Updates the gauges, and warns of events that wait for their predecessor too long."""
    async with engine.connect() as connection:
        unfinished = await count_unfinished(connection)
    for state in (InboxState.WAITING_FOR_PREDECESSOR, InboxState.RETRYING):
        count, age = unfinished.get(state, (0, 0.0))
        INBOX_UNFINISHED.labels(state.value).set(count)
        if state is InboxState.WAITING_FOR_PREDECESSOR and age > MAX_PREDECESSOR_DELAY:
            log.warning("message_waits_for_predecessor", count=count, seconds=int(age))
