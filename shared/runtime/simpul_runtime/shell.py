"""What surrounds every request: limits on size and time, security headers, an answer when something fails."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from starlette.exceptions import HTTPException

from simpul_runtime.failure_responses import FailureResponses
from simpul_runtime.failures import record_failure, request_failure

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_POLICY: Final = (
    b"default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
_POLICY_HEADER: Final = b"content-security-policy"
MAX_DISCARDED_BYTES: Final = 8 * 1024 * 1024
"""How much of a refused body is read and thrown away: a browser shows an answer only after it could send its body."""
DISCARD_TIMEOUT: Final = 5.0
"""Seconds that this may take."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    body_bytes: int = 256 * 1024
    seconds: float = 9.0
    """From the end of the request's body to the start of the answer: a slow connection uses up none of it."""


class BodyTooLarge(HTTPException):
    """The request is larger than the service reads; send less."""

    def __init__(self) -> None:
        super().__init__(status_code=413)


class Shell:
    """Plain ASGI, because it is on every request."""

    def __init__(self, app: Any, limits: Mapping[str, Limits], failures: FailureResponses) -> None:
        """`limits` has the paths whose limits are not the usual ones."""
        self._app = app
        self._limits = limits
        self._usual = Limits()
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._limits.get(scope["path"], self._usual))
        try:
            async with exchange.time_limit:
                exchange.check_declared_size()
                await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if exchange.has_started:
                raise
            exchange.leave_time_limit()
            request = Request(scope)
            failure = request_failure(error) if isinstance(error, HTTPException) else record_failure(request, error)
            await self._failures.respond(request, failure)(scope, receive, exchange.send)


class _Exchange:
    """One request and its answer, under limits."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive, self._send, self._limits = receive, send, limits
        headers = dict(scope["headers"])
        self._declared = headers.get(b"content-length", b"0")
        self._read = 0
        self._has_more = self._declared != b"0" or b"transfer-encoding" in headers
        self.has_started = False
        self._is_limited = True
        self.time_limit = asyncio.timeout(None if self._has_more else limits.seconds)

    def check_declared_size(self) -> None:
        """Refuses a body that is too large before it is read."""
        if self._declared.isdigit() and int(self._declared) > self._limits.body_bytes:
            raise BodyTooLarge

    async def receive(self) -> Message:
        """The next part of the request's body; BodyTooLarge when there is too much of it."""
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._limits.body_bytes:
            raise BodyTooLarge
        if self._has_more and not message.get("more_body", False):
            self._has_more = False
            self.time_limit.reschedule(asyncio.get_running_loop().time() + self._limits.seconds)
        return message

    async def send(self, message: Message) -> None:
        """Adds the headers; from the start of the answer on there is no limit of time."""
        if message["type"] == "http.response.start":
            if message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                await self._discard_body()
            self.end_time_limit()
            self.has_started = True
            message["headers"] = _with_security_headers(message.get("headers", ()))
        await self._send(message)

    def end_time_limit(self) -> None:
        """Lets the answer take as long as its reader needs."""
        if self._is_limited:
            self._is_limited = False
            self.time_limit.reschedule(None)

    def leave_time_limit(self) -> None:
        """Notes that the limit is over, because the application has ended."""
        self._is_limited = False

    async def _discard_body(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_TIMEOUT):
                while self._has_more and self._read < MAX_DISCARDED_BYTES:
                    message = await self._receive()
                    self._read += len(message.get("body", b""))
                    self._has_more = message.get("more_body", False)


def _with_security_headers(given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    headers = [*given, *_HEADERS]
    # A page that needs another policy, such as the API documentation, brings its own.
    if all(name != _POLICY_HEADER for name, _ in headers):
        headers.append((_POLICY_HEADER, _POLICY))
    return headers
