"""Who acts at the API for pages: a person with accounts at the desk, asserted by its signature for one request."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request
from starlette.exceptions import HTTPException

from simpul_runtime.assertions import AssertionInvalid, Claims, read_http_request, verify_assertion
from simpul_runtime.database import utc_now
from simpul_runtime.signing import Keys
from simpul_schema.vocabulary import ActorRole

AUDIENCE: Final = "notify"
_ISSUER: Final = "desk"
"""The service that has accounts of people and may assert who acts."""


async def verify_actor(request: Request, keys: Keys) -> Claims:
    """Returns who acts; whoever cannot prove it learns only that it was not proved."""
    header: Any = request.headers.get("authorization", "")
    sent = await read_http_request(request)
    try:
        verified = verify_assertion(header, sent, AUDIENCE, lambda _: keys.directory, utc_now())
    except AssertionInvalid as invalid:
        raise HTTPException(401) from invalid
    if verified.issuer != _ISSUER:
        raise HTTPException(401)
    return verified.claims


def find_parties(claims: Claims, levels: Mapping[str, str]) -> frozenset[str] | None:
    """Returns whose matters a person may read: their agency's with the levels in it, None for everybody's.

    `levels` maps each escalation level to the agency that it is part of.
    """
    match claims.role:
        case ActorRole.COORDINATOR:
            return None
        case ActorRole.AGENCY_LEAD:
            return frozenset({claims.agency, *(level for level, part_of in levels.items() if part_of == claims.agency)})
        case _:
            raise HTTPException(403)
