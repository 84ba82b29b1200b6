"""Who acts in a request: the person and role that a service of the city, or a token, asserts with a signature."""

from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader

from simpul_routing.domain.actors import PERMITTED, Actor, ApiAction, is_permitted
from simpul_routing.errors import RoleNotPermitted
from simpul_routing.operator_tokens import EnrolledTokens, directory_of
from simpul_runtime.assertions import (
    AssertionFault,
    AssertionInvalid,
    Verified,
    read_http_request,
    verify_assertion,
)
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory

AUDIENCE: Final = "routing"
ISSUERS: Final = frozenset({"desk"})
"""Services that have accounts of people and may assert who acts."""
ASSERTION: Final = APIKeyHeader(
    name="Authorization",
    auto_error=False,
    scheme_name="assertion",
    description="`Simpul <claims> v1 <key id> <signature>`: who acts in this one request; docs/operators.md",
)
"""Documents the header; `Authentication` reads and verifies it."""


class Permission:
    """The dependency of a route that permits its action to some roles."""

    def __init__(self, authentication: "Authentication", action: ApiAction) -> None:
        self._authentication = authentication
        self.action = action

    async def __call__(self, request: Request) -> Actor:
        """Returns the person who acts. Raises AssertionInvalid and RoleNotPermitted."""
        actor = await self._authentication.find_actor(request)
        if not is_permitted(actor.role, self.action):
            raise RoleNotPermitted([role for role in ActorRole if role in PERMITTED[self.action]])
        return actor


def permission_of(route: APIRoute) -> Permission | None:
    """Returns what permits a route; None for a public one."""
    calls = (dependency.call for dependency in route.dependant.dependencies)
    return next((call for call in calls if isinstance(call, Permission)), None)


def document_roles(web: FastAPI) -> None:
    """Adds to the documentation of each route which roles it permits."""
    for route in web.routes:
        permission = permission_of(route) if isinstance(route, APIRoute) else None
        if permission and isinstance(route, APIRoute):
            roles = [role for role in ActorRole if role in PERMITTED[permission.action]]
            route.openapi_extra = {**(route.openapi_extra or {}), "x-roles": [role.value for role in roles]}
            permitted = f"For people in the role {', '.join(role.value for role in roles)}."
            route.description = f"{route.description}\n\n{permitted}" if route.description else permitted


class Authentication:
    """Verifies who acts, and whether their role permits it."""

    def __init__(self, directory: Directory, tokens: EnrolledTokens) -> None:
        self._directory = directory
        self._tokens = tokens

    def permit(self, action: ApiAction) -> Any:
        """Returns the parameter of a route that is the person who acts, if their role permits the action."""
        return Depends(Permission(self, action))

    async def find_actor(self, request: Request) -> Actor:
        """Finds who acts in a request. Raises AssertionInvalid."""
        sent = await read_http_request(request)
        header = request.headers.get("authorization", "")
        return self._check_issuer(verify_assertion(header, sent, AUDIENCE, self._find_keys, utc_now()))

    def _find_keys(self, keyid: str) -> Directory:
        token = self._tokens.find(keyid)
        return directory_of(token) if token else self._directory

    def _check_issuer(self, verified: Verified) -> Actor:
        """A token asserts its own person only, and of the city's parties only the issuers assert anybody."""
        claims = verified.claims
        actor = Actor(claims.person, claims.agency, claims.role)
        token = self._tokens.find(verified.keyid)
        is_valid = token.actor == actor if token else verified.issuer in ISSUERS
        if not is_valid:
            raise AssertionInvalid(AssertionFault.UNKNOWN_KEY)
        return actor
