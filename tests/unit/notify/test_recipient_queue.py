"""Urgent recipients come first, and each is served by one worker at a time."""

import asyncio

from simpul_notify.use_cases.recipient_queue import RecipientQueue


async def drained(queue: RecipientQueue[str], count: int) -> list[str]:
    taken = []
    for _ in range(count):
        taken.append(await asyncio.wait_for(queue.take(), 1))
        queue.finish(taken[-1])
    return taken


async def is_empty(queue: RecipientQueue[str]) -> bool:
    try:
        await asyncio.wait_for(queue.take(), 0.01)
    except TimeoutError:
        return True
    return False


async def test_urgent_recipients_come_first_then_in_order_of_arrival() -> None:
    queue: RecipientQueue[str] = RecipientQueue()
    for responder, is_urgent in (("a", False), ("b", True), ("c", False), ("d", True)):
        queue.put(responder, is_urgent)

    assert await drained(queue, 4) == ["b", "d", "a", "c"]


async def test_a_recipient_is_queued_once_and_moves_up_when_urgent() -> None:
    queue: RecipientQueue[str] = RecipientQueue()
    for responder, is_urgent in (("a", False), ("b", False), ("b", True), ("b", False), ("a", False)):
        queue.put(responder, is_urgent)

    assert await drained(queue, 2) == ["b", "a"]
    assert await is_empty(queue)


async def test_what_is_due_for_a_recipient_being_served_waits_for_the_end() -> None:
    queue: RecipientQueue[str] = RecipientQueue()
    queue.put("a", False)
    queue.put("b", False)
    served = await queue.take()
    queue.put("a", False)
    queue.put("a", True)

    first = await drained(queue, 1)
    empty = await is_empty(queue)
    queue.finish(served)

    assert (served, first, empty) == ("a", ["b"], True)
    assert await drained(queue, 1) == ["a"]
    assert await is_empty(queue)


async def test_a_waiting_worker_gets_the_next_recipient() -> None:
    queue: RecipientQueue[str] = RecipientQueue()
    waiting = [asyncio.create_task(queue.take()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.put("a", False)
    queue.put("b", False)

    assert sorted(await asyncio.gather(*waiting)) == ["a", "b"]
