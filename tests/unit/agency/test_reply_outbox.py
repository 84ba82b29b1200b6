"""A broker that reads nothing gets each reply once, and again only on another channel."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiormq.abc import ChannelFrame
from pamqp.commands import Basic, Channel
from pamqp.frame import unmarshal
from structlog.testing import capture_logs

from simpul_agency import reply_outbox
from simpul_agency.records import OutgoingReply, SignedBody
from simpul_agency.reply_outbox import ReplyOutbox
from tests.support.ledger import eventually


class WrittenChannel:
    """What the publisher uses of aiormq's channel; the broker confirms everything or nothing."""

    number, max_content_size, is_closed = 1, 1000, False

    def __init__(self, *, confirms: bool) -> None:
        self.delivery_tag = 0
        self.confirmations: dict[int, asyncio.Future[object]] = {}
        self.message_id_delivery_tag: dict[str, int] = {}
        self.closing = asyncio.get_running_loop().create_future()
        self.write_queue = self
        self.methods: list[type] = []
        self._confirms = confirms

    async def put(self, written: ChannelFrame) -> None:
        rest = written.payload
        while rest:
            size, _, frame = unmarshal(rest)
            rest = rest[size:]
            self.methods += [type(frame)] if isinstance(frame, Basic.Publish | Channel.Close) else []
        for confirmed in self.confirmations.values():
            if self._confirms and not confirmed.done():
                confirmed.set_result(None)


class Stored:
    """A store with replies that are not published."""

    def __init__(self, *replies: OutgoingReply) -> None:
        self.replies = replies
        self.published: list[OutgoingReply] = []

    async def find_unpublished(self, _: int) -> list[OutgoingReply]:
        return [one for one in self.replies if one not in self.published]

    async def mark_published(self, replies: Sequence[OutgoingReply], _: float) -> None:
        self.published += replies


class Connected:
    """A broker whose channel can be replaced."""

    def __init__(self) -> None:
        self.channel = WrittenChannel(confirms=False)
        self.config = SimpleNamespace(channel_manager=self)

    async def get_channel(self) -> "Connected":
        return self

    async def get_underlay_channel(self) -> WrittenChannel:
        return self.channel


def sign_again(body: bytes) -> SignedBody:
    return SignedBody(body, "signature")


async def test_replies_that_nobody_confirms_are_written_once_on_a_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("CONFIRM_TIMEOUT", 1.0), ("FIRST_RETRY_DELAY", 0.01), ("MAX_RETRY_DELAY", 0.01)):
        monkeypatch.setattr(reply_outbox, name, seconds)
    replies = [
        OutgoingReply(str(uuid4()), "reply.referral.seen.v1", str(uuid4()), b"{}", "signature") for _ in range(3)
    ]
    stored: Any = Stored(*replies)
    broker: Any = Connected()
    outbox = ReplyOutbox(stored, broker, agency="ylpa", user="ylpa", sign_again=sign_again)

    async def are_published() -> bool:
        return len(stored.published) == len(replies)

    with capture_logs() as logged:

        async def has_failed_often() -> bool:
            return len([one for one in logged if one["event"] == "publish_failed"]) > 4

        running = asyncio.create_task(outbox.run())
        await eventually(has_failed_often)
        silent, broker.channel = broker.channel, WrittenChannel(confirms=True)
        await eventually(are_published)
        running.cancel()

    assert silent.methods == [Basic.Publish, Basic.Publish, Basic.Publish, Channel.Close]
    assert broker.channel.methods == [Basic.Publish, Basic.Publish, Basic.Publish]
