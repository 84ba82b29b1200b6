"""Runs a service that kills itself (SIGKILL) the n-th time it reaches a dangerous point.

    python -m tests.support.doomed routing after_confirm 3

The points are patched in here, so that the product has no switch for dying.
"""

import importlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from simpul_runtime.inbox import Inbox
from simpul_runtime.relay import Relay
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
    """Patch the point."""
    die = _die_at(count)
    match point:
        case "before_publish":  # committed, nothing sent
            Relay._publish = _around(Relay._publish, die, after=False)  # type: ignore[method-assign]
        case "after_confirm":  # the broker has it, the table says it has not
            Relay._publish_row = _around(Relay._publish_row, die, after=True)  # type: ignore[method-assign]
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
    importlib.import_module(f"simpul_{service}.app").main()
