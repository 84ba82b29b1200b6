"""What a service has published is published again after a broker lost its messages."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aio_pika
import pytest
from sqlalchemy import update

from simpul_cli.outbox import WrongDatabase, moment_of, resend_published
from simpul_dev.backends import Backends
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.supervision import keep_running
from tests.integration.runtime.test_relay import OUTBOX, a_relay, store
from tests.support.databases import create_migrated
from tests.support.ledger import eventually

NOW = datetime(2026, 11, 26, 8, tzinfo=UTC)


async def test_lost_messages_are_published_again(backends: Backends) -> None:
    name, queue_name = f"resend_{uuid4().hex[:8]}_desk", f"resend.{uuid4().hex[:8]}"
    url = await create_migrated(backends, "desk", name)
    engine = create_engine(url, connections=5)
    stored = [await store(engine, "", queue_name) for _ in range(5)]
    manifest = await store(engine, "", "agency.ylpa.manifest.v1")
    async with engine.begin() as connection:
        await connection.execute(update(OUTBOX).values(published_at=utc_now() - timedelta(minutes=5)))
        old = OUTBOX.c.message_id == stored[0].message_id
        await connection.execute(update(OUTBOX).where(old).values(published_at=utc_now() - timedelta(days=2)))
    since = utc_now() - timedelta(hours=1)

    counted = await resend_published(url, "desk", since, dry_run=True)
    resent = await resend_published(url, "desk", since, dry_run=False)
    with pytest.raises(WrongDatabase, match="is not the database of intake"):
        await resend_published(url, "intake", since, dry_run=False)

    async with await aio_pika.connect(backends.amqp_url) as connected:
        channel = await connected.channel()
        queue = await channel.declare_queue(queue_name, exclusive=True)
        relay = a_relay(engine, backends)
        task = asyncio.create_task(keep_running("relay", relay.run))
        received: list[str] = []

        async def all_arrived() -> bool:
            while message := await queue.get(no_ack=True, fail=False):
                received.append(message.message_id or "")
            return len(received) >= len(stored) - 1

        await eventually(all_arrived)
        task.cancel()
    await engine.dispose()
    assert (counted, resent) == (4, 4)
    assert sorted(received) == sorted(str(message.message_id) for message in stored[1:])
    assert str(manifest.message_id) not in received


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", NOW - timedelta(minutes=90)), ("2h", NOW - timedelta(hours=2)), ("3d", NOW - timedelta(days=3)),
        ("2026-11-26T08:00+07:00", NOW - timedelta(hours=7)),
    ],
)  # fmt: skip
def test_a_moment_is_a_time_ago_or_has_an_offset(text: str, moment: datetime) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "h", "2w", "yesterday", "2026-11-26T08:00"])
def test_what_is_not_a_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        moment_of(text, NOW)
