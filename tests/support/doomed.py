"""Runs a service that kills itself (SIGKILL) when it reaches a dangerous point for the n-th time.

    python -m tests.support.doomed routing after_confirm 3

The points are patched in here, so that the product contains no switch for it.
"""

import os
import runpy
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from simpul_runtime.inbox import Inbox
from simpul_runtime.relay import OutboxRelay
from simpul_runtime.transaction import Transaction

POINTS = ("before_publish", "after_confirm", "before_commit", "before_ack")


def _die_at(count: int) -> Callable[[], None]:
    left = count

    def die() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def _around(function: Callable[..., Awaitable[Any]], die: Callable[[], None], *, after: bool) -> Any:
    async def patched(*arguments: Any, **named: Any) -> Any:
        if not after:
            die()
        result = await function(*arguments, **named)
        if after:
            die()
        return result

    return patched


def arm(point: str, count: int) -> None:
    """Patches the point."""
    die = _die_at(count)
    match point:
        case "before_publish":  # committed, nothing sent
            OutboxRelay._publish = _around(OutboxRelay._publish, die, after=False)  # type: ignore[method-assign]
        case "after_confirm":  # the broker has it, the table says it has not
            OutboxRelay._publish_message = _around(OutboxRelay._publish_message, die, after=True)  # type: ignore[method-assign]
        case "before_commit":  # everything written, nothing committed
            Transaction.flush = _around(Transaction.flush, die, after=True)  # type: ignore[method-assign]
        case "before_ack":  # committed, the broker will deliver again
            Inbox.receive = _around(Inbox.receive, die, after=True)  # type: ignore[method-assign]
        case _:
            sys.exit(f"no point {point}; choose one of {POINTS}")


if __name__ == "__main__":
    service, where, times = sys.argv[1:]
    # A service reads its own command line.
    del sys.argv[1:]
    arm(where, int(times))
    runpy.run_module(f"simpul_{service}", run_name="__main__")
