"""Traces the requests that may change something; who reads what is not traced, as it is not logged."""

from typing import Any, Final

from simpul_runtime.shell import Message, Receive, Scope, Send
from simpul_schema.tracing import trace_request

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods of requests that change nothing."""


class RequestTraces:
    """Middleware in plain ASGI; only in use while traces are on."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http" or scope["method"] in READING:
            await self._app(scope, receive, send)
            return
        with trace_request(scope["method"]) as outcome:

            async def note_status(message: Message) -> None:
                if message["type"] == "http.response.start":
                    outcome.status = message["status"]
                    outcome.route = getattr(scope.get("route"), "path", "")
                await send(message)

            await self._app(scope, receive, note_status)
