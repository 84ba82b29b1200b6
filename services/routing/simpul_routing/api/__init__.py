"""The HTTP API for the desk and for operators."""

import hmac
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from simpul_routing.api.actions import add_action_routes
from simpul_routing.api.error_handlers import add_error_handlers
from simpul_routing.api.indicators import add_indicator_routes
from simpul_routing.api.queries import add_query_routes
from simpul_routing.use_cases import DecideExclusions, EndCases, TriageCases, WithdrawConsent
from simpul_runtime.service import Service

__all__ = ["add_api"]


def add_api(
    web: FastAPI,
    service: Service,
    triage_cases: TriageCases,
    end_cases: EndCases,
    withdraw_consent: WithdrawConsent,
    decide_exclusions: DecideExclusions,
    token: SecretStr,
) -> None:
    """Adds the routes; each requires the bearer token."""
    bearer = HTTPBearer(auto_error=False)

    def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        sent = given.credentials if given else ""
        if not hmac.compare_digest(sent.encode(), token.get_secret_value().encode()):
            raise HTTPException(401, "Token salah atau tidak ada. / The token is wrong or missing.")

    guard = Depends(allowed)
    add_query_routes(web, service, guard)
    add_action_routes(web, triage_cases, end_cases, withdraw_consent, decide_exclusions, guard)
    add_indicator_routes(web, service, guard)
    add_error_handlers(web)
