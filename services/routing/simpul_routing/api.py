"""The HTTP edge for the desk and for operators: cases, their timeline, an agency's worklist."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from simpul_routing import repository
from simpul_routing.domain.lifecycle import ReferralState
from simpul_routing.errors import CaseChanged, CaseHasEnded, CaseIsOpen, CaseUnknown, ReasonMissing, RightsLacking
from simpul_routing.repository import StoredCase
from simpul_routing.use_cases import EndCases
from simpul_runtime.service import Service
from simpul_schema.references import case_reference, referral_code
from simpul_schema.vocabulary import CaseEnd, ReferralRole, Right, RightState
from simpul_schema.vocabulary import Service as Need

_BEGINNING: Final = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
_REFUSALS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    CaseUnknown: (404, "Kasus ini tidak dikenal. / This case is not known."),
    CaseChanged: (
        412,
        "Kasus ini sudah diubah orang lain; baca lagi. / The case was changed meanwhile; read it again.",
    ),
    CaseHasEnded: (409, "Kasus ini sudah ditutup; buka kembali dahulu. / The case has ended; reopen it first."),
    CaseIsOpen: (409, "Kasus ini belum ditutup. / The case has not ended."),
    ReasonMissing: (422, "Alasan wajib diisi. / A reason is required."),
}
Version = Annotated[str, Header(alias="If-Match", description="the ETag of the case as it was read")]


class _In(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    by: str = Field(pattern=r"^[a-z0-9-]{2,60}$", description="code of the person or agency that decides")
    reason: str = Field(default="", max_length=500, description="why; never a name")


class ClosingIn(_In):
    """How a case ends."""

    end: CaseEnd


class RightIn(_In):
    """Where a right stands."""

    state: RightState


def add_api(  # noqa: C901 - one short function for each route
    web: FastAPI, service: Service, end_cases: EndCases, token: SecretStr
) -> None:
    """The routes; every one asks for the token."""
    bearer = HTTPBearer(auto_error=False)
    names = {agency.code: agency.name for agency in service.city.agencies}

    def allowed(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        sent = given.credentials if given else ""
        if not hmac.compare_digest(sent.encode(), token.get_secret_value().encode()):
            raise HTTPException(401, "Token salah atau tidak ada. / The token is wrong or missing.")

    guarded: dict[str, Any] = {"dependencies": [Depends(allowed)], "tags": ["cases"]}

    @web.get("/cases/{case_id}", summary="A case with its rights and referrals", **guarded)
    async def case(case_id: UUID, response: Response) -> dict[str, Any]:
        async with service.engine.connect() as connection:
            found = await repository.case_of(connection, case_id)
            if found is None:
                raise CaseUnknown
            referrals = await repository.referrals_of(connection, case_id)
        response.headers["ETag"] = f'"{found.version}"'
        return _case_out(found) | {"referrals": [_referral_out(row, names) for row in referrals]}

    @web.get("/cases/{case_id}/timeline", summary="What happened, in plain words", **guarded)
    async def timeline(case_id: UUID, language: Literal["id", "en"] = "id") -> list[dict[str, Any]]:
        async with service.engine.connect() as connection:
            if await repository.case_of(connection, case_id) is None:
                raise CaseUnknown
            referrals = await repository.referrals_of(connection, case_id)
            changes = await repository.transitions_of(connection, case_id)
        # At the same moment a change comes before the offer that follows from it.
        lines = [(row["at"], 0, _change_words(row, names, language)) for row in changes]
        lines += [(row["offered_at"], 1, _offered_words(row, names, language)) for row in referrals]
        return [{"at": at, "words": words} for at, _, words in sorted(lines, key=lambda line: line[:2])]

    @web.get("/referrals", summary="An agency's open referrals, by the time an answer is due", **guarded)
    async def worklist(agency: str, after: str = "", limit: Annotated[int, Query(ge=1, le=200)] = 50) -> dict[str, Any]:
        async with service.engine.connect() as connection:
            rows = await repository.worklist(connection, agency, _place(after), limit + 1)
        shown = rows[:limit]
        return {
            "referrals": [_referral_out(row, names) for row in shown],
            "next": _cursor(shown[-1]) if len(rows) > limit else None,
        }

    @web.post("/cases/{case_id}/close", status_code=204, summary="Terminate a case", **guarded)
    async def close(case_id: UUID, version: Version, body: ClosingIn) -> None:
        await end_cases.close(case_id, _number(version), body.end, by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/reopen", status_code=204, summary="Let a terminated case go on", **guarded)
    async def reopen(case_id: UUID, version: Version, body: _In) -> None:
        await end_cases.reopen(case_id, _number(version), by=body.by, reason=body.reason)

    @web.put("/cases/{case_id}/rights/{right}", status_code=204, summary="Answer a right by hand", **guarded)
    async def answer(case_id: UUID, right: Right, version: Version, body: RightIn) -> None:
        await end_cases.answer_right(case_id, _number(version), right, body.state, by=body.by, reason=body.reason)

    async def refuse(_: Request, error: Exception) -> JSONResponse:
        status, words = _REFUSALS[type(error)]
        return JSONResponse({"detail": words}, status)

    for refusal in _REFUSALS:
        web.add_exception_handler(refusal, refuse)

    @web.exception_handler(RightsLacking)
    async def lacking(_: Request, error: RightsLacking) -> JSONResponse:
        words = ", ".join(f"{right.label('id')} / {right.label('en')}" for right in error.rights)
        detail = f"Hak ini belum terjawab. / These rights are not settled yet: {words}"
        return JSONResponse({"detail": detail, "rights": [right.value for right in error.rights]}, 409)


def _number(version: str) -> int:
    bare = version.removeprefix("W/").strip('"')
    if not (bare.isascii() and bare.isdecimal()):
        raise CaseChanged
    return int(bare)


def _cursor(row: Mapping[str, Any]) -> str:
    return urlsafe_b64encode(f"{row['answer_by'].isoformat()}|{row['referral_id']}".encode()).decode()


def _place(cursor: str) -> tuple[datetime, UUID]:
    if not cursor:
        return _BEGINNING
    try:
        moment, _, referral_id = urlsafe_b64decode(cursor).decode().partition("|")
        place = datetime.fromisoformat(moment).astimezone(UTC), UUID(referral_id)
    except (ValueError, OverflowError) as error:
        words = "Penanda halaman tidak sah; mulai dari awal. / The cursor is not valid; begin again without it."
        raise HTTPException(422, words) from error
    return place


def _case_out(case: StoredCase) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "reference": case_reference(case.case_id),
        "urgency": case.urgency,
        "mediation_locked": case.mediation_locked,
        "agreement": case.agreement,
        "decided_at": case.decided_at,
        "ended_as": case.ended_as,
        "ended_at": case.ended_at,
        "rights": {right.value: {"state": entry.state, "reason": entry.reason} for right, entry in case.rights.items()},
    }


def _referral_out(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {**row, "code": referral_code(row["referral_id"]), "agency_name": names.get(row["agency"], row["agency"])}


def _offered_words(row: Mapping[str, Any], names: Mapping[str, str], language: str) -> str:
    service, agency = Need(row["service"]).label(language), names.get(row["agency"], row["agency"])
    role = ReferralRole(row["role"]).label(language).lower()
    sent = "dikirim ke" if language == "id" else "sent to"
    return f"{service}: {sent} {agency} ({role})"


def _change_words(row: Mapping[str, Any], names: Mapping[str, str], language: str) -> str:
    why = f" ({row['reason']})" if row["reason"] else ""
    if row["service"] is None:
        case = "Kasus" if language == "id" else "Case"
        return f"{case}: {row['before']} -> {row['after']}{why}, {row['actor']}"
    service, agency = Need(row["service"]).label(language), names.get(row["agency"], row["agency"])
    return f"{service}: {agency}: {ReferralState(row['after']).label(language)}{why}"
