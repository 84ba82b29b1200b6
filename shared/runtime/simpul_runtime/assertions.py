"""Signed assertions of who acts: one HTTP request, vouched for by the service or the command that sends it.

The header `Authorization` is `Simpul <claims> v1 <key id> <signature>`: the claims as JSON in base64url, signed like
an event but in a domain of its own. An assertion names the request by method, target and body, so that it is good for
no other one, and it ends after seconds.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final
from uuid import UUID

from fastapi import Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory, KeyRing, SealError, sign, verify
from simpul_seal.encoding import decode, encode

SCHEME: Final = "Simpul"
"""Scheme of the header `Authorization`."""
DOMAIN: Final = "simpul-assertion-v1"
"""Prefix of the signed bytes, so that the signature of an event is never an assertion."""
LIFETIME: Final = timedelta(seconds=60)
"""How long an assertion is valid."""
MAX_CLOCK_SKEW: Final = timedelta(seconds=30)
"""How far the clock of a sender may be ahead."""
_MAX_HEADER: Final = 2000
"""Characters of the longest header that is read; a real one has under 800."""
_PARTS: Final = 3

PartyCode = Annotated[str, Field(pattern=r"^[a-z0-9-]{2,60}$")]


class Claims(BaseModel):
    """Who acts in which request, as its sender asserts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    audience: PartyCode
    """The service that the request is for."""
    person: UUID
    """Reference of the person; random, so that it is never a name."""
    agency: PartyCode
    """The agency for which the person acts."""
    role: ActorRole
    request: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the request, see `digest_request`."""
    issued_at: AwareDatetime
    expires_at: AwareDatetime


class AssertionFault(StrEnum):
    """What is wrong with an assertion."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    UNKNOWN_KEY = "unknown_key"
    FORGED = "forged"
    OTHER_AUDIENCE = "other_audience"
    OTHER_REQUEST = "other_request"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"


class AssertionInvalid(Exception):
    """The request has no valid assertion of who acts."""

    def __init__(self, fault: AssertionFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What an assertion names of a request."""

    method: str
    target: str
    """Path and query."""
    body: bytes = b""


async def read_http_request(request: Request) -> HttpRequest:
    """Reads what an assertion names of a request that a service received."""
    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    return HttpRequest(request.method, f"{path}?{query}" if query else path, await request.body())


@dataclass(frozen=True, slots=True)
class Verified:
    """The claims of an assertion, the party that signed it, and its key."""

    claims: Claims
    issuer: str
    keyid: str


def digest_request(request: HttpRequest) -> str:
    """Returns the digest by which an assertion names a request."""
    parts = (request.method.upper(), request.target, sha256(request.body).hexdigest())
    return sha256("\n".join(parts).encode()).hexdigest()


def assert_actor(
    request: HttpRequest, ring: KeyRing, now: datetime, *, audience: str, person: UUID, agency: str, role: ActorRole
) -> str:
    """Returns the value of the header `Authorization` for one request."""
    claims = Claims(
        audience=audience,
        person=person,
        agency=agency,
        role=role,
        request=digest_request(request),
        issued_at=now,
        expires_at=now + LIFETIME,
    )
    body = claims.model_dump_json().encode()
    return f"{SCHEME} {encode(body)} {sign(body, ring, domain=DOMAIN)}"


def verify_assertion(
    header: str, request: HttpRequest, audience: str, find_keys: Callable[[str], Directory], now: datetime
) -> Verified:
    """Verifies the assertion of a request; raises AssertionInvalid.

    `find_keys` returns the directory that may hold the key of an id. The signature is checked before the claims are
    read.
    """
    if not header:
        raise AssertionInvalid(AssertionFault.MISSING)
    scheme, body, signature = _split_header(header)
    keyid = signature.split(" ")[1] if signature.count(" ") == _PARTS - 1 else ""
    if scheme.lower() != SCHEME.lower() or not keyid:
        raise AssertionInvalid(AssertionFault.UNREADABLE)
    directory = find_keys(keyid)
    try:
        directory.key(keyid, now)
    except SealError as error:
        raise AssertionInvalid(AssertionFault.UNKNOWN_KEY) from error
    try:
        issuer = verify(body, signature, directory, now, domain=DOMAIN)
        claims = Claims.model_validate_json(body)
    except SealError as error:
        raise AssertionInvalid(AssertionFault.FORGED) from error
    except ValidationError as error:
        raise AssertionInvalid(AssertionFault.UNREADABLE) from error
    _check_claims(claims, request, audience, now)
    return Verified(claims, issuer, keyid)


def _split_header(header: str) -> tuple[str, bytes, str]:
    parts = header.split(" ", _PARTS - 1)
    if len(header) > _MAX_HEADER or len(parts) != _PARTS:
        raise AssertionInvalid(AssertionFault.UNREADABLE)
    try:
        return parts[0], decode(parts[1]), parts[2]
    except ValueError as error:
        raise AssertionInvalid(AssertionFault.UNREADABLE) from error


def _check_claims(claims: Claims, request: HttpRequest, audience: str, now: datetime) -> None:
    if claims.audience != audience:
        raise AssertionInvalid(AssertionFault.OTHER_AUDIENCE)
    if not hmac.compare_digest(claims.request, digest_request(request)):
        raise AssertionInvalid(AssertionFault.OTHER_REQUEST)
    if claims.issued_at > now + MAX_CLOCK_SKEW:
        raise AssertionInvalid(AssertionFault.NOT_YET_VALID)
    if now >= min(claims.expires_at, claims.issued_at + LIFETIME):
        raise AssertionInvalid(AssertionFault.EXPIRED)
