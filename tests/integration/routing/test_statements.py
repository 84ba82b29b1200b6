"""A batch takes as many statements as one message, so that the database is not what limits a city."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from simpul_schema import Event
from tests.integration.routing.conftest import Room

HOME = {"violence": ["physical"], "safe_now": "no", "injured": "yes", "perpetrator_lives_with_child": "yes"}


@contextmanager
def counted(room: Room) -> Iterator[list[str]]:
    """Collects the statements that are executed meanwhile."""
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(" ".join(statement.split()))

    engine = room.engine.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", count)


async def statements_of(room: Room, work: Awaitable[object]) -> int:
    with counted(room) as statements:
        await work
    return len(statements)


async def replies(room: Room, kind: str, cases: int, **more: Any) -> list[Event]:
    found = [await room.report(**HOME) for _ in range(cases)]
    built = []
    for case in found:
        offer = room.find_offer(case, "shelter")
        if kind in ("started", "completed"):
            await room.reply("accepted", offer)
        built.append(room.build_reply(kind, offer, **more))
    return built


@pytest.mark.parametrize(
    ("kind", "more", "limit"),
    [
        ("delivered", {}, 5), ("accepted", {}, 8), ("started", {}, 11), ("completed", {"outcome": "served"}, 11),
        ("declined", {"reason": "no_capacity"}, 13),
    ],
)  # fmt: skip
async def test_replies_that_arrive_together_take_the_statements_of_one(
    room: Room, kind: str, more: dict[str, Any], limit: int
) -> None:
    one, ten = await replies(room, kind, 1, **more), await replies(room, kind, 10, **more)

    taken = [await statements_of(room, room.receive(batch)) for batch in (one, ten)]

    assert taken[1] <= taken[0] <= limit


async def test_a_report_an_amendment_and_a_sweep_take_few_statements(room: Room) -> None:
    case = await room.report(**HOME)
    amended = await statements_of(room, room.amend(case, pregnant="yes"))
    reported = await statements_of(room, room.report(**HOME))
    room.now += timedelta(minutes=10)
    async with room.transaction() as transaction:
        swept = await statements_of(room, room.clocks.sweep_clocks(transaction, room.now))

    assert [reported <= 7, amended <= 15, swept <= 7] == [True] * 3, (reported, amended, swept)
