"""Exactly the stored deliveries are acknowledged."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simpul_runtime.acknowledging import Acknowledgements, Receipt


class Broker:
    """A channel that settles deliveries like RabbitMQ, and refuses to acknowledge an unknown tag."""

    is_closed = False

    def __init__(self, delivered: int) -> None:
        self.held = set(range(1, delivered + 1))
        self.frames = 0

    async def basic_ack(self, tag: int, *, multiple: bool) -> None:
        assert tag in self.held, "PRECONDITION_FAILED: unknown delivery tag"
        self.frames += 1
        self.held -= {held for held in self.held if held <= tag} if multiple else {tag}

    async def basic_reject(self, tag: int, *, requeue: bool) -> None:
        assert not requeue
        self.held.remove(tag)


async def acknowledge(broker: Any, *batches: list[int]) -> None:
    acknowledgements = Acknowledgements()
    for batch in batches:
        await acknowledgements.acknowledge(Receipt(broker, tag) for tag in batch)


async def test_a_batch_in_order_takes_one_frame() -> None:
    broker = Broker(5)

    await acknowledge(broker, [1, 2, 3], [4, 5])

    assert (broker.held, broker.frames) == (set(), 2)


async def test_a_delivery_that_is_not_stored_is_not_acknowledged_with_later_ones() -> None:
    broker = Broker(5)

    await acknowledge(broker, [1, 3, 4, 5])

    assert broker.held == {2}


async def test_a_rejected_delivery_does_not_hold_up_the_others() -> None:
    broker: Any = Broker(4)
    acknowledgements = Acknowledgements()

    await acknowledgements.acknowledge([Receipt(broker, 1)])
    await acknowledgements.reject(Receipt(broker, 2))
    await acknowledgements.acknowledge([Receipt(broker, 3), Receipt(broker, 4)])

    assert (broker.held, broker.frames) == (set(), 2)


@settings(deadline=None)
@given(st.permutations(list(range(1, 13))), st.lists(st.integers(1, 12), max_size=4), st.sets(st.integers(1, 12)))
async def test_in_any_order_exactly_what_is_stored_is_acknowledged(
    order: list[int], cuts: list[int], lost: set[int]
) -> None:
    broker = Broker(12)
    stored = [tag for tag in order if tag not in lost]
    bounds = [0, *sorted(cuts), len(stored)]

    await acknowledge(broker, *(stored[start:end] for start, end in pairwise(bounds)))

    assert broker.held == lost


async def test_a_closed_channel_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker(2)
    broker.is_closed = True

    await acknowledge(broker, [1, 2])

    assert broker.held == {1, 2}
