"""Open pages learn of changes, and of the people who have the same page open."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from simpul_desk.live import Listener, LiveChannels

WAIT = 1.0


def person(name: str, account_id: UUID | None = None, allowed: list[bool] | None = None) -> Listener:
    """Returns a person who may listen while `allowed` is not emptied."""

    async def may_listen() -> bool:
        return allowed is None or bool(allowed)

    return Listener(account_id or uuid4(), name, may_listen)


async def next_of(events: AsyncIterator[bytes]) -> bytes:
    return await asyncio.wait_for(anext(events), WAIT)


async def test_a_change_reaches_every_page_of_its_channel_and_no_other() -> None:
    live = LiveChannels()
    first, second, other = (
        live.listen("ylpa", person("A")),
        live.listen("ylpa", person("B")),
        live.listen("rs-rujukan", person("C")),
    )
    for events in (first, second, other):
        assert await next_of(events) == b"event: opened\ndata: 1\n\n"
    for events in (first, second, other):
        assert b"here" in await next_of(events)
    live.announce("ylpa")

    assert [await next_of(events) for events in (first, second)] == [b"event: changed\ndata: 1\n\n"] * 2
    assert live.list_people("ylpa") == ["A", "B"]
    assert live.list_people("rs-rujukan") == ["C"]


async def test_whoever_closes_the_page_is_gone() -> None:
    live = LiveChannels()
    staying, leaving = live.listen("ylpa", person("A")), live.listen("ylpa", person("B"))
    for events in (staying, leaving, staying):
        await next_of(events)
    await leaving.aclose()  # type: ignore[attr-defined]  # it is a generator

    assert b"here" in await next_of(staying)
    assert live.list_people("ylpa") == ["A"]


async def test_a_burst_is_one_event_and_its_last_change_is_never_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpul_desk.live.PAUSE", 0.05)
    live = LiveChannels()
    events = live.listen("ylpa", person("A"))
    for _ in range(2):
        await next_of(events)
    for _ in range(1_000):
        live.announce("ylpa")

    assert await next_of(events) == b"event: changed\ndata: 1\n\n"
    live.announce("ylpa")
    assert await next_of(events) == b"event: changed\ndata: 1\n\n"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(events), 0.2)


async def test_closing_ends_every_connection() -> None:
    live = LiveChannels()
    events = live.listen("ylpa", person("A"))
    await next_of(events)
    live.close()

    assert [event async for event in events] == []


async def test_the_pages_of_a_person_who_signed_out_end_and_no_others() -> None:
    live, account_id, allowed = LiveChannels(), uuid4(), [True]
    theirs, other = live.listen("ylpa", person("A", account_id, allowed)), live.listen("ylpa", person("B"))
    for events in (theirs, other, theirs, other):
        await next_of(events)
    allowed.clear()

    live.recheck(account_id)

    assert [event async for event in theirs] == [b"event: changed\ndata: 1\n\n"]
    assert live.list_people("ylpa") == ["B"]
    assert b"here" in await next_of(other)


async def test_whoever_may_not_listen_any_more_learns_nothing_of_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simpul_desk.live.KEEPALIVE", 0.01)
    live, allowed = LiveChannels(), [True]
    events = live.listen("ylpa", person("A", None, allowed))
    for _ in range(2):
        await next_of(events)
    allowed.clear()

    # The session ended in another process: nobody announces it.
    assert [event async for event in events] == [b"event: changed\ndata: 1\n\n"]
