"""Background loops that end are restarted; only their own cancellation ends them."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from simpul_runtime import supervision
from simpul_runtime.supervision import keep_running, repeat


@pytest.mark.parametrize("end", [asyncio.CancelledError(), RuntimeError("a fault"), None])
async def test_a_loop_that_ends_is_started_again(monkeypatch: pytest.MonkeyPatch, end: BaseException | None) -> None:
    monkeypatch.setattr(supervision, "RESTART_DELAY", 0)
    runs = 0
    ran_again = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1 and end is not None:
            # As aiormq raises it in tasks that wait for a lost connection; nobody cancelled this task.
            raise end
        if runs > 1:
            ran_again.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(keep_running("test", work))
    async with asyncio.timeout(90):
        await ran_again.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert runs == 2


async def test_work_is_repeated_at_once_after_a_full_batch_and_else_after_the_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int | Exception] = [10, 10, 3, RuntimeError("the database is away"), 10, 0]
    slept: list[float] = []

    async def work() -> int:
        if not found:
            raise asyncio.CancelledError
        result = found.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    async def sleep(seconds: float) -> None:
        slept.append(len(found) + seconds / 100)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with capture_logs() as logged, pytest.raises(asyncio.CancelledError):
        await repeat(work, timedelta(seconds=2), "sweep_failed", batch_size=10)

    # After the third, the failed and the last attempt; the number shows how many were left.
    assert slept == [3.02, 2.02, 0.02]
    assert [(line["event"], line["log_level"]) for line in logged] == [("sweep_failed", "warning")]


async def test_work_without_batches_always_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    async def work() -> int:
        nonlocal attempts
        attempts += 1
        return 1000

    async def sleep(seconds: float) -> None:
        if attempts == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await repeat(work, timedelta(seconds=2), "sweep_failed")

    assert attempts == 3
