"""Acknowledges deliveries once they are stored: many with one frame, and never one that is not stored."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import structlog
from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError

from simpul_runtime.supervision import is_cancelled

SEND_WITHIN: Final = 5.0
"""Seconds; a link that takes nothing for so long is dead."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one delivery is acknowledged by: its tag counts from 1 in its channel."""

    channel: AbstractChannel
    tag: int


@dataclass(slots=True)
class _Progress:
    """How far one channel's deliveries are stored."""

    stored_up_to: int = 0
    stored_beyond: set[int] = field(default_factory=set)

    def add(self, tags: Iterable[int]) -> tuple[int, list[int]]:
        """Note what is stored now; returns the tag up to which everything is (0 for none), and what lies beyond.

        That tag is always one of `tags`: the broker closes a channel that acknowledges up to a tag it has settled.
        """
        new = set(tags)
        self.stored_beyond |= new
        while self.stored_up_to + 1 in self.stored_beyond:
            self.stored_up_to += 1
            self.stored_beyond.discard(self.stored_up_to)
        up_to = max((tag for tag in new if tag <= self.stored_up_to), default=0)
        return up_to, sorted(new & self.stored_beyond)


class Acknowledgements:
    """Of all channels on which deliveries arrive."""

    def __init__(self) -> None:
        self._channels: WeakKeyDictionary[Any, _Progress] = WeakKeyDictionary()

    async def acknowledge(self, receipts: Iterable[Receipt]) -> None:
        """Tell the broker that these are stored.

        Deliveries of a channel that is gone cannot be acknowledged: the broker delivers them again, and the inbox
        knows them.
        """
        tags: dict[AbstractChannel, list[int]] = {}
        for receipt in receipts:
            tags.setdefault(receipt.channel, []).append(receipt.tag)
        for channel, stored in tags.items():
            up_to, beyond = self._channels.setdefault(channel, _Progress()).add(stored)
            frames = [(up_to, True)] if up_to else []
            await _send(channel, [*frames, *((tag, False) for tag in beyond)])

    async def reject(self, receipt: Receipt) -> None:
        """Have the broker put a delivery that could not even be parked into the dead-letter queue."""
        try:
            async with asyncio.timeout(SEND_WITHIN):
                await receipt.channel.basic_reject(receipt.tag, requeue=False)
        except (AMQPError, OSError, RuntimeError, TimeoutError) as error:
            log.warning("rejection_failed", exc_info=error)
        self._channels.setdefault(receipt.channel, _Progress()).add([receipt.tag])


async def _send(channel: AbstractChannel, frames: Iterable[tuple[int, bool]]) -> None:
    try:
        async with asyncio.timeout(SEND_WITHIN):
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
