"""A report is sent during a fault: the page explains it, and the same report is accepted after the repair."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import psutil
import pytest

from simpul_desk.access.web import SESSION_COOKIE
from tests.faults.conftest import BreakableCity, breakable_city
from tests.support.form import ShownForm
from tests.support.ledger import eventually, rows
from tests.support.reports import a_report
from tests.support.routing_api import assertion

STORY = "Tetangga mendengar teriakan Wenthilora\npada malam hari."
SIGNED_IN = {"cookie": f"{SESSION_COOKIE}=as-if-somebody-were"}
"""With a cookie, the desk asks its database whose it is."""
NUMBERS = ("129", "08111-129-129", "110", "119")


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreakableCity]:
    """Runs only the services with HTTP pages that the tests request."""
    with breakable_city(tmp_path_factory.mktemp("failing"), "intake", "routing", "desk") as city:
        yield city


def a_form(**changes: str) -> dict[str, str]:
    form = {
        "report_id": str(uuid4()),
        "lang": "id",
        "violence": "physical",
        "chronology": STORY,
        "age": "9",
        "safe_now": "no",
        "child_name": "Wenthilora Paksibumi",
        "kelurahan": "",
        "reporter": "neighbour",
    }
    return form | changes


async def send(city: BreakableCity, fields: Any, **headers: str) -> tuple[int, str, float, Any]:
    """Returns status, page, seconds and headers."""
    began = time.monotonic()
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(120)) as session,
        session.post(f"{city.url('intake')}/lapor", data=fields, headers=headers) as answer,
    ):
        return answer.status, await answer.text(), time.monotonic() - began, answer.headers


async def stored(city: BreakableCity, report_id: str) -> int:
    return len(await rows(city, "intake", "SELECT 1 FROM report WHERE report_id = $1", report_id))


async def is_accepted_by_form(city: BreakableCity, fields: Any) -> bool:
    return (await send(city, fields))[0] == 200


@contextmanager
def unavailable(city: BreakableCity) -> Iterator[None]:
    """Stops the database."""
    assert city.postgres
    city.postgres.stop()
    try:
        yield
    finally:
        city.postgres.start()


@contextmanager
def frozen(city: BreakableCity) -> Iterator[None]:
    """Freezes the database, which accepts connections and does not answer, as behind a broken network."""
    assert city.postgres
    server = psutil.Process(city.postgres.process.pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


async def _succeeds(*command: str) -> bool:
    return await (await asyncio.create_subprocess_exec(*command)).wait() == 0


@asynccontextmanager
async def full_disk(city: BreakableCity) -> AsyncIterator[None]:
    """Moves the vault's sections to a disk without free space."""
    assert city.postgres
    disk = city.postgres.folder / "disk"
    disk.mkdir()
    database = await asyncpg.connect(city.database_url("intake"))
    if not await _succeeds("mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)):
        # Only root may mount a disk; otherwise a trigger raises the same error.
        await database.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END$$; "
            "CREATE TRIGGER full_disk BEFORE INSERT ON section FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
        yield
        await database.execute("DROP TRIGGER full_disk ON section; DROP FUNCTION full_disk()")
        await database.close()
        return
    owner = city.postgres.folder.stat()
    os.chown(disk, owner.st_uid, owner.st_gid)
    await database.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
    await database.execute("ALTER TABLE section SET TABLESPACE small")
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))
    try:
        yield
        # Free space is all that is needed.
        (disk / "filler").unlink()
    finally:
        await database.execute("ALTER TABLE section SET TABLESPACE pg_default")
        await database.execute("DROP TABLESPACE small")
        await database.close()
        assert await _succeeds("umount", "-l", str(disk))


@pytest.mark.parametrize(
    ("broken", "what"),
    [(unavailable, "tempat penyimpanan tidak dapat dihubungi"), (frozen, "terlalu lama menjawab")],
    ids=["unavailable", "frozen"],
)
async def test_the_form_is_returned_filled_in_and_accepted_once_the_database_is_back(
    breakable: BreakableCity, broken: Any, what: str
) -> None:
    form = a_form()
    with broken(breakable):
        status, page, seconds, headers = await send(breakable, form)

    again = ShownForm(page)
    assert (status, headers["retry-after"]) == (503, "5")
    assert seconds < 60
    assert what in page
    assert "BELUM tersimpan" in page
    assert all(number in page for number in NUMBERS)
    assert again.value("chronology") == STORY
    assert {name: again.value(name) for name in form} == form
    await eventually(lambda: is_accepted_by_form(breakable, again.fields))
    assert (await send(breakable, again.fields))[0] == 200
    assert await stored(breakable, form["report_id"]) == 1


@pytest.mark.parametrize(
    ("fields", "accepted", "expected"),
    [
        (a_form(lang="en"), "id", "NOT stored"),
        (
            {name: value for name, value in a_form().items() if name != "lang"},
            "de, en-GB;q=0.8, id;q=0.5",
            "NOT stored",
        ),
        ({name: value for name, value in a_form().items() if name != "lang"}, "", "BELUM tersimpan"),
    ],
    ids=["field", "header", "neither"],
)
async def test_the_page_has_the_language_of_the_form_else_of_the_browser_else_indonesian(
    breakable: BreakableCity, fields: Any, accepted: str, expected: str
) -> None:
    with unavailable(breakable):
        _, page, _, _ = await send(breakable, fields, **{"accept-language": accepted})

    assert expected in page


async def test_a_full_disk_is_reported_and_the_report_is_accepted_once_there_is_space(breakable: BreakableCity) -> None:
    form = a_form(chronology=os.urandom(9_000).hex())
    async with full_disk(breakable):
        status, page, _, headers = await send(breakable, form)

    again = ShownForm(page)
    assert (status, headers["retry-after"]) == (503, "60")
    assert "tempat penyimpanan penuh" in page
    assert {name: again.value(name) for name in form} == form
    assert await stored(breakable, form["report_id"]) == 0
    assert (await send(breakable, again.fields))[0] == 200
    assert await stored(breakable, form["report_id"]) == 1


async def test_the_form_is_accepted_while_the_broker_is_unavailable(breakable: BreakableCity) -> None:
    assert breakable.rabbit
    form = a_form()
    breakable.rabbit.kill()
    try:
        status, page, _, _ = await send(breakable, form)
    finally:
        breakable.rabbit.start()

    assert status == 200
    assert 'id="receipt"' in page
    assert await stored(breakable, form["report_id"]) == 1


async def request_page(city: BreakableCity, method: str, url: str, **request: Any) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **request) as answer:
        return answer.status, await answer.text(), answer.headers


async def test_programs_get_one_format_in_both_languages_and_their_report_is_accepted_later(
    breakable: BreakableCity,
) -> None:
    report, target, reopening = a_report(), f"/cases/{uuid4()}", b'{"reason": "baru"}'
    reading = {"authorization": assertion(breakable, "GET", target)}
    changing = {"authorization": assertion(breakable, "POST", f"{target}/reopen", reopening)}
    with unavailable(breakable):
        answers = [
            await request_page(breakable, "POST", f"{breakable.url('intake')}/reports", json=report),
            await request_page(breakable, "GET", breakable.url("routing") + target, headers=reading),
            await request_page(
                breakable,
                "POST",
                f"{breakable.url('routing')}{target}/reopen",
                headers=changing | {"if-match": '"1"', "content-type": "application/json"},
                data=reopening,
            ),
        ]

    for status, body, headers in answers:
        answer = json.loads(body)
        assert (status, headers["retry-after"], answer["code"]) == (503, "5", "database_unavailable")
        assert set(answer) == {"code", "detail", "messages", "reference"}
        assert set(answer["messages"]) == {"id", "en"}
        assert headers["content-security-policy"]
    assert len({json.loads(body)["reference"] for _, body, _ in answers}) == 3

    async def is_accepted() -> bool:
        return (await request_page(breakable, "POST", f"{breakable.url('intake')}/reports", json=report))[0] == 202

    await eventually(is_accepted)


async def test_the_board_reloads_until_the_database_is_back(breakable: BreakableCity) -> None:
    html = {"accept": "text/html,*/*;q=0.8", "accept-language": "id-ID,id;q=0.9"}
    with unavailable(breakable):
        status, page, headers = await request_page(breakable, "GET", breakable.url("desk"), headers=html | SIGNED_IN)

    assert (status, headers["retry-after"]) == (503, "5")
    assert '<meta http-equiv="refresh" content="5">' in page
    assert "tempat penyimpanan tidak dapat dihubungi" in page
    assert all(number in page for number in NUMBERS)


async def test_a_frozen_database_delays_a_reader_by_less_than_ten_seconds(breakable: BreakableCity) -> None:
    target = f"/cases/{uuid4()}"
    token = {"authorization": assertion(breakable, "GET", target)}
    with frozen(breakable):
        began = time.monotonic()
        board, case = await asyncio.gather(
            request_page(breakable, "GET", breakable.url("desk"), headers={"accept": "text/html"} | SIGNED_IN),
            request_page(breakable, "GET", breakable.url("routing") + target, headers=token),
        )
        seconds = time.monotonic() - began

    assert (board[0], case[0]) == (503, 503)
    assert json.loads(case[1])["code"] in ("timed_out", "database_unavailable")
    assert seconds < 60


async def test_the_log_has_the_reference_once_and_nothing_that_was_typed(breakable: BreakableCity) -> None:
    with unavailable(breakable):
        _, page, _, _ = await send(breakable, a_form())

    reference = page.partition('<strong id="fault">')[2].partition("<")[0]
    log = breakable.log("intake").read_text()
    (line,) = [json.loads(line) for line in log.splitlines() if reference in line]
    assert (line["event"], line["type"], line["path"]) == ("request_failed", "database_unavailable", "/lapor")
    assert line["error"]
    assert "Wenthilora" not in log
    assert "Traceback" not in log
