"""`python -m tests.bench.scale`: times a worklist page, a timeline and a sweep for 10,000 and 1,000,000 cases."""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from math import log
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import UUID

import asyncpg
import uvloop

from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends, acquire
from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from simpul_routing.api.queries import build_timeline
from simpul_routing.repository import CaseFiles
from simpul_routing.use_cases import SweepClocks
from simpul_runtime.database import create_engine
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.transaction import Transactions
from tests.support.agreements import CITY, signed_city
from tests.support.loader import load

SMALL: Final = 10_000
TURNS: Final = 300
MUST_MS: Final = 50.0
NAMES: Final = {agency.code: agency.name for agency in CITY.agencies}


class Place:
    """A database with a given number of cases."""

    def __init__(self, backends: Backends, cases: int, folder: Path) -> None:
        self.cases = cases
        self.now = datetime.now(UTC)
        self._name = f"scale_{cases}"
        self._backends = backends
        self.url = backends.database_url(self._name)
        self.versions, self.keys, _ = signed_city(folder, self.now)

    async def fill(self) -> None:
        """Creates and loads the database."""
        await create_databases(self._backends.postgres_url, {"routing": self._name})
        await migrate_async(self.url, "simpul_routing")
        started = perf_counter()
        await load(self.url, self.keys, self.cases, self.now, lambda line: print(f"  {line}", flush=True))
        print(
            f"{self.cases:,} cases, {self.cases * 5:,} referrals: loaded in {perf_counter() - started:.0f} s",
            flush=True,
        )

    async def measure(self) -> dict[str, list[float]]:
        """Times each operation in milliseconds, including connection and commit."""
        engine = create_engine(self.url, connections=2)
        transactions = Transactions(engine, Outbox("kediri", "routing", self.keys), lambda _: None)
        clocks = SweepClocks(transactions, CaseFiles(self.versions, CITY, self.keys))
        cases, cursors = await self._chosen()
        dice = random.Random(7)

        async def page() -> None:
            async with engine.connect() as connection:
                rows = await repository.list_open_referrals(
                    connection, "uptd-ppa", dice.choice(cursors), 51, repository.Scope()
                )
            assert rows

        async def timeline() -> None:
            async with engine.connect() as connection:
                lines = await build_timeline(connection, self.keys, dice.choice(cases), NAMES, "id")
            assert len(lines) == 20

        async def sweep() -> None:
            async with transactions.begin() as transaction:
                await clocks.sweep_clocks(transaction, self.now)

        try:
            return {
                "worklist page": await _timed(page),
                "timeline": await _timed(timeline),
                # A small city has too few due steps for all repetitions.
                "sweep": await _timed(sweep, min(TURNS, self.cases // 1000)),
            }
        finally:
            await engine.dispose()

    async def _chosen(self) -> tuple[list[UUID], list[tuple[datetime, UUID]]]:
        connection = await asyncpg.connect(self.url)
        try:
            ended = await connection.fetch("SELECT case_id FROM case_plan WHERE ended_at IS NOT NULL LIMIT 5000")
            waiting = await connection.fetch(
                "SELECT answer_by, referral_id FROM referral WHERE agency = 'uptd-ppa' AND answer_by IS NOT NULL "
                "ORDER BY answer_by DESC OFFSET 60"
            )
        finally:
            await connection.close()
        return [row["case_id"] for row in ended], [FIRST_PAGE, *((r["answer_by"], r["referral_id"]) for r in waiting)]


async def _timed(work: Callable[[], Awaitable[None]], turns: int = TURNS) -> list[float]:
    taken = []
    for turn in range(turns + 5):
        started = perf_counter()
        await work()
        if turn >= 5:
            # The first repetitions prepare statements and warm the cache, as a service does once.
            taken.append((perf_counter() - started) * 1000)
    return sorted(taken)


def _at(values: list[float], part: float) -> float:
    return values[min(int(len(values) * part), len(values) - 1)]


async def _both(backends: Backends, large: int, folder: Path) -> int:
    figures = {}
    for cases in (SMALL, large):
        (folder / str(cases)).mkdir()
        place = Place(backends, cases, folder / str(cases))
        await place.fill()
        figures[cases] = await place.measure()
    print(
        f"\n| ms, p50 / p99 | {SMALL:,} cases | {large:,} cases | times | logarithmic would be |\n|---|---|---|---|---|"
    )
    growth = log(large * 5) / log(SMALL * 5)
    broken = []
    for name, small in figures[SMALL].items():
        many = figures[large][name]
        times = _at(many, 0.5) / _at(small, 0.5)
        print(
            f"| {name} | {_at(small, 0.5):.1f} / {_at(small, 0.99):.1f} | {_at(many, 0.5):.1f} / {_at(many, 0.99):.1f} "
            f"| {times:.2f} | {growth:.2f} |"
        )
        if _at(many, 0.99) >= MUST_MS:
            broken.append(f"{name}: p99 {_at(many, 0.99):.1f} ms, must be under {MUST_MS:.0f}")
        if times > growth:
            broken.append(f"{name}: grew {times:.2f} times, logarithmic would be {growth:.2f}")
    for rule in broken:
        print(f"BROKEN {rule}")
    return 1 if broken else 0


def main() -> int:
    """Runs the benchmark; returns 1 when a rule is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="of the larger database")
    arguments = parser.parse_args()
    with (
        acquire(print) as backends,
        tempfile.TemporaryDirectory(prefix="simpul-scale-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_both(backends, arguments.cases, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
