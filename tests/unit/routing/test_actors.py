"""Which roles may do what through routing's API, and which cases people may know of."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from simpul_routing.api import add_api
from simpul_routing.api.authentication import AUDIENCE, permission_of
from simpul_routing.consent_texts import ConsentTexts
from simpul_routing.domain.actors import PERMITTED, Actor, ApiAction, has_access, is_excluded, sees_every_case
from simpul_routing.operator_tokens import EnrolledTokens
from simpul_runtime.assertions import HttpRequest, assert_actor
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory, generate
from tests.support.actors import acting
from tests.support.agreements import CITY, kediri

AGREEMENT = kediri()
OPERATORS = Path(__file__).parents[3] / "docs" / "operators.md"
NOW = datetime.now(UTC)
RING, PUBLIC = generate("desk", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))


class _Reached(Exception):
    """The request passed the guard."""


class _Unreachable:
    """Stands for the database and the use cases, which a refused request never reaches."""

    def __getattr__(self, name: str) -> Any:
        raise _Reached


@pytest.fixture(scope="module")
def web() -> FastAPI:
    found = FastAPI()
    keys = SimpleNamespace(directory=Directory([PUBLIC]))
    service = cast("Any", SimpleNamespace(keys=keys, engine=_Unreachable()))
    cases = cast("Any", _Unreachable())
    add_api(
        found,
        service,
        CITY,
        cases,
        cases,
        cases,
        cases,
        cases,
        cases,
        cases,
        EnrolledTokens(None),
        ConsentTexts(),
        cases,
        cases,
        cases,
    )
    return found


def guarded_routes(web: FastAPI) -> Iterator[tuple[str, str, ApiAction | None]]:
    for route in web.routes:
        if isinstance(route, APIRoute):
            permission = permission_of(route)
            action = permission.action if permission else None
            yield from ((method, route.path, action) for method in route.methods or ())


def documented_roles() -> dict[str, set[str]]:
    """Returns the table of docs/operators.md: action -> roles."""
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", OPERATORS.read_text(), re.MULTILINE)
    columns = [role.value for role in ActorRole]
    table = {name: [cell.strip() for cell in cells.split("|")] for name, cells in lines if name in set(ApiAction)}
    return {name: {role for role, cell in zip(columns, cells, strict=True) if cell} for name, cells in table.items()}


def test_the_documentation_states_every_permission() -> None:
    assert documented_roles() == {action.value: {role.value for role in roles} for action, roles in PERMITTED.items()}


def test_every_route_has_an_action_and_every_action_a_route(web: FastAPI) -> None:
    actions = {action for _, _, action in guarded_routes(web)}

    assert actions == set(ApiAction)


async def test_each_role_reaches_exactly_what_it_is_permitted(web: FastAPI) -> None:
    documented = documented_roles()
    for method, path, action in guarded_routes(web):
        assert action is not None
        target = re.sub(r"\{agency\}", "ylpa", re.sub(r"\{right\}", "education", path))
        target = re.sub(r"\{\w+\}", str(uuid4()), target)
        for role in ActorRole:
            is_refused = await send_request(web, method, target, acting("uptd-ppa", role)) == 403
            assert is_refused is (role.value not in documented[action.value]), (method, path, role)


async def send_request(web: FastAPI, method: str, target: str, actor: Actor) -> int:
    """Sends a signed request without a body; returns the status of the answer, 200 if it passed the guard."""
    signed = assert_actor(
        HttpRequest(method, target),
        RING,
        utc_now(),
        audience=AUDIENCE,
        person=actor.person,
        agency=actor.agency,
        role=actor.role,
    )
    scope = {
        "type": "http",
        "method": method,
        "path": target,
        "raw_path": target.encode(),
        "query_string": b"",
        "headers": [(b"authorization", signed.encode())],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await web(scope, receive, send)
    except _Reached:
        return 200
    assert sent[0]["status"] in (403, 422), sent
    return int(sent[0]["status"])


@pytest.mark.parametrize("role", list(ActorRole))
def test_people_of_an_excluded_agency_know_nothing_of_the_case(role: ActorRole) -> None:
    for code in ("uptd-ppa", "uptd-ppa-head"):
        assert not has_access(acting(code, role), frozenset({"uptd-ppa"}), {"uptd-ppa"}, AGREEMENT)


def test_an_agency_is_excluded_with_the_party_that_it_is_part_of() -> None:
    assert is_excluded("uptd-ppa-head", {"uptd-ppa"}, AGREEMENT)
    assert not is_excluded("uptd-ppa", {"uptd-ppa-head"}, AGREEMENT)
    assert not is_excluded("city-board", {"uptd-ppa"}, AGREEMENT)


@pytest.mark.parametrize("role", [ActorRole.CASE_MANAGER, ActorRole.AGENCY_LEAD, ActorRole.RESPONDER])
def test_people_of_an_agency_know_of_its_own_cases_only(role: ActorRole) -> None:
    ylpa = acting("ylpa", role)

    assert has_access(ylpa, frozenset(), {"ylpa"}, AGREEMENT)
    assert not has_access(ylpa, frozenset(), {"uptd-ppa"}, AGREEMENT)
    assert not sees_every_case(ylpa, AGREEMENT)


def test_an_emergency_reader_knows_of_a_case_unless_their_agency_is_excluded() -> None:
    reader = acting("ylpa", ActorRole.EMERGENCY_READER)

    assert has_access(reader, frozenset(), set(), AGREEMENT)
    assert not has_access(reader, frozenset({"ylpa"}), set(), AGREEMENT)


def test_people_of_the_hub_coordinators_and_operators_know_of_every_case() -> None:
    for actor in (acting("uptd-ppa", ActorRole.RESPONDER), acting("ylpa"), acting("kominfo", ActorRole.OPERATOR)):
        assert has_access(actor, frozenset(), set(), AGREEMENT)
