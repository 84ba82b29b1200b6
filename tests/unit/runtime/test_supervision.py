"""Endless loops that end are started again; a cancellation that is meant ends them."""

import asyncio

import pytest

from simpul_runtime import supervision
from simpul_runtime.supervision import keep_running


@pytest.mark.parametrize("end", [asyncio.CancelledError(), RuntimeError("a fault"), None])
async def test_a_loop_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch, end: BaseException | None) -> None:
    monkeypatch.setattr(supervision, "RESTART_AFTER", 0)
    runs = 0
    ran_again = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1 and end is not None:
            # As aiormq cancels whoever waits for a link that dies: nobody asked this task to end.
            raise end
        if runs > 1:
            ran_again.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(keep_running("test", work))
    async with asyncio.timeout(5):
        await ran_again.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert runs == 2
