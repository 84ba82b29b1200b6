"""Group commit."""

import asyncio
from collections.abc import Sequence

import pytest

from simpul_runtime import batching
from simpul_runtime.batching import Batcher


async def test_items_that_arrive_during_a_batch_form_the_next() -> None:
    batches: list[list[int]] = []

    async def process(items: Sequence[int]) -> list[int | Exception]:
        batches.append(list(items))
        await asyncio.sleep(0.02)
        return [item * 10 for item in items]

    batcher: Batcher[int, int] = Batcher("test", process)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(batcher.run())
        first = tasks.create_task(batcher.submit(1))
        await asyncio.sleep(0.005)
        rest = [tasks.create_task(batcher.submit(number)) for number in (2, 3, 4)]
        await asyncio.gather(first, *rest)
        running.cancel()

    assert batches == [[1], [2, 3, 4]]
    assert [first.result(), *(task.result() for task in rest)] == [10, 20, 30, 40]


async def test_a_refusal_concerns_its_item_alone() -> None:
    async def process(items: Sequence[int]) -> list[int | Exception]:
        return [ValueError() if item == 2 else item for item in items]

    batcher: Batcher[int, int] = Batcher("test", process)
    running = asyncio.create_task(batcher.run())

    outcomes = await asyncio.gather(*map(batcher.submit, (1, 2, 3)), return_exceptions=True)
    running.cancel()

    assert [type(outcome) for outcome in outcomes] == [int, ValueError, int]


async def test_a_failing_batch_is_retried_and_its_callers_get_their_results() -> None:
    failures = iter([OSError(), OSError()])

    async def process(items: Sequence[int]) -> list[int | Exception]:
        for failure in failures:
            raise failure
        return list(items)

    batcher: Batcher[int, int] = Batcher("test", process)
    running = asyncio.create_task(batcher.run())

    assert await batcher.submit(7) == 7
    running.cancel()


async def test_with_limited_attempts_the_callers_get_the_error() -> None:
    async def process(items: Sequence[int]) -> list[int | Exception]:
        msg = "away"
        raise OSError(msg)

    batcher: Batcher[int, int] = Batcher("test", process, attempts=2)
    running = asyncio.create_task(batcher.run())

    with pytest.raises(OSError, match="away"):
        await batcher.submit(7)
    running.cancel()


async def test_under_load_the_next_batch_waits_to_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    # Long enough for a machine that is busy elsewhere.
    monkeypatch.setattr(batching, "LINGER", 0.3)
    sizes: list[int] = []

    async def process(items: Sequence[int]) -> list[int | Exception]:
        sizes.append(len(items))
        return list(items)

    batcher: Batcher[int, int] = Batcher("test", process)
    running = asyncio.create_task(batcher.run())
    await asyncio.gather(*map(batcher.submit, range(10)))
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.001)
    second = asyncio.create_task(batcher.submit(2))
    await asyncio.gather(first, second)
    running.cancel()

    assert sizes == [10, 2]


async def test_a_data_error_of_one_item_refuses_it_alone() -> None:
    done: list[int] = []

    async def process(items: Sequence[int]) -> list[int | Exception]:
        if 2 in items:
            msg = "year 1 is out of range"
            raise OverflowError(msg)
        done.extend(items)
        return list(items)

    batcher: Batcher[int, int] = Batcher("test", process, attempts=4)
    running = asyncio.create_task(batcher.run())

    outcomes = await asyncio.gather(*map(batcher.submit, (1, 2, 3)), return_exceptions=True)
    running.cancel()

    assert [type(outcome) for outcome in outcomes] == [int, OverflowError, int]
    assert done == [1, 3]


async def test_an_item_that_always_fails_like_an_outage_delays_no_others() -> None:
    async def process(items: Sequence[int]) -> list[int | Exception]:
        if 2 in items:
            msg = "looks like an outage"
            raise OSError(msg)
        return list(items)

    batcher: Batcher[int, int] = Batcher("test", process)
    running = asyncio.create_task(batcher.run())
    poison = asyncio.create_task(batcher.submit(2))

    async with asyncio.timeout(90):
        together = await asyncio.gather(*map(batcher.submit, (1, 3)))
        later = await batcher.submit(4)
    running.cancel()

    assert (together, later) == ([1, 3], 4)
    assert not poison.done()
    poison.cancel()


async def test_it_measures_how_long_items_wait_without_a_batch_being_finished() -> None:
    may_finish = asyncio.Event()

    async def process(items: Sequence[int]) -> list[int | Exception]:
        await may_finish.wait()
        return list(items)

    batcher: Batcher[int, int] = Batcher("test", process)
    running = asyncio.create_task(batcher.run())
    assert batcher.stuck_seconds == 0
    waiting = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0.05)
    assert batcher.stuck_seconds > 0

    may_finish.set()
    await waiting
    await asyncio.sleep(0)

    assert batcher.stuck_seconds == 0
    running.cancel()


async def test_a_new_item_does_not_wait_because_earlier_ones_failed() -> None:
    is_away = True

    async def process(items: Sequence[int]) -> list[int | Exception]:
        if is_away:
            raise ConnectionError
        return list(items)

    batcher: Batcher[int, int] = Batcher("test", process, attempts=6)
    running = asyncio.create_task(batcher.run())
    with pytest.raises(ConnectionError):
        await batcher.submit(1)
    is_away = False

    async with asyncio.timeout(0.5):
        assert await batcher.submit(2) == 2
    running.cancel()
