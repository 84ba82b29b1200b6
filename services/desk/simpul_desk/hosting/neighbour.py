"""Passes a request on to the process of the desk in which the store of its agency is open.

One process works on a store. With several processes behind a gateway a request reaches any of them; the one that works
on a store serves its pages for all, through a socket in the agency's folder that only the desk's account may use.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.datastructures import UploadFile

PASSED_ON: Final = "x-simpul-passed-on"
"""Marks a request that another process passed on; it is answered here or not at all."""
CONNECT_TIMEOUT: Final = 5.0
_OF_ONE_CONNECTION: Final = frozenset({
    "connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "expect", "host", "content-length",
    "content-type", "x-forwarded-for", "x-forwarded-proto",
})  # fmt: skip
"""Headers of a request that are written again."""
_OF_ANSWER: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})

log = structlog.get_logger()


class NeighbourAway(Exception):
    """No process has the store of the agency open, or it does not answer."""


class ProcessSocket:
    """The socket of this process: opened in the folder of the first store that is opened, for the stores of all."""

    def __init__(self, web: FastAPI | None = None) -> None:
        """Takes the application that answers; without one no socket is opened."""
        self._web = web
        self._path: Path | None = None
        self._serving: asyncio.Task[None] | None = None
        self._server: _Server | None = None
        self._listening: socket.socket | None = None

    def open_in(self, folder: Path) -> str:
        """Returns the path of the socket; empty if the process has none."""
        if self._web is None:
            return ""
        if self._path is None:
            path = folder / f".desk-{uuid4().hex[:12]}.sock"
            try:
                _remove_unused(folder)
                listening = _listen(path)
            except OSError as error:
                log.warning("desk_socket_failed", error=type(error).__name__)
                return ""
            config = uvicorn.Config(
                self._web,
                log_config=None,
                lifespan="off",
                access_log=False,
                server_header=False,
                proxy_headers=True,
                forwarded_allow_ips="*",
                timeout_graceful_shutdown=1,
            )
            self._path, self._listening, self._server = path, listening, _Server(config)
            self._serving = asyncio.create_task(self._server.serve([listening]))
        return str(self._path)

    async def close(self) -> None:
        """Closes the socket and removes it."""
        if self._server and self._serving:
            self._server.should_exit = True
            await asyncio.gather(self._serving, return_exceptions=True)
        if self._listening:
            self._listening.close()
        if self._path:
            self._path.unlink(missing_ok=True)
        self._path = self._serving = self._server = self._listening = None


class _Server(uvicorn.Server):
    """A server in a process whose own server handles the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def pass_on(request: Request, path: str) -> Response:
    """Passes a request on to the process that listens at a socket; raises NeighbourAway."""
    if not path or PASSED_ON in request.headers:
        raise NeighbourAway
    kept = AsyncExitStack()
    try:
        answer = await kept.enter_async_context(_send(request, Path(path)))
    except (aiohttp.ClientError, OSError) as error:
        raise NeighbourAway from error
    passed = StreamingResponse(_read(answer, kept), answer.status)
    passed.raw_headers = [
        (name.lower(), value) for name, value in answer.raw_headers if name.lower().decode() not in _OF_ANSWER
    ]
    return passed


@asynccontextmanager
async def _send(request: Request, path: Path) -> AsyncIterator[aiohttp.ClientResponse]:
    target = f"http://desk{request.url.path}" + (f"?{request.url.query}" if request.url.query else "")
    async with (
        aiohttp.ClientSession(
            connector=_Connector(path),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT),
        ) as session,
        session.request(
            request.method,
            target,
            headers=_headers_for(request),
            data=await _read_form(request),
            allow_redirects=False,
            skip_auto_headers=("user-agent", "accept", "accept-encoding"),
        ) as answer,
    ):
        yield answer


async def _read(answer: aiohttp.ClientResponse, kept: AsyncExitStack) -> AsyncIterator[bytes]:
    """Yields the parts of an answer as they come, and ends the connection afterwards."""
    async with kept:
        async for part in answer.content.iter_any():
            yield part


def _headers_for(request: Request) -> dict[str, str]:
    headers = {name: value for name, value in request.headers.items() if name not in _OF_ONE_CONNECTION}
    client = request.client.host if request.client else ""
    return headers | {
        "host": request.headers.get("host", "desk"),
        PASSED_ON: "1",
        "x-forwarded-for": client,
        "x-forwarded-proto": request.url.scheme,
    }


async def _read_form(request: Request) -> aiohttp.FormData | None:
    """Writes the form of a request again, which was read to check where it comes from; None without one."""
    if request.method in ("GET", "HEAD"):
        return None
    written = aiohttp.FormData()
    given = await request.form()
    fields: Sequence[tuple[str, Any]] = given.multi_items()
    for name, value in fields:
        if isinstance(value, UploadFile):
            await value.seek(0)
            media_type = value.content_type or "application/octet-stream"
            written.add_field(name, await value.read(), filename=value.filename or "", content_type=media_type)
        else:
            written.add_field(name, value)
    await given.close()
    return written


class _Connector(aiohttp.UnixConnector):
    """Connects through the folder of the socket, because the path of a socket has 107 characters at the most."""

    def __init__(self, path: Path) -> None:
        self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        super().__init__(_short(self._folder, path))

    def close(self, *, abort_ssl: bool = False) -> Any:
        """Closes the connections and the folder."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
        return super().close(abort_ssl=abort_ssl)


def _listen(path: Path) -> socket.socket:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(_short(folder, path))
        path.chmod(0o600)
        listening.listen(128)
        listening.setblocking(False)
    finally:
        os.close(folder)
    return listening


def _remove_unused(folder: Path) -> None:
    """Removes sockets of processes that ended without removing theirs."""
    for path in folder.glob(".desk-*.sock"):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial, suppress(OSError):
            try:
                trial.connect(_short(opened, path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
        os.close(opened)


def _short(folder: int, path: Path) -> str:
    return f"/proc/self/fd/{folder}/{path.name}"
