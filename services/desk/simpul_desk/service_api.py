"""The APIs of the other services, called as the person who is signed in; each call is signed with the desk's key."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import aiohttp
from yarl import URL

from simpul_desk.access.user import Actor
from simpul_runtime.assertions import HttpRequest, assert_actor
from simpul_runtime.database import utc_now
from simpul_runtime.signing import Keys

TIMEOUT: Final = 8.0
"""Seconds; a page of the desk has nine."""


class ServiceUnavailable(Exception):
    """The service does not answer, or not as its API does; try again later."""


class ServiceRefused(Exception):
    """The service refuses a call."""

    def __init__(self, status: int, content: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(content.get("code", ""))
        """Stable, such as `case_changed`."""
        self.messages: Mapping[str, str] = content["messages"]
        """What a person reads, by language."""
        self.content = content
        """The whole answer."""
        super().__init__(self.code)

    @property
    def is_unknown(self) -> bool:
        """Whether there is no such thing for this person."""
        return self.status == 404


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answers."""

    content: Any
    """The JSON, or the text of a file."""
    version: str = ""
    """The ETag of the case, on which a change is based."""


class ServiceApi:
    """Calls a service for people who are signed in."""

    AUDIENCE: ClassVar[str]
    """The service that the assertions are for."""

    def __init__(self, url: str, keys: Keys) -> None:
        self._url = URL(url)
        self._keys = keys
        self._session: aiohttp.ClientSession | None = None

    async def get(self, actor: Actor, path: str, **query: str | int | None) -> Answer:
        """Reads a path as a person, such as `routing.get(user.act_in(agency), "/cases", limit=50)`.

        Raises ServiceRefused and ServiceUnavailable.
        """
        return await self.call(actor, "GET", path, query=query)

    async def call(
        self,
        actor: Actor,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str | int | None] | None = None,
        version: str = "",
    ) -> Answer:
        """Calls the service as a person; `version` is the ETag of the case that a change is based on.

        Raises ServiceRefused and ServiceUnavailable.
        """
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        address = (self._url / path.lstrip("/")).with_query({name: str(value) for name, value in given.items()})
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Authorization": self._sign(actor, method, address, content), "Accept": "application/json"}
        headers |= {"Content-Type": "application/json"} if content else {}
        headers |= {"If-Match": version} if version else {}
        if self._session is None:
            raise ServiceUnavailable
        try:
            async with self._session.request(method, address, data=content or None, headers=headers) as answer:
                text = await answer.text()
                return _read(answer.status, answer.content_type, text, answer.headers.get("ETag", ""))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ServiceUnavailable from error

    async def run(self) -> None:
        """Keeps connections open while the service runs, and closes them at its end."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
            self._session = session
            await asyncio.Event().wait()

    def _sign(self, actor: Actor, method: str, address: URL, content: bytes) -> str:
        now = utc_now()
        return assert_actor(
            HttpRequest(method, address.raw_path_qs, content),
            self._keys.choose_ring(now),
            now,
            audience=self.AUDIENCE,
            person=actor.person,
            agency=actor.agency,
            role=actor.role,
        )


class RoutingApi(ServiceApi):
    """Routing: cases, referrals and everything that people decide."""

    AUDIENCE = "routing"


class NotifyApi(ServiceApi):
    """Notify: how alerts reached people."""

    AUDIENCE = "notify"


class IntakeApi(ServiceApi):
    """Intake: reports, filed for the agency of a member."""

    AUDIENCE = "intake"


def _read(status: int, content_type: str, text: str, version: str) -> Answer:
    """Reads an answer; raises ServiceRefused and ServiceUnavailable."""
    try:
        content = json.loads(text) if text and content_type == "application/json" else text
    except ValueError as error:
        raise ServiceUnavailable from error
    if status < 400:
        return Answer(content, version)
    # A refused signature is a fault of the desk's keys or clock, about which the person can do nothing.
    if status == 401 or status >= 500 or not isinstance(content, dict) or "messages" not in content:
        raise ServiceUnavailable
    raise ServiceRefused(status, content)
