"""A service starts, works and stops as without traces when their settings are wrong or the collector is dead."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest

from tests.faults.conftest import BreakableCity, breakable_city
from tests.support.ledger import eventually
from tests.support.reports import a_report

pytestmark = pytest.mark.timeout(300)
REPORTS = 5


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreakableCity]:
    """Intake alone."""
    with breakable_city(tmp_path_factory.mktemp("traced"), "intake") as found:
        yield found


@contextmanager
def with_settings(city: BreakableCity, **settings: str) -> Iterator[None]:
    """Runs intake with these variables; it gets SIGTERM at the end."""
    city.kill("intake")
    city.log("intake").unlink()
    city.environment |= settings
    try:
        city.restart("intake")
        yield
    finally:
        for name in settings:
            city.environment.pop(name)


def events(city: BreakableCity, *names: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in city.log("intake").read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] in names]


async def longest_answer(city: BreakableCity) -> float:
    """Posts reports one after another; returns the longest time until one was taken, in seconds."""
    longest = 0.0
    async with aiohttp.ClientSession() as session:
        for _ in range(REPORTS):
            begun = time.monotonic()
            async with session.post(f"{city.url('intake')}/reports", json=a_report()) as answer:
                assert answer.status == 202
            longest = max(longest, time.monotonic() - begun)
    return longest


def stop_time(city: BreakableCity) -> float:
    """Stops intake as a deployment does; returns the seconds until it ended."""
    process, begun = city.processes["intake"], time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    return time.monotonic() - begun


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]
)
async def test_a_service_with_a_wrong_setting_runs_untraced_and_names_it_once(
    city: BreakableCity, name: str, value: str
) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    # The second is loaded by a library before anything of ours is.
    with with_settings(city, **endpoint | {"OTEL_PROPAGATORS": "wrong", name: value}):
        await longest_answer(city)

    [refused] = events(city, "traces_refused")
    assert (refused["level"], refused["reason"]) == ("error", name)
    assert events(city, "traces_not_exported", "library_logged") == []


@pytest.mark.parametrize("is_listening", [True, False], ids=["silent", "refusing"])
async def test_a_dead_collector_delays_no_report_and_no_stop(city: BreakableCity, is_listening: bool) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if is_listening:
            # It accepts the connection and never answers.
            silent.listen()
        collector = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with with_settings(city, OTEL_EXPORTER_OTLP_ENDPOINT=collector, OTEL_BSP_SCHEDULE_DELAY="200"):
            longest = await longest_answer(city)

            async def is_logged() -> bool:
                return bool(events(city, "traces_not_exported"))

            await eventually(is_logged, within=30)
            await longest_answer(city)
            stopped = stop_time(city)

    assert longest < 2
    assert stopped < 8
    assert len(events(city, "traces_not_exported")) == 1
    assert events(city, "library_logged") == []
