"""Replies, resend requests, the marks of the relay and the manifest loop run at once without waiting in a circle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from simpul_routing.repository import take_resend_request
from simpul_runtime.database import create_engine
from simpul_runtime.relay import _MARK_PUBLISHED
from simpul_runtime.transaction import Transaction
from simpul_schema import Event
from simpul_schema.messages import ReplyResendRequestedV1
from tests.integration.routing.conftest import Room

ROUNDS = 15


def build_request(agency: str) -> Event:
    return ReplyResendRequestedV1.model_validate(
        {
            "id": uuid4(),
            "source": f"/kediri/agency/{agency}",
            "subject": f"agency/{agency}",
            "time": "2026-11-27T15:00:00Z",
            "sequence": "0000000001",
            "correlationid": uuid4(),
            "data": {"agency": agency, "first_manifest_number": 1},
        }
    )


@asynccontextmanager
async def more_connections(room: Room) -> AsyncIterator[None]:
    """Every task has a connection, so that only row locks make them wait."""
    few, room.engine = room.engine, create_engine(room.url, connections=10)
    try:
        yield
    finally:
        await room.engine.dispose()
        room.engine = few


async def handle(room: Room, transaction: Transaction, events: list[Event]) -> None:
    await room.handlers[type(events[0])](transaction, events)
    # As the inbox does after each group of one type.
    await transaction.flush()


async def receive_batches(room: Room, offers: list[dict[str, Any]], seed: int) -> int:
    """Handles batches as the inbox does: groups of requests and replies of several agencies in one transaction."""
    dice, requests = Random(seed), 0
    agencies = sorted({offer["agency"] for offer in offers})
    for _ in range(ROUNDS):
        async with room.transaction() as transaction:
            await handle(room, transaction, [room.build_reply("seen", offer) for offer in dice.sample(offers, 10)])
            for agency in dice.sample(agencies, 3):
                await handle(room, transaction, [build_request(agency)])
                requests += 1
    return requests


async def mark_published(room: Room, seed: int) -> None:
    """Marks rows as published in any order, as the relay does."""
    dice = Random(seed)
    while True:
        async with room.engine.begin() as connection:
            ids: list[UUID] = list((await connection.execute(text("SELECT message_id FROM outbox"))).scalars())
        chosen = dice.sample(ids, min(len(ids), 200))
        async with room.engine.begin() as connection:
            await connection.execute(_MARK_PUBLISHED, {"ids": chosen})
        await asyncio.sleep(0.005)


async def run_manifest_loop(room: Room, is_over: asyncio.Event) -> None:
    """Ends between two rounds: a cancellation just after a commit would lose what the room counts."""
    while not is_over.is_set():
        await room.manifests.record_seen_agencies()
        await room.manifests.answer_resend_requests()
        await room.manifests.publish_manifests()
        await asyncio.sleep(0.005)


@pytest.mark.timeout(120)
async def test_requests_replies_marks_and_manifests_do_not_deadlock(room: Room) -> None:
    for _ in range(10):
        await room.report(violence=["sexual"], sexual_under_72h="yes")
    await room.manifests.publish_manifests()
    await room.rows("UPDATE outbox SET published_at = $1", room.now - timedelta(minutes=1))
    offers = room.find_offers()

    with capture_logs() as logs:
        async with more_connections(room):
            is_over = asyncio.Event()
            loop = asyncio.create_task(run_manifest_loop(room, is_over))
            background = [loop, asyncio.create_task(mark_published(room, 3))]
            async with asyncio.timeout(60):
                requests = await asyncio.gather(*(receive_batches(room, offers, seed) for seed in (1, 2)))
            is_over.set()
            await asyncio.wait([loop], timeout=30)
            for task in background:
                task.cancel()
            failed = [
                outcome
                for outcome in await asyncio.gather(*background, return_exceptions=True)
                if outcome is not None and not isinstance(outcome, asyncio.CancelledError)
            ]
        await room.manifests.answer_resend_requests()

    answers = [event for event in room.events if event["type"] == "agency.manifest.v1" and event.get("causationid")]
    assert failed == []
    assert [entry["event"] for entry in logs if entry["log_level"] in ("warning", "error")] == []
    assert len(answers) == sum(requests)


async def test_one_request_is_taken_at_a_time_whatever_the_plan(room: Room) -> None:
    await room.receive([build_request("ylpa"), build_request("uptd-ppa"), build_request("ylpa")])
    kinds = ("hashjoin", "hashagg", "mergejoin", "material", "indexscan", "bitmapscan", "sort")
    async with room.transaction() as transaction:
        for kind in kinds:
            await transaction.connection.execute(text(f"SET LOCAL enable_{kind} = off"))
        taken = [await take_resend_request(transaction) for _ in range(4)]

    assert sorted(request.agency for request in taken if request) == ["uptd-ppa", "ylpa", "ylpa"]


async def test_a_request_that_cannot_be_answered_does_not_hold_up_those_of_other_agencies(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.report()
    await room.manifests.publish_manifests()
    answer = room.manifests._answer_request

    async def fail_for_ylpa(transaction: Transaction, request: Any) -> None:
        if request.agency == "ylpa":
            raise RuntimeError
        await answer(transaction, request)

    monkeypatch.setattr(room.manifests, "_answer_request", fail_for_ylpa)

    await room.receive([build_request("ylpa")])
    await room.receive([build_request("uptd-ppa")])
    await room.manifests.answer_resend_requests()
    answered = [e["data"]["agency"] for e in room.events if e["type"] == "agency.manifest.v1" and e.get("causationid")]
    monkeypatch.undo()
    room.now += timedelta(minutes=2)
    await room.manifests.answer_resend_requests()
    later = [e["data"]["agency"] for e in room.events if e["type"] == "agency.manifest.v1" and e.get("causationid")]

    assert answered == ["uptd-ppa"]
    assert later == ["uptd-ppa", "ylpa"]


async def test_the_loop_answers_a_request_at_once_and_publishes_manifests_at_its_interval(room: Room) -> None:
    await room.report()
    room.manifests._interval = timedelta(seconds=3)
    loop = asyncio.create_task(room.manifests.run())
    try:
        await room.receive([build_request("uptd-ppa")])
        async with asyncio.timeout(90):
            while len(room.find_data("agency.manifest.v1")) < 2:  # noqa: ASYNC110 - the room has no event for it
                await asyncio.sleep(0.02)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)

    first = room.find_data("agency.manifest.v1")[0]
    assert first["agency"] == "uptd-ppa"
    assert await room.rows("SELECT 1 FROM resend_request") == []
    assert len({data["agency"] for data in room.find_data("agency.manifest.v1")}) > 1
