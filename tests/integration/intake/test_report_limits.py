"""Limits of reports by address and by centre: two processes count together, and a child in danger is never refused."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest

from simpul_agency.sandbox.process import free_port
from simpul_dev.local_city import LocalCity
from simpul_intake.api import ReportIn
from simpul_intake.domain import Report
from simpul_intake.errors import TooManyReports
from simpul_intake.use_cases import LimitReports, Sender
from simpul_intake.use_cases.limit_reports import PROVEN_FACTOR
from simpul_runtime.database import create_engine, utc_now
from tests.integration.intake.conftest import Room
from tests.support.form import ShownForm
from tests.support.ledger import eventually
from tests.support.reports import a_report
from tests.unit.intake.test_proof_of_work import find_proof

LIMIT = 3
HTML = {"accept": "text/html", "content-type": "application/x-www-form-urlencoded"}


class Replicas:
    """Two more processes of intake, with limits; a proxy in front of them names the client."""

    def __init__(self, city: LocalCity) -> None:
        self.city = city
        self.ports = [free_port(), free_port()]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "simpul_intake"],
                env=city._environment("intake")
                | {
                    "SIMPUL_HTTP_PORT": str(port),
                    "SIMPUL_METRICS_PORT": str(free_port()),
                    "SIMPUL_REPORTS_PER_ADDRESS": str(LIMIT),
                    "SIMPUL_REPORTS_PER_CENTRE": str(LIMIT),
                    "SIMPUL_TRUSTED_PROXIES": "127.0.0.1",
                },
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for port in self.ports
        ]

    async def send(self, number: int, path: str, address: str, **request: Any) -> tuple[int, str, Any]:
        """Sends to one of the processes by turns."""
        url = f"http://127.0.0.1:{self.ports[number % 2]}{path}"
        headers = {"x-forwarded-for": address} | request.pop("headers", {})
        async with aiohttp.ClientSession() as session, session.post(url, headers=headers, **request) as answer:
            return answer.status, await answer.text(), answer.headers

    async def report(self, number: int, address: str, centre: str = "", **changes: Any) -> tuple[int, str, Any]:
        headers = self.city.token_of(centre) if centre else {}
        return await self.send(number, "/reports", address, headers=headers, json=a_report(**changes))

    async def warnings(self) -> str:
        return " ".join([(await self.readiness(port))[1] for port in self.ports])

    async def readiness(self, port: int) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}/health/ready") as answer,
        ):
            return answer.status, await answer.text()

    async def begin_next_hour(self) -> None:
        """Deletes the counts, as the end of an hour does."""
        connection = await asyncpg.connect(self.city.database_url("intake"))
        try:
            await connection.execute("DELETE FROM report_count")
        finally:
            await connection.close()

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)


@pytest.fixture(scope="module")
def replicas(city: LocalCity) -> Iterator[Replicas]:
    found = Replicas(city)

    async def are_ready() -> bool:
        try:
            return all([(await found.readiness(port))[0] == 200 for port in found.ports])
        except aiohttp.ClientError:
            return False

    async def warm_up() -> None:
        for number in range(2):
            await found.report(number, an_address(), complaint_centre="")

    try:
        asyncio.run(eventually(are_ready, 120))
        # The first count of a process connects and unwraps keys, and a slow count refuses nobody.
        asyncio.run(warm_up())
        yield found
    finally:
        found.stop()


@pytest.fixture(autouse=True)
async def within_one_hour() -> None:
    """Counts begin again with each hour, so no test runs from one into the next."""
    now = utc_now()
    if now.minute == 59 and now.second >= 45:
        await asyncio.sleep(60 - now.second)


def an_address() -> str:
    """An address from which nothing came yet; of the range for documentation."""
    return f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"


def a_form(**changes: str) -> dict[str, str]:
    return {
        "report_id": str(uuid4()),
        "lang": "id",
        "violence": "physical",
        "age": "9",
        "safe_now": "yes",
        "injured": "no",
    } | changes


async def test_two_processes_refuse_together_what_an_address_sends_beyond_its_limit(replicas: Replicas) -> None:
    address = an_address()

    answers = [await replicas.report(number, address, complaint_centre="") for number in range(LIMIT + 2)]
    neighbour = await replicas.report(0, address.replace("::1", "::2"), complaint_centre="")
    others = await replicas.report(0, an_address(), complaint_centre="")

    assert [status for status, _, _ in answers] == [202] * LIMIT + [429] * 2
    assert 0 < int(answers[-1][2]["retry-after"]) <= 3600
    assert "too_many_reports" in answers[-1][1]
    assert "selalu diterima" in answers[-1][1]
    # One household has the first half of an IPv6 address.
    assert neighbour[0] == 429
    assert others[0] == 202


@pytest.mark.parametrize("danger", [{"safe_now": "no"}, {"safe_now": "unknown"}, {"injured": "yes"}], ids=range(3))
async def test_a_report_of_a_child_in_danger_is_taken_beyond_every_limit_and_shown_to_the_operator(
    replicas: Replicas, danger: dict[str, str]
) -> None:
    address = an_address()

    strange = [await replicas.report(number, address, complaint_centre="", **danger) for number in range(LIMIT + 2)]
    of_centre = [
        await replicas.report(number, address, "dinsos-peksos", complaint_centre="", **danger)
        for number in range(LIMIT + 2)
    ]
    safe = await replicas.report(0, address, complaint_centre="")

    assert {status for status, _, _ in (*strange, *of_centre)} == {202}
    assert "beyond the limit" in await replicas.warnings()
    # They used up nothing of the reports that can wait.
    assert safe[0] == 202


async def test_a_centre_has_a_limit_of_its_own_wherever_it_sends_from(replicas: Replicas) -> None:
    # Nameless, so that none is compared with another.
    nameless: dict[str, Any] = {"complaint_centre": "", "identity": {}}

    answers = [await replicas.report(number, an_address(), "ylpa", **nameless) for number in range(LIMIT + 1)]
    another = await replicas.report(0, an_address(), "dinsos-peksos", **nameless)

    assert [status for status, _, _ in answers] == [202] * LIMIT + [429]
    assert another[0] == 202


@pytest.mark.parametrize(("language", "text"), [("id", "selalu diterima"), ("en", "always taken")])
async def test_a_person_reads_why_and_sends_the_same_form_again(replicas: Replicas, language: str, text: str) -> None:
    address = an_address()
    for number in range(LIMIT):
        assert (await replicas.send(number, "/lapor", address, headers=HTML, data=a_form()))[0] == 200

    typed = a_form(lang=language, chronology="Tetangga mendengar teriakan.")
    status, page, headers = await replicas.send(0, "/lapor", address, headers=HTML, data=typed)
    in_danger = await replicas.send(1, "/lapor", address, headers=HTML, data=typed | {"safe_now": "no"})

    assert status == 429
    assert int(headers["retry-after"]) > 0
    assert text in page
    assert "110" in page
    shown = ShownForm(page)
    assert [shown.value(name) for name in ("chronology", "report_id")] == [typed["chronology"], typed["report_id"]]
    assert in_danger[0] == 200


async def test_a_form_with_a_proof_of_work_passes_the_limit_and_only_for_its_report(replicas: Replicas) -> None:
    address, form = an_address(), a_form()
    for number in range(LIMIT):
        await replicas.send(number, "/lapor", address, headers=HTML, data=a_form())
    proof = find_proof(UUID(form["report_id"]))

    without = await replicas.send(0, "/lapor", address, headers=HTML, data=form)
    proven = await replicas.send(0, "/lapor", address, headers=HTML, data=form | {"proof": proof})
    stolen = await replicas.send(0, "/lapor", address, headers=HTML, data=a_form(proof=proof))

    assert (without[0], proven[0], stolen[0]) == (429, 200, 429)


async def test_a_report_that_was_stored_gets_its_receipt_again_beyond_the_limit(replicas: Replicas) -> None:
    address, report_id = an_address(), str(uuid4())

    answers = [
        await replicas.report(number, address, complaint_centre="", report_id=report_id) for number in range(LIMIT + 2)
    ]

    assert {status for status, _, _ in answers} == {202}
    assert len({page for _, page, _ in answers}) == 1


async def test_a_centre_sends_its_whole_table_each_hour_and_gets_beyond_its_limit(replicas: Replicas) -> None:
    table: list[dict[str, Any]] = [
        {"complaint_centre": "", "identity": {}, "report_id": str(uuid4())} for _ in range(LIMIT + 2)
    ]

    async def send_table() -> list[int]:
        return [(await replicas.report(number, an_address(), "uptd-ppa", **row))[0] for number, row in enumerate(table)]

    first = await send_table()
    await replicas.begin_next_hour()
    second = await send_table()

    assert first == [202] * LIMIT + [429] * 2
    assert second == [202] * (LIMIT + 2)


async def test_the_database_names_no_address_and_forgets_the_hour(replicas: Replicas) -> None:
    address = an_address()
    await replicas.report(0, address, complaint_centre="")
    connection = await asyncpg.connect(replicas.city.database_url("intake"))
    try:
        rows = await connection.fetch("SELECT * FROM report_count")
    finally:
        await connection.close()

    assert rows
    assert {len(row["sender"]) for row in rows} == {16}
    assert not any(part in repr(rows) for part in ("2001", address, "address"))


def a_safe_report(**changes: Any) -> Report:
    return ReportIn.model_validate(a_report(complaint_centre="", **changes)).to_report(utc_now(), "")


async def test_proofs_of_work_have_a_higher_limit_of_their_own(room: Room) -> None:
    limits = LimitReports(room.engine, room.use_cases().secrets, per_address=1, per_centre=1)
    counting = asyncio.create_task(limits.run())

    async def admit_proven(**changes: Any) -> None:
        report = a_safe_report(**changes)
        await limits.admit(report, Sender("192.0.2.7", proof=find_proof(report.report_id)))

    for _ in range(PROVEN_FACTOR):
        await admit_proven()
    # They used up nothing of the reports without a proof, nor of those of danger.
    await limits.admit(a_safe_report(), Sender("192.0.2.7"))
    await admit_proven(safe_now="no")
    with pytest.raises(TooManyReports):
        await admit_proven()

    assert limits.find_warnings() == []
    counting.cancel()


async def test_counts_of_an_earlier_hour_are_deleted_and_count_no_more(room: Room) -> None:
    limits = LimitReports(room.engine, room.use_cases().secrets, per_address=1, per_centre=1)
    counting, sender = asyncio.create_task(limits.run()), Sender("192.0.2.1")
    await limits.admit(a_safe_report(), sender)
    with pytest.raises(TooManyReports):
        await limits.admit(a_safe_report(), sender)
    await room.fetch("UPDATE report_count SET hour = hour - interval '1 hour'")
    await limits.admit(a_safe_report(), sender)
    deleting = asyncio.create_task(limits.delete_expired())

    async def only_the_newest_is_left() -> bool:
        return [row["count"] for row in await room.fetch("SELECT count FROM report_count")] == [1]

    await eventually(only_the_newest_is_left)
    for task in (counting, deleting):
        task.cancel()


async def test_a_database_that_cannot_count_holds_up_no_report(room: Room) -> None:
    engine = create_engine("postgresql://nobody@127.0.0.1:9/none", connections=1)
    limits = LimitReports(engine, room.use_cases().secrets, per_address=1, per_centre=1)
    counting = asyncio.create_task(limits.run())

    for _ in range(3):
        await limits.admit(a_safe_report(), Sender("192.0.2.1"))

    counting.cancel()
    await engine.dispose()
