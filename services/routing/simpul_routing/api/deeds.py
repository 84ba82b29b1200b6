"""What a person does with a case by HTTP; each names the version it was decided on."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import FastAPI, Header, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from simpul_routing.domain.case_life import CaseDeed
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import CaseChanged
from simpul_routing.use_cases import DecideExclusions, EndCases, TriageCases, WithdrawConsent
from simpul_schema.vocabulary import CancelReason, CaseEnd, ReferralRole, Right, RightState, Service, Urgency

Version = Annotated[str, Header(alias="If-Match", description="the ETag of the case as it was read")]
AgencyCode = Annotated[str, Path(pattern=r"^[a-z0-9-]{2,60}$", description="code of the agency that is named")]
_STAGES = {"service_plan": CaseDeed.PLANNED, "monitoring": CaseDeed.SERVED}


class DeedIn(BaseModel):
    """Who decides, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    by: str = Field(pattern=r"^[a-z0-9-]{2,60}$", description="code of the person or agency that decides")
    reason: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        default="", max_length=500, description="why, in words; stored locked"
    )


class ClosingIn(DeedIn):
    """How a case ends."""

    end: CaseEnd


class MergingIn(DeedIn):
    """In which case it goes on."""

    into: UUID = Field(description="the case of the same child")


class RightIn(DeedIn):
    """Where a right stands."""

    state: RightState


class AskingIn(DeedIn):
    """What is asked of whom."""

    service: Service
    agency: str = Field(max_length=60, description="code of the agency")
    role: ReferralRole = ReferralRole.LEAD
    settles: UUID | None = Field(
        default=None, description="the manual triage, or the declined referral, that is answered so"
    )


class AskedOut(BaseModel):
    """The new referral."""

    referral_id: UUID = Field(description="random reference of the referral")


class TakingBackIn(DeedIn):
    """Why the agency is asked no longer."""

    why: Literal[CancelReason.TAKEN_BACK, CancelReason.ENTERED_IN_ERROR] = CancelReason.TAKEN_BACK


class UrgencyIn(DeedIn):
    """How urgent the case is from now on; lowering it needs a reason."""

    urgency: Urgency


class ExclusionIn(DeedIn):
    """Who receives nothing of this case any more."""

    agency: str = Field(max_length=60, description="code of the agency that is too close to the suspect")


class SuggestionIn(DeedIn):
    """What a person decides about a suggested exclusion."""

    decision: Literal["confirmed", "rejected"]


class StageIn(DeedIn):
    """To which stage the case has come; the other stages follow from its referrals."""

    stage: Literal["service_plan", "monitoring"]


def add_deeds(  # noqa: C901 - one short function for each route
    web: FastAPI,
    triage_cases: TriageCases,
    end_cases: EndCases,
    withdraw_consent: WithdrawConsent,
    decide_exclusions: DecideExclusions,
    guard: Any,
) -> None:
    """The routes that change something."""
    deed: dict[str, Any] = {"dependencies": [guard], "tags": ["cases"], "status_code": 204}

    @web.post("/cases/{case_id}/close", summary="Terminate a case", **deed)
    async def close(case_id: UUID, version: Version, body: ClosingIn) -> None:
        await end_cases.close(case_id, _number(version), body.end, by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/reopen", summary="Let a case go on that has ended", **deed)
    async def reopen(case_id: UUID, version: Version, body: DeedIn) -> None:
        await end_cases.reopen(case_id, _number(version), by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/void", summary="Mark a case as entered in error", **deed)
    async def void(case_id: UUID, version: Version, body: DeedIn) -> None:
        await end_cases.void(case_id, _number(version), by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/merge", summary="Let a case go on in another one of the same child", **deed)
    async def merge(case_id: UUID, version: Version, body: MergingIn) -> None:
        await end_cases.merge(case_id, _number(version), body.into, by=body.by, reason=body.reason)

    @web.put("/cases/{case_id}/rights/{right}", summary="Answer a right by hand", **deed)
    async def answer(case_id: UUID, right: Right, version: Version, body: RightIn) -> None:
        await end_cases.answer_right(case_id, _number(version), right, body.state, by=body.by, reason=body.reason)

    @web.put("/cases/{case_id}/urgency", summary="Raise the risk, or lower it with a reason", **deed)
    async def urgency(case_id: UUID, version: Version, body: UrgencyIn) -> None:
        await triage_cases.change_urgency(case_id, _number(version), body.urgency, by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/exclusions", summary="Keep an agency out of a case", **deed)
    async def exclude(case_id: UUID, version: Version, body: ExclusionIn) -> None:
        await triage_cases.exclude(case_id, _number(version), body.agency, by=body.by, reason=body.reason)

    @web.put(
        "/cases/{case_id}/suggested-exclusions/{agency}",
        summary="Confirm or reject an exclusion that a source suggested whom nobody knows", **deed,
    )  # fmt: skip
    async def decide(case_id: UUID, agency: AgencyCode, version: Version, body: SuggestionIn) -> None:
        await decide_exclusions.decide(
            case_id, _number(version), agency, SuggestionState(body.decision), by=body.by, reason=body.reason
        )

    @web.post("/cases/{case_id}/consent-withdrawals", summary="Tell every holder that a consent is withdrawn", **deed)
    async def withdraw(case_id: UUID, version: Version, body: DeedIn) -> None:
        await withdraw_consent.withdraw(case_id, _number(version), by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/stage", summary="Say that a case has come to its next stage", **deed)
    async def stage(case_id: UUID, version: Version, body: StageIn) -> None:
        await triage_cases.move_on(case_id, _number(version), _STAGES[body.stage], by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/mediation", summary="Record a mediation; refused where nobody may mediate", **deed)
    async def mediate(case_id: UUID, version: Version, body: DeedIn) -> None:
        await triage_cases.mediate(case_id, _number(version), by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/referrals", summary="Ask an agency by hand", **{**deed, "status_code": 201})
    async def ask(case_id: UUID, version: Version, body: AskingIn) -> AskedOut:
        referral_id = await triage_cases.ask(
            case_id, _number(version), body.service, body.agency, body.role, by=body.by, reason=body.reason,
            settles=body.settles,
        )  # fmt: skip
        return AskedOut(referral_id=referral_id)

    @web.post("/cases/{case_id}/referrals/{referral_id}/take-back", summary="Ask an agency no longer", **deed)
    async def take_back(case_id: UUID, referral_id: UUID, version: Version, body: TakingBackIn) -> None:
        await triage_cases.take_back(case_id, _number(version), referral_id, body.why, by=body.by, reason=body.reason)


def _number(version: str) -> int:
    bare = version.removeprefix("W/").strip('"')
    if not (bare.isascii() and bare.isdecimal() and len(bare) < 10):
        raise CaseChanged
    return int(bare)
