"""Which complaint centre sends a report: by its token, or as the desk asserts of one of its members."""

from collections.abc import Collection
from typing import Final

from fastapi import Request

from simpul_intake.centre_tokens import CentreTokens
from simpul_intake.errors import TokenUnknown
from simpul_runtime.assertions import SCHEME, AssertionInvalid, HttpRequest, read_http_request, verify_assertion
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import ActorRole
from simpul_seal import Directory

AUDIENCE: Final = "intake"
ISSUERS: Final = frozenset({"desk"})
"""Services that have accounts of people and may assert for whom one acts."""
_MEMBERS: Final = frozenset({ActorRole.RESPONDER, ActorRole.CASE_MANAGER, ActorRole.AGENCY_LEAD})
"""Roles of people who file reports for their agency."""


class CentreAuthentication:
    """Finds the complaint centre of a request."""

    def __init__(self, tokens: CentreTokens, directory: Directory, centres: Collection[str]) -> None:
        self._tokens = tokens
        self._directory = directory
        self._centres = centres

    async def find_centre(self, request: Request) -> str:
        """Returns the centre that a request proves to come from; empty without a proof. Raises TokenUnknown."""
        header = request.headers.get("authorization", "")
        if not header:
            return ""
        scheme, _, token = header.partition(" ")
        if scheme.lower() == SCHEME.lower():
            return self._find_asserted(header, await read_http_request(request))
        centre = self._tokens.find_centre(token.strip()) if scheme.lower() == "bearer" else ""
        if not centre:
            raise TokenUnknown
        return centre

    def _find_asserted(self, header: str, request: HttpRequest) -> str:
        try:
            verified = verify_assertion(header, request, AUDIENCE, lambda _: self._directory, utc_now())
        except AssertionInvalid as error:
            raise TokenUnknown from error
        claims = verified.claims
        if verified.issuer not in ISSUERS or claims.role not in _MEMBERS or claims.agency not in self._centres:
            raise TokenUnknown
        return claims.agency
