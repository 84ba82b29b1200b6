"""The complaint centre of a request: by its own token, or as the desk asserts of one of its members."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from simpul_intake.api.authentication import AUDIENCE, CentreAuthentication
from simpul_intake.centre_tokens import CentreTokens, add_token
from simpul_intake.errors import TokenUnknown
from simpul_runtime.assertions import HttpRequest, assert_actor
from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory, KeyRing, generate
from tests.support.asgi_browser import AsgiBrowser

CENTRES = frozenset({"ylpa", "uptd-ppa"})
NOW = datetime.now(UTC)
DESK, AGENCY = (
    generate(party, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1)) for party in ("desk", "ylpa")
)
DIRECTORY = Directory([DESK[1], AGENCY[1]])
BODY = b"report=one"


async def find(authorization: str, tokens: CentreTokens, *, target: str = "/reports?a=1", body: bytes = BODY) -> str:
    """Returns the centre of a request as intake finds it, or the name of the error."""
    web = FastAPI()
    authentication = CentreAuthentication(tokens, DIRECTORY, CENTRES)

    @web.post("/reports")
    async def show(request: Request) -> JSONResponse:
        try:
            return JSONResponse(await authentication.find_centre(request))
        except TokenUnknown:
            return JSONResponse("TokenUnknown")

    headers = {"authorization": authorization} if authorization else {}
    return str(json.loads((await AsgiBrowser(web).send("POST", target, body, **headers)).text))


def asserted(
    ring: KeyRing = DESK[0],
    *,
    agency: str = "ylpa",
    role: ActorRole = ActorRole.RESPONDER,
    audience: str = AUDIENCE,
    body: bytes = BODY,
    age: timedelta = timedelta(),
) -> str:
    request = HttpRequest("POST", "/reports?a=1", body)
    # Signed when the test runs, not when it is collected: an assertion is valid for a minute.
    at = datetime.now(UTC) - age
    return assert_actor(request, ring, at, audience=audience, person=uuid4(), agency=agency, role=role)


async def test_no_header_is_anonymous_and_a_token_names_its_centre(tmp_path: Path) -> None:
    path = tmp_path / "centre-tokens.json"
    token = add_token(path, "ylpa")
    tokens = CentreTokens(path, CENTRES)

    assert [await find(header, tokens) for header in ("", f"bearer {token}")] == ["", "ylpa"]
    for header in (token, f"Basic {token}", "Bearer", "Bearer ", f"Bearer {token}x", f"Bearer x{token}"):
        assert await find(header, tokens) == "TokenUnknown"
    assert await find(f"Bearer {token}", CentreTokens(None, CENTRES)) == "TokenUnknown"


async def test_the_desk_asserts_for_which_centre_a_member_files() -> None:
    tokens = CentreTokens(None, CENTRES)

    assert await find(asserted(), tokens) == "ylpa"
    assert await find(asserted(agency="uptd-ppa", role=ActorRole.AGENCY_LEAD), tokens) == "uptd-ppa"


@pytest.mark.parametrize(
    "sign",
    [
        lambda: asserted(AGENCY[0]),
        lambda: asserted(agency="nobody"),
        lambda: asserted(role=ActorRole.OPERATOR),
        lambda: asserted(audience="routing"),
        lambda: asserted(body=b"report=another"),
        lambda: asserted(age=timedelta(minutes=5)),
        lambda: asserted()[:-4],
        lambda: "Simpul",
    ],
    ids=["own_key", "no_agency", "role", "audience", "body", "old", "cut", "empty"],
)
async def test_any_other_assertion_is_refused(sign: Callable[[], str]) -> None:
    assert await find(sign(), CentreTokens(None, CENTRES)) == "TokenUnknown"
