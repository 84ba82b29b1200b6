"""The HTTP edge for the desk and for operators."""

import hmac
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from simpul_routing.api.deeds import add_deeds
from simpul_routing.api.figures import add_figures
from simpul_routing.api.reading import add_reading
from simpul_routing.api.refusals import add_refusals
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
    """The routes; every one asks for the token."""
    bearer = HTTPBearer(auto_error=False)

    def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        sent = given.credentials if given else ""
        if not hmac.compare_digest(sent.encode(), token.get_secret_value().encode()):
            raise HTTPException(401, "Token salah atau tidak ada. / The token is wrong or missing.")

    guard = Depends(allowed)
    add_reading(web, service, guard)
    add_deeds(web, triage_cases, end_cases, withdraw_consent, decide_exclusions, guard)
    add_figures(web, service, guard)
    add_refusals(web)
