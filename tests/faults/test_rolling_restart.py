"""Each process of each service restarts by turns under load: no report is refused, lost, parked or doubled.

ROLLING_RESTARTS=30 .venv/bin/pytest tests/faults/test_rolling_restart.py -n0
"""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from simpul_dev.backends import Backends
from simpul_schema.catalog import SERVICES
from tests.conftest import KEDIRI, broker_of_its_own
from tests.support.ledger import assert_exactly_once, rows, settle
from tests.support.replicas import Gateway, ReplicatedCity
from tests.support.reports import a_report

RESTARTS = int(os.environ.get("ROLLING_RESTARTS", 2 * len(SERVICES)))
INTERVAL = 0.4
"""Seconds between two reports."""

pytestmark = pytest.mark.timeout(900 + 60 * RESTARTS)


@pytest.fixture
def replicated(backends: Backends, tmp_path: Path) -> Iterator[ReplicatedCity]:
    with broker_of_its_own(backends) as own:
        city = ReplicatedCity(
            tmp_path / "city",
            own,
            KEDIRI,
            accept_after=None,
            database_prefix=f"rolling_{uuid4().hex[:6]}_",
            environment={"SIMPUL_BUNDLE_PERIOD": "0"},
        )
        try:
            asyncio.run(city.prepare())
            names = ("handset", "agencies", *SERVICES, *city.second)
            city.start(*names)
            city.wait_ready(*names)
            yield city
        finally:
            city.stop()
            shutil.rmtree(city.folder, ignore_errors=True)


@pytest.fixture
def gateway(replicated: ReplicatedCity) -> Iterator[Gateway]:
    started = Gateway(replicated)
    try:
        yield started
    finally:
        started.stop()


async def send_reports(gateway: Gateway, ended: asyncio.Event) -> tuple[set[str], list[int], float]:
    """Sends reports until the event; returns the accepted cases, other answers, and the longest time of an answer."""
    cases: set[str] = set()
    refused: list[int] = []
    longest, trust = 0.0, gateway.trust()

    async def post(session: aiohttp.ClientSession) -> None:
        nonlocal longest
        begun = time.monotonic()
        async with session.post(f"{gateway.url}/reports", json=a_report(), ssl=trust) as answer:
            if answer.status == 202:
                cases.add(str((await answer.json())["case_id"]))
            else:
                refused.append(answer.status)
        longest = max(longest, time.monotonic() - begun)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as posts:
        while not ended.is_set():
            posts.create_task(post(session))
            await asyncio.sleep(INTERVAL)
    return cases, refused, longest


async def test_restarts_by_turns_refuse_lose_park_and_double_nothing(
    replicated: ReplicatedCity, gateway: Gateway, record_property: Any
) -> None:
    ended = asyncio.Event()
    sending = asyncio.create_task(send_reports(gateway, ended))
    names = list(islice(cycle([*SERVICES, *replicated.second]), RESTARTS))
    for name in names:
        await restart(replicated, name)
    ended.set()
    cases, refused, longest = await sending
    await settle(replicated, cases, within=300)

    record_property(
        "measured",
        f"{len(names)} restarts, {len(cases)} reports, {len(refused)} refused, longest answer {longest:.1f} s",
    )
    assert refused == []
    assert len(cases) > len(names)
    await assert_exactly_once(replicated, cases)
    assert await rows(replicated, "desk", "SELECT reason FROM parked") == []


async def restart(city: ReplicatedCity, name: str) -> None:
    """Restarts a process from this thread, as the death signal of a child requires, while reports are sent."""
    await asyncio.to_thread(city.end, name)
    city.start(name)
    await asyncio.to_thread(city.wait_ready, name)
