"""Two processes of the desk on one hosted folder: any request gets its answer from either of them."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

from simpul_desk.access.session import form_token_of
from simpul_desk.access.web import FORM_FIELD, SESSION_COOKIE
from simpul_desk.hosting.agencies import HostedAgencies, lock_folder, write_lock
from simpul_desk.hosting.neighbour import ProcessSocket
from simpul_desk.work_pages.pages import WorkPages
from simpul_desk.work_pages.routes import add_work_pages
from tests.integration.desk.test_hosting import AGENCY, Hosting, hosting
from tests.support.agreements import CITY
from tests.support.asgi_browser import AsgiBrowser

__all__ = ["hosting"]
TOKEN = {FORM_FIELD: form_token_of("secret")}


@asynccontextmanager
async def two_processes(found: Hosting) -> AsyncIterator[AsgiBrowser]:
    """Yields a browser at the process in which the store is not open; the other one has it."""
    app = found.browser().app
    app.state.recall_user = app.state.find_user
    socket = ProcessSocket(app)
    surroundings = replace(found.agency._surroundings, socket=ProcessSocket())
    second = HostedAgencies(found.store_file.parent.parent, surroundings)
    service: Any = SimpleNamespace(engine=found.engine)
    routing: Any = SimpleNamespace()

    async def find_user(*_: object) -> Any:
        return found.user

    web = FastAPI()
    web.state.find_user = web.state.recall_user = find_user
    add_work_pages(web, WorkPages(service, CITY, second, surroundings.live, routing))
    with lock_folder(found.store_file.parent) as lock:
        write_lock(lock, socket.open_in(found.store_file.parent))
        try:
            yield AsgiBrowser(web, cookies={SESSION_COOKIE: "secret"})
        finally:
            await socket.close()


async def test_a_page_of_the_other_process_is_the_same(hosting: Hosting) -> None:
    await hosting.agency.refresh(hosting.referral_id)
    address = f"/work/{AGENCY}/{hosting.referral_id}"

    async with two_processes(hosting) as browser:
        page = await browser.get(address)
        unknown = await browser.get(f"/work/{AGENCY}/{hosting.offer['data']['case_id']}")

    assert (page.status, unknown.status) == (200, 404)
    assert page.text == (await hosting.browser().get(address)).text
    assert await hosting.list_replies() == ["reply.referral.seen.v1"]


async def test_an_answer_given_at_the_other_process_counts_once(hosting: Hosting) -> None:
    await hosting.agency.refresh(hosting.referral_id)
    address = f"/work/{AGENCY}/{hosting.referral_id}"
    service_id = hosting.offer["data"]["services"][0]["service_id"]

    async with two_processes(hosting) as browser:
        [version] = set(re.findall(r'name="version" value="([^"]+)"', (await browser.get(address)).text))
        given = {"reply": "accepted", "version": version, "service_ids": service_id, "note": "Bu Rekaan, 19.00 ✓"}
        answered = await browser.post(address, {**TOKEN, **given})
        repeated = await browser.post(address, {**TOKEN, **given})

    assert (answered.status, answered.location, repeated.status) == (303, address, 409)
    assert (await hosting.list_replies()).count("reply.referral.accepted.v1") == 1
    [record] = await hosting.list_records()
    assert record.text == "Bu Rekaan, 19.00 ✓"


async def test_a_document_reaches_the_process_that_has_the_store(hosting: Hosting) -> None:
    await hosting.agency.refresh(hosting.referral_id)
    content = b"%PDF-1.4 invented \x00\xff"

    async with two_processes(hosting) as browser:
        page = await browser.send(
            "POST",
            "/work/documents",
            body=_multipart(content, agency=AGENCY, referral_id=str(hosting.referral_id)),
            content_type="multipart/form-data; boundary=x",
        )

    assert page.status == 303
    [record] = await hosting.list_records()
    async with hosting.engine.connect() as connection:
        document = await hosting.agency._book_of(hosting.referral_id).find_document(connection, record.record_id)
    assert document
    assert document.content == content


async def test_without_a_process_that_has_the_store_the_page_says_what_to_do(
    hosting: Hosting,
) -> None:
    address = f"/work/{AGENCY}/{hosting.referral_id}"

    async with two_processes(hosting) as browser:
        twice = await browser.send("GET", address, x_simpul_passed_on="1")
    ended = await browser.get(address)

    assert (twice.status, ended.status) == (503, 503)
    assert "Nothing is lost" in ended.shown_text


def _multipart(content: bytes, **fields: str) -> bytes:
    parts = [
        f'--x\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (TOKEN | fields).items()
    ]
    head = b'--x\r\ncontent-disposition: form-data; name="document"; filename="surat.pdf"\r\n'
    return b"".join(parts) + head + b"content-type: application/pdf\r\n\r\n" + content + b"\r\n--x--\r\n"


async def test_an_open_page_follows_changes_through_the_other_process(hosting: Hosting) -> None:
    await hosting.agency.refresh(hosting.referral_id)
    parts: asyncio.Queue[bytes] = asyncio.Queue()

    async def keep(message: Any) -> None:
        if message.get("body"):
            parts.put_nowait(message["body"])

    async def stay_connected() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async with two_processes(hosting) as browser:
        path = f"/live/{AGENCY}/{hosting.referral_id}"
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"cookie", f"{SESSION_COOKIE}=secret".encode())],
            "client": ("203.0.113.7", 1),
            "server": ("desk.example", 443),
            "scheme": "https",
            "http_version": "1.1",
            "root_path": "",
            "state": {},
        }
        stream = asyncio.create_task(browser.app(scope, stay_connected, keep))
        opened = await asyncio.wait_for(parts.get(), 30)
        hosting.agency._announce(hosting.referral_id)
        seen = opened
        while b"event: changed" not in seen:
            seen += await asyncio.wait_for(parts.get(), 30)
        stream.cancel()
        await asyncio.gather(stream, return_exceptions=True)

    assert b"event: opened" in opened
