"""`python -m tests.bench.desk`: times pages of the desk with 100,000 cases, alone and for 200 people at once."""

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import uvloop
from fastapi import FastAPI, Request

from simpul_agency import Agency
from simpul_agency.command.files import AgencyFiles
from simpul_agency.sandbox.events import EventFactory
from simpul_cli.databases import create_databases
from simpul_desk.access import Role, User
from simpul_desk.assets import add_assets
from simpul_desk.city_pages.pages import CityPages
from simpul_desk.city_pages.routes import add_city_pages
from simpul_desk.hosting.agencies import HostedAgencies, HostedAgency, Surroundings
from simpul_desk.live import LiveChannels
from simpul_desk.work_pages.pages import WorkPages
from simpul_desk.work_pages.routes import add_work_pages
from simpul_desk.work_pages.worklist_page import render_worklist
from simpul_dev.backends import Backends, acquire
from simpul_runtime.database import create_engine
from simpul_runtime.migrations import migrate_async
from simpul_seal import Directory
from tests.bench.crowd import MAX_FIRST_PAGE, PEOPLE, Crowd, build_web, serve_crowd
from tests.support.agreements import CITY, signed_city

AGENCY: Final = "dinsos-peksos"
TURNS: Final = 200
MUST_MS: Final = 100.0
DATABASE: Final = "bench_desk"
USER: Final = User(
    id=uuid4(),
    name="Wiji Rekaan",
    language="id",
    memberships={AGENCY: Role.RESPONDER},
    city_roles={Role.COORDINATOR: "uptd-ppa"},
)


class CannedRouting:
    """Answers at once, so that only the desk's own time is measured; `make bench-scale` times routing."""

    async def get(self, _: Any, path: str, **query: Any) -> Any:
        ids = query.get("ids", "").split(",")
        rights = {"prompt_response": "referred", "education": "planned", "social_aid": "unanswered"}
        cases = [
            {"case_id": one, "reference": "K-0000-0000", "urgency": "high", "rights": rights} for one in ids if one
        ]
        return SimpleNamespace(content={"cases": cases, "total": len(cases)})


def a_request(path: str) -> Request:
    """Returns the request of a browser for a page."""
    return Request({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "state": {}})


def fill_store(store: Path, directory: Path, cases: int) -> list[tuple[UUID, UUID, datetime]]:
    """Puts offers with sealed facts into an agency's store; returns referral, case and deadline of each."""
    factory = EventFactory(AGENCY, Directory.read(directory))
    dice, now, found = random.Random(7), datetime.now(UTC), []

    def rows() -> Any:
        for _ in range(cases):
            answer_by = now + timedelta(minutes=dice.randrange(-2_000, 20_000))
            event = factory.create_offer(1, answer_by=answer_by)
            data = event["data"]
            found.append((UUID(data["referral_id"]), UUID(data["case_id"]), answer_by))
            body = json.dumps(event).encode()
            yield ("/kediri/routing", event["id"], event["subject"], 1, event["type"], "", body, now.timestamp())

    connection = sqlite3.connect(store)
    with connection:
        connection.executemany(
            "INSERT INTO inbox_message (source, event_id, subject, sequence, type, digest, body, state, reason,"
            " attempts, received_at, due_at, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'done', '', 0, ?8, ?8, '')",
            rows(),
        )
    connection.close()
    return found


async def fill_database(url: str, referrals: list[tuple[UUID, UUID, datetime]]) -> None:
    """Puts the same referrals on the worklist and on the board; one in fifty is on the board as late."""
    now = datetime.now(UTC)
    services = json.dumps([["shelter", "waiting"], ["social_aid", "waiting"]])
    connection = await asyncpg.connect(url)
    # Whoever opens a case page is recorded as its reader.
    await connection.execute(
        "INSERT INTO account (account_id, login_name, name, language, created_at) VALUES ($1, 'bench', $2, 'id', $3)",
        USER.id,
        USER.name,
        now,
    )
    await connection.copy_records_to_table(
        "worklist_entry",
        columns=[
            "agency",
            "referral_id",
            "case_id",
            "kind",
            "urgency",
            "due_at",
            "received_at",
            "services",
            "must_acknowledge",
            "is_open",
            "version",
        ],
        records=[
            (AGENCY, one, case, "referral", "high", due, now, services, False, True, "1")
            for one, case, due in referrals
        ],
    )
    late = [due if number % 50 == 0 and due < now else None for number, (_, _, due) in enumerate(referrals)]
    await connection.copy_records_to_table(
        "board",
        columns=[
            "referral_id",
            "case_id",
            "agency",
            "open_services",
            "urgency",
            "answer_by",
            "late_since",
            "late_step",
        ],
        records=[
            (one, case, AGENCY, 2, "high", due, missed, 100 if missed else 0)
            for (one, case, due), missed in zip(referrals, late, strict=True)
        ],
    )
    await connection.copy_records_to_table(
        "board_service",
        columns=["service_id", "referral_id", "service", "urgency", "answer_by"],
        records=[(uuid4(), one, "shelter", "high", due) for one, _, due in referrals],
    )
    await connection.execute("ANALYZE")
    await connection.close()


async def measure(backends: Backends, folder: Path, cases: int) -> tuple[dict[str, list[float]], Crowd]:
    """Returns the times of each page in milliseconds, and what 200 people at once saw."""
    versions, _, rings = signed_city(folder, datetime.now(UTC))
    await create_databases(backends.postgres_url, {"desk": DATABASE})
    await migrate_async(backends.database_url(DATABASE), "simpul_desk")
    files = AgencyFiles(folder / "hosted" / AGENCY)
    files.folder.mkdir(parents=True)
    rings[AGENCY].write(files.keys)
    files.update_settings({"CODE": AGENCY, "AMQP_URL": "amqp://127.0.0.1:1/"})

    engine = create_engine(backends.database_url(DATABASE), connections=5)
    live = LiveChannels()
    surroundings = Surroundings(engine, versions, CITY.zone, live, folder / "directory.json", "http://127.0.0.1:9")
    hosted = HostedAgencies(folder / "hosted", surroundings)
    agency = hosted.find(AGENCY)
    assert isinstance(agency, HostedAgency)
    # The store without its consumer: nothing arrives while the pages are timed.
    kit = Agency.from_settings(agency._settings)
    await kit.store.open()
    agency._kit = kit
    started = perf_counter()
    referrals = await asyncio.to_thread(fill_store, files.folder / "agency.db", folder / "directory.json", cases)
    await fill_database(backends.database_url(DATABASE), referrals)
    print(f"{cases:,} cases loaded in {perf_counter() - started:.0f} s", flush=True)

    service: Any = SimpleNamespace(engine=engine)
    routing: Any = CannedRouting()
    work = WorkPages(service, CITY, hosted, live, routing)
    city = CityPages(service, CITY, live, routing)
    dice = random.Random(11)

    async def worklist() -> None:
        await render_worklist(work, a_request("/work"), USER)

    async def case_page() -> None:
        referral_id = dice.choice(referrals)[0]
        _, found = await work.open(USER, AGENCY, referral_id)
        await work.render_referral(a_request("/work"), USER, AGENCY, found)

    async def board() -> None:
        found = await city.load_board(USER.act_as(Role.COORDINATOR))
        counts = dict.fromkeys(("cases", "triage", "plans", "duplicates", "exclusions"), 1)
        city.render(a_request("/city"), "city/board.html", cases=found, counts=counts)

    times = {page.__name__: await time_page(page) for page in (worklist, case_page, board)}

    def add_pages(web: FastAPI) -> None:
        nothing: Any = SimpleNamespace(add_warnings=lambda _: None)
        add_work_pages(web, work)
        add_city_pages(web, city)
        add_assets(web, nothing)

    chosen = dice.sample(referrals, PEOPLE)
    paths = ["/work"] * PEOPLE + [f"/work/{AGENCY}/{one[0]}" for one in chosen] + ["/city"] * PEOPLE
    crowd = await serve_crowd(build_web(USER, add_pages), paths)
    await kit.store.close()
    await engine.dispose()
    return times, crowd


async def time_page(page: Callable[[], Awaitable[None]]) -> list[float]:
    """Times a page, after a few that fill the caches."""
    for _ in range(10):
        await page()
    times = []
    for _ in range(TURNS):
        started = perf_counter()
        await page()
        times.append((perf_counter() - started) * 1000)
    return sorted(times)


def main() -> int:
    """Prints the times; returns 1 if a page is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    cases = parser.parse_args().cases
    with tempfile.TemporaryDirectory() as folder, acquire(print) as backends:
        Path(folder).chmod(0o755)
        times, crowd = uvloop.run(measure(backends, Path(folder), cases))
    print(f"{'page':<12}{'p50 ms':>10}{'p95 ms':>10}{'p99 ms':>10}")
    for name, found in times.items():
        p50, p95, p99 = (found[int(len(found) * share)] for share in (0.5, 0.95, 0.99))
        print(f"{name:<12}{p50:>10.1f}{p95:>10.1f}{p99:>10.1f}")
    print(
        f"{PEOPLE} people at once, {len(crowd.seconds)} pages: {crowd.errors} errors, "
        f"p50 {crowd.seconds[len(crowd.seconds) // 2]:.2f} s, p95 {crowd.seconds[int(len(crowd.seconds) * 0.95)]:.2f} s"
    )
    print(f"first page: {crowd.first_page / 1000:.1f} kB compressed in all")
    is_well = crowd.errors == 0 and crowd.first_page < MAX_FIRST_PAGE
    return int(not is_well or any(found[int(len(found) * 0.95)] > MUST_MS for found in times.values()))


if __name__ == "__main__":
    sys.exit(main())
