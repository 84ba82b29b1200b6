"""Wraps every request: limits its size and time, adds security headers, and answers failures."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import Request
from starlette.exceptions import HTTPException

from simpul_runtime.failure_responses import PAGE_POLICY, FailureResponses
from simpul_runtime.failures import record_failure, request_failure

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", PAGE_POLICY.encode()),
)
MAX_DISCARDED_BYTES: Final = 8 * 1024 * 1024
"""How much of a refused body is read and discarded; a browser shows the response only after sending its body."""
DISCARD_TIMEOUT: Final = 5.0
"""Seconds for discarding a body."""
_UTF_8: Final = re.compile(rb"""charset\s*=\s*"?utf-8"?\s*(;|$)""")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one request."""

    body_bytes: int = 256 * 1024
    seconds: float = 9.0
    """From the end of the request's body to the start of the response, so that a slow client uses up none of it."""


class BodyTooLarge(HTTPException):
    """The request is larger than the service accepts; send less."""

    def __init__(self) -> None:
        super().__init__(status_code=413)


class Shell:
    """Middleware in plain ASGI, because every request passes it."""

    def __init__(self, app: Any, limits: Mapping[str, Limits], failures: FailureResponses) -> None:
        """Takes `limits` of the paths whose limits differ from the default."""
        self._app = app
        self._limits = limits
        self._default = Limits()
        self._failures = failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._limits.get(scope["path"], self._default))
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
    """A request and its response, under limits."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._receive, self._send, self._limits = receive, send, limits
        headers = dict(scope["headers"])
        self._declared = headers.get(b"content-length", b"0")
        self._has_foreign_charset = _has_foreign_charset(scope)
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
        """Receives the next part of the body.

        Raises BodyTooLarge if there is too much of it, and HTTPException if its character set must not be decoded.
        """
        if self._has_foreign_charset:
            raise HTTPException(400)
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._limits.body_bytes:
            raise BodyTooLarge
        if self._has_more and not message.get("more_body", False):
            self._has_more = False
            self.time_limit.reschedule(asyncio.get_running_loop().time() + self._limits.seconds)
        return message

    async def send(self, message: Message) -> None:
        """Sends a message; adds the headers and lifts the time limit when the response starts."""
        if message["type"] == "http.response.start":
            if message["status"] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                await self._discard_body()
            self.end_time_limit()
            self.has_started = True
            message["headers"] = _with_security_headers(message.get("headers", ()))
        await self._send(message)

    def end_time_limit(self) -> None:
        """Lifts the time limit, because a slow client may take long to read the response."""
        if self._is_limited:
            self._is_limited = False
            self.time_limit.reschedule(None)

    def leave_time_limit(self) -> None:
        """Notes that the time limit is over, because the application has returned."""
        self._is_limited = False

    async def _discard_body(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_TIMEOUT):
                while self._has_more and self._read < MAX_DISCARDED_BYTES:
                    message = await self._receive()
                    self._read += len(message.get("body", b""))
                    self._has_more = message.get("more_body", False)


def _has_foreign_charset(scope: Scope) -> bool:
    """Whether a form with files names another character set: no browser does, and some take minutes to decode."""
    types = [value.lower() for name, value in scope["headers"] if name == b"content-type"]
    return any(b"multipart" in one and b"charset" in _UTF_8.sub(b"", one) for one in types)


def _with_security_headers(given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    headers = list(given)
    names = {name for name, _ in headers}
    # A response that needs another value, such as the policy of the API documentation, brings its own.
    return headers + [header for header in _HEADERS if header[0] not in names]
