"""The style sheet and scripts are built, small, and served compressed under an address that changes with them."""

from dataclasses import dataclass
from gzip import decompress
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from simpul_desk.assets import BUILT, add_assets, asset_url, read_assets
from simpul_runtime.failure_responses import FailureResponses
from simpul_runtime.shell import Shell

MAX_BYTES = 50_000
"""Compressed, so that a first page of 10 kB stays below 60 kB."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        found = [value for given, value in self.headers if given == name]
        assert len(found) <= 1, found
        return found[0] if found else ""


async def get(web: FastAPI, path: str, encodings: str = "identity") -> Answer:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"accept-encoding", encodings.encode()), (b"accept", b"text/html")],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def keep(message: Any) -> None:
        sent.append(message)

    await web(scope, receive, keep)
    headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


@pytest.fixture
def warnings() -> list[Any]:
    return []


@pytest.fixture
def web(warnings: list[Any]) -> FastAPI:
    web = FastAPI()
    web.add_middleware(Shell, limits={}, failures=FailureResponses([]))
    add_assets(web, SimpleNamespace(add_warnings=warnings.append))  # type: ignore[arg-type]  # all it needs
    return web


def test_all_files_are_built_and_small(warnings: list[Any], web: FastAPI) -> None:
    missing = {*BUILT} - read_assets().keys()

    assert missing == set(), "run make assets"
    assert [warning for find in warnings for warning in find()] == []
    assert sum(len(asset.compressed) for asset in read_assets().values()) < MAX_BYTES


async def test_a_file_is_served_compressed_and_kept_by_the_browser(web: FastAPI) -> None:
    compressed = await get(web, asset_url("desk.js"), "gzip, br")
    plain = await get(web, asset_url("desk.js"))

    assert (compressed.header("content-encoding"), plain.header("content-encoding")) == ("gzip", "")
    assert compressed.header("cache-control") == "public, max-age=31536000, immutable"
    assert compressed.header("content-type") == "text/javascript; charset=utf-8"
    assert decompress(compressed.body) == plain.body != b""


@pytest.mark.parametrize("address", ["/static/missing/desk.js", asset_url("unknown.js"), asset_url("..%2fpages.py")])
async def test_no_other_address_serves_a_file(web: FastAPI, address: str) -> None:
    assert (await get(web, address)).status == 404


def test_the_font_is_that_of_the_system() -> None:
    style = read_assets()["desk.css"].content.decode()

    assert "GDS Transport" not in style
    assert "@font-face" not in style
    assert "url(" not in style
