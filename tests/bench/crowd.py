"""200 people at the desk at once: each opens the worklist, a case page and the board, from another process."""

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from time import perf_counter
from typing import Any, Final

import aiohttp
import uvicorn
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from simpul_desk.access.web import SESSION_COOKIE
from simpul_runtime.failure_responses import FailureResponses
from simpul_runtime.shell import Shell

PEOPLE: Final = 200
PAGES_EACH: Final = 3
MAX_FIRST_PAGE: Final = 60_000
"""Bytes of the first page with everything that it loads, compressed."""
_LINKED: Final = re.compile(r'(?:href|src)="(/static/[^"]+)"')


@dataclass
class Crowd:
    """What the people saw."""

    seconds: list[float] = field(default_factory=list)
    """Of each page, in order."""
    errors: int = 0
    """Answers other than 200, and connections that failed."""
    first_page: int = 0
    """Bytes on the wire, without headers."""


def build_web(user: Any, add_pages: Callable[[FastAPI], None]) -> FastAPI:
    """Builds a desk in which everybody is signed in as one person."""

    async def find_user(*_: object) -> Any:
        return user

    web = FastAPI()
    web.state.find_user = find_user
    add_pages(web)
    # The limits of a request count as in the service: what takes longer is an error.
    web.add_middleware(Shell, limits={}, failures=FailureResponses(()))
    web.add_middleware(GZipMiddleware, minimum_size=1_000)
    return web


async def serve_crowd(web: FastAPI, paths: Sequence[str]) -> Crowd:
    """Serves the pages to people in another process until each of them has read some."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(web, log_level="warning", lifespan="off", access_log=False))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as people:
            found = await asyncio.get_running_loop().run_in_executor(people, be_crowd, url, list(paths))
        server.should_exit = True
        await serving
    return found


def be_crowd(url: str, paths: Sequence[str]) -> Crowd:
    """Reads pages as all of the people at once."""
    return asyncio.run(_read_together(url, paths))


async def _read_together(url: str, paths: Sequence[str]) -> Crowd:
    crowd = Crowd()
    # A connection for each page: a kept one may end at the server just when the next page is wanted.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    cookies = {SESSION_COOKIE: "secret"}
    async with aiohttp.ClientSession(
        url, connector=connector, cookies=cookies, auto_decompress=False, headers={"accept-encoding": "gzip"}
    ) as session:
        crowd.first_page = await _weigh(session, paths[0])
        await asyncio.gather(*(_read(session, paths[number::PEOPLE], crowd) for number in range(PEOPLE)))
    crowd.seconds.sort()
    return crowd


async def _read(session: aiohttp.ClientSession, paths: Sequence[str], crowd: Crowd) -> None:
    for path in paths[:PAGES_EACH]:
        started = perf_counter()
        try:
            async with session.get(path, allow_redirects=False) as answer:
                await answer.read()
                crowd.errors += answer.status != 200
        except aiohttp.ClientError:
            crowd.errors += 1
        crowd.seconds.append(perf_counter() - started)


async def _weigh(session: aiohttp.ClientSession, path: str) -> int:
    """Weighs a page with what it loads from this site."""
    async with session.get(path, headers={"accept-encoding": "identity"}) as plain:
        linked = dict.fromkeys(_LINKED.findall(await plain.text()))
    size = 0
    for one in (path, *linked):
        async with session.get(one) as answer:
            size += len(await answer.read())
    return size
