"""Acknowledges stored deliveries, many with one frame, and never one that is not stored."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError

from simpul_runtime.supervision import is_cancelled

SEND_TIMEOUT: Final = 5.0
"""Seconds after which a connection that accepts nothing counts as lost."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Receipt:
    """The channel and delivery tag of a delivery; tags count from 1 in each channel."""

    channel: AbstractChannel
    tag: int


@dataclass(slots=True)
class _Progress:
    """The stored deliveries of one channel."""

    stored_up_to: int = 0
    stored_beyond: set[int] = field(default_factory=set)

    def add_tags(self, tags: Iterable[int]) -> tuple[int, list[int]]:
        """Adds stored deliveries; returns the tag up to which all are stored (0 for none), and the tags beyond it.

        The first is always one of `tags`, because the broker closes a channel that acknowledges a settled tag again.
        """
        new = set(tags)
        self.stored_beyond |= new
        while self.stored_up_to + 1 in self.stored_beyond:
            self.stored_up_to += 1
            self.stored_beyond.discard(self.stored_up_to)
        up_to = max((tag for tag in new if tag <= self.stored_up_to), default=0)
        return up_to, sorted(new & self.stored_beyond)


class Acknowledgements:
    """Acknowledges the deliveries of all channels."""

    def __init__(self) -> None:
        self._channels: WeakKeyDictionary[Any, _Progress] = WeakKeyDictionary()

    async def acknowledge(self, receipts: Iterable[Receipt]) -> None:
        """Acknowledges stored deliveries.

        Deliveries of a closed channel cannot be acknowledged; the broker delivers them again and the inbox ignores
        them.
        """
        tags: dict[AbstractChannel, list[int]] = {}
        for receipt in receipts:
            tags.setdefault(receipt.channel, []).append(receipt.tag)
        for channel, stored in tags.items():
            up_to, beyond = self._channels.setdefault(channel, _Progress()).add_tags(stored)
            frames = [(up_to, True)] if up_to else []
            await _send_acknowledgements(channel, [*frames, *((tag, False) for tag in beyond)])

    async def reject(self, receipt: Receipt) -> None:
        """Rejects a delivery that could not even be parked; the broker moves it to the dead-letter queue."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await receipt.channel.basic_reject(receipt.tag, requeue=False)
        except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
            log.warning("rejection_failed", exc_info=error)
        self._channels.setdefault(receipt.channel, _Progress()).add_tags([receipt.tag])


async def _send_acknowledgements(channel: AbstractChannel, frames: Iterable[tuple[int, bool]]) -> None:
    try:
        async with asyncio.timeout(SEND_TIMEOUT):
            for tag, multiple in frames:
                if channel.is_closed:
                    return
                await channel.basic_ack(tag, multiple=multiple)
    except asyncio.CancelledError:
        if is_cancelled():
            raise
        log.warning("acknowledgement_failed")
    except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
        log.warning("acknowledgement_failed", exc_info=error)
