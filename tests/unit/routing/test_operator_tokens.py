"""Tokens of people: issued to a file that only they can read, listed, ended and revoked without a restart."""

import re
import stat
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.requests import Request
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_routing.api.authentication import AUDIENCE, Authentication
from simpul_routing.domain.actors import Actor
from simpul_routing.operator_tokens import EnrolledTokens, Token, TokenFileInvalid, issue_token, list_tokens
from simpul_runtime.assertions import AssertionFault, AssertionInvalid, HttpRequest, assert_actor
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory, KeyRing
from tests.support.actors import UPTD, acting

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"


def signed(ring: KeyRing, actor: Actor) -> Request:
    """Returns a request whose sender asserts that the actor acts."""
    header = assert_actor(
        HttpRequest("GET", "/cases"),
        ring,
        utc_now(),
        audience=AUDIENCE,
        person=actor.person,
        agency=actor.agency,
        role=actor.role,
    )
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": "/cases",
            "raw_path": b"/cases",
            "query_string": b"",
            "headers": [(b"authorization", header.encode())],
        },
        receive=_no_body,
    )


async def _no_body() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


def run(*arguments: str) -> tuple[int, str, str]:
    """Runs `simpul token` and returns its exit code, output and errors."""
    ended = CliRunner().invoke(app, ["token", *arguments])
    return ended.exit_code, ended.stdout, ended.stderr


async def test_a_token_asserts_its_own_person_and_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    authentication = Authentication(Directory([]), EnrolledTokens(file))
    token = issue_token(file, UPTD, utc_now(), timedelta(days=1))

    assert await authentication.find_actor(signed(token.ring, UPTD)) == UPTD
    for other in (acting("ylpa"), Actor(uuid4(), "uptd-ppa", UPTD.role), acting("uptd-ppa", ActorRole.OPERATOR)):
        with pytest.raises(AssertionInvalid) as error:
            await authentication.find_actor(signed(token.ring, other))
        assert error.value.fault is AssertionFault.UNKNOWN_KEY


async def test_a_token_that_ended_or_was_revoked_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    authentication = Authentication(Directory([]), EnrolledTokens(file))
    ended = issue_token(file, UPTD, utc_now() - timedelta(days=2), timedelta(days=1))
    token = issue_token(file, UPTD, utc_now(), timedelta(days=1))
    assert await authentication.find_actor(signed(token.ring, UPTD)) == UPTD

    assert run("revoke", token.token_id, "--file", str(file))[0] == 0
    for refused in (ended, token):
        with pytest.raises(AssertionInvalid):
            await authentication.find_actor(signed(refused.ring, UPTD))


def test_a_token_is_written_for_its_owner_only_and_never_over_a_file(tmp_path: Path) -> None:
    file, to = tmp_path / "tokens.json", tmp_path / "own" / "token.json"
    options = ["--file", str(file), "--city-dir", str(KEDIRI), "--to", str(to)]

    code, output, _ = run("issue", "uptd-ppa", "coordinator", *options)
    again, _, refusal = run("issue", "uptd-ppa", "coordinator", *options)

    token, [enrolled] = Token.read(to), list_tokens(file)
    assert (code, stat.S_IMODE(to.stat().st_mode)) == (0, 0o600)
    assert token.actor == enrolled.actor
    assert token.actor.code in output
    assert token.ring.to_json()["signing"] not in file.read_text()
    assert (again, "exists" in refusal) == (2, True)
    assert len(list_tokens(file)) == 1


def test_tokens_are_listed_with_their_end_and_a_wrong_command_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    issue_token(file, UPTD, utc_now() - timedelta(days=2), timedelta(days=1))
    options = ["--file", str(file), "--city-dir", str(KEDIRI), "--to", str(tmp_path / "token.json")]

    _, listed, _ = run("list", "--file", str(file))
    unknown_agency = run("issue", "uptd-pap", "coordinator", *options)
    unknown_token = run("revoke", "00000000", "--file", str(file))

    assert re.search(r"uptd-ppa.*coordinator", listed)
    assert "did you mean uptd-ppa" in unknown_agency[2]
    assert "simpul token list" in unknown_token[2]
    assert [unknown_agency[0], unknown_token[0]] == [2, 2]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"tokens": [{}]}', "\x00"])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(content)

    assert EnrolledTokens(file).find("token.0") is None
    with pytest.raises(TokenFileInvalid, match=r"tokens\.json"):
        list_tokens(file)
    with pytest.raises(TokenFileInvalid):
        Token.read(file)
