"""Calls the management API of RabbitMQ."""

from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import quote, urlsplit

import aiohttp


class BrokerRefused(Exception):
    """The management API refused a request; the message names the request."""


@dataclass
class BrokerApi:
    """The management API of one virtual host."""

    url: str
    vhost: str = "/"
    _session: Optional[aiohttp.ClientSession] = field(default=None, repr=False)

    async def __aenter__(self) -> "BrokerApi":
        parts = urlsplit(self.url)
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api"
        self._session = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(parts.username or "guest", parts.password or "guest")},
            timeout=aiohttp.ClientTimeout(total=30),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def call(self, method: str, *path: str, body: Any = None) -> Any:
        """Sends a request; `{vhost}` in the path is replaced. Returns None for a GET that finds nothing."""
        if self._session is None:
            msg = "use the API inside `async with`"
            raise RuntimeError(msg)
        steps = "/".join(quote(self.vhost if step == "{vhost}" else step, safe="") for step in path)
        async with self._session.request(method, f"{self._base}/{steps}", json=body) as response:
            if response.status == 404 and method == "GET":
                return None
            if response.status >= 400:
                msg = f"{method} {steps}: {response.status} {(await response.text())[:300]}"
                raise BrokerRefused(msg)
            return await response.json(content_type=None) if response.content_length != 0 and method == "GET" else None
