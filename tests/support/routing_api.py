"""Calls of routing's API with an assertion that the desk signs."""

import json as json_format
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from simpul_cli.keys import key_file
from simpul_dev.local_city import LocalCity
from simpul_routing.api.authentication import AUDIENCE
from simpul_routing.domain.actors import Actor
from simpul_runtime.assertions import HttpRequest, assert_actor
from simpul_runtime.database import utc_now
from simpul_seal import KeyRing
from tests.support.actors import UPTD


def assertion(
    city: LocalCity, method: str, target: str, body: bytes = b"", actor: Actor = UPTD, issuer: str = "desk"
) -> str:
    """Returns the header by which a service says who acts."""
    ring = KeyRing.read(key_file(city.keys, issuer))
    return assert_actor(
        HttpRequest(method, target, body),
        ring,
        utc_now(),
        audience=AUDIENCE,
        person=actor.person,
        agency=actor.agency,
        role=actor.role,
    )


async def call(
    city: LocalCity,
    method: str,
    path: str,
    authorization: str | None = None,
    *,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    actor: Actor = UPTD,
) -> tuple[int, Any, Any]:
    """Calls routing's API; returns status, body and headers of the answer."""
    url = URL(city.url("routing") + path)
    body = b"" if json is None else json_format.dumps(json).encode()
    signed = assertion(city, method, url.raw_path_qs, body, actor) if authorization is None else authorization
    sent = {"Authorization": signed, "Content-Type": "application/json"} | dict(headers or {})
    async with aiohttp.ClientSession() as session, session.request(method, url, data=body, headers=sent) as answer:
        found = await answer.json() if answer.content_type == "application/json" else None
        return answer.status, found, answer.headers
