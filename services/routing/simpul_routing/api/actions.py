"""Actions of people on cases by HTTP; each names the version of the case that it is based on."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import FastAPI, Header, Path
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from simpul_routing.domain.case_lifecycle import CaseAction
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import CaseChanged
from simpul_routing.use_cases import DecideExclusions, EndCases, TriageCases, WithdrawConsent
from simpul_schema.vocabulary import CancelReason, CaseEnd, ReferralRole, Right, RightState, Service, Urgency

Version = Annotated[str, Header(alias="If-Match", description="ETag of the case as it was read")]
AgencyCode = Annotated[str, Path(pattern=r"^[a-z0-9-]{2,60}$", description="code of the suggested agency")]
_STAGES = {"service_plan": CaseAction.PLANNED, "monitoring": CaseAction.SERVED}


class ActionIn(BaseModel):
    """Who acts, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    by: str = Field(pattern=r"^[a-z0-9-]{2,60}$", description="code of the person or agency that acts")
    reason: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        default="", max_length=500, description="free-text reason; stored encrypted"
    )


class CloseIn(ActionIn):
    """How to close a case."""

    end: CaseEnd


class MergeIn(ActionIn):
    """The case to merge into."""

    into: UUID = Field(description="another case of the same child, which continues")


class RightIn(ActionIn):
    """The new state of a right."""

    state: RightState


class OfferIn(ActionIn):
    """A service to offer to an agency."""

    service: Service
    agency: str = Field(max_length=60, description="code of the agency")
    role: ReferralRole = ReferralRole.LEAD
    settles: UUID | None = Field(
        default=None, description="the manual triage or the declined referral that this offer settles"
    )


class OfferedOut(BaseModel):
    """The new referral."""

    referral_id: UUID = Field(description="random reference of the referral")


class CancellationIn(ActionIn):
    """Why to cancel a referral."""

    why: Literal[CancelReason.TAKEN_BACK, CancelReason.ENTERED_IN_ERROR] = CancelReason.TAKEN_BACK


class UrgencyIn(ActionIn):
    """The new urgency of the case; lowering it requires a reason."""

    urgency: Urgency


class ExclusionIn(ActionIn):
    """The agency to exclude from a case."""

    agency: str = Field(max_length=60, description="code of the agency that is too close to the suspect")


class DecisionIn(ActionIn):
    """The decision about a suggested exclusion."""

    decision: Literal["confirmed", "rejected"]


class StageIn(ActionIn):
    """The new stage of the case; other stages follow from its referrals."""

    stage: Literal["service_plan", "monitoring"]


def add_action_routes(  # noqa: C901 - one short function per route
    web: FastAPI,
    triage_cases: TriageCases,
    end_cases: EndCases,
    withdraw_consent: WithdrawConsent,
    decide_exclusions: DecideExclusions,
    guard: Any,
) -> None:
    """Adds the routes that change a case."""
    action: dict[str, Any] = {"dependencies": [guard], "tags": ["cases"], "status_code": 204}

    @web.post("/cases/{case_id}/close", summary="Close a case", **action)
    async def close_case(case_id: UUID, version: Version, body: CloseIn) -> None:
        await end_cases.close_case(case_id, _version_number(version), body.end, by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/reopen", summary="Reopen a case", **action)
    async def reopen_case(case_id: UUID, version: Version, body: ActionIn) -> None:
        await end_cases.reopen_case(case_id, _version_number(version), by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/void", summary="Mark a case as entered in error", **action)
    async def void_case(case_id: UUID, version: Version, body: ActionIn) -> None:
        await end_cases.void_case(case_id, _version_number(version), by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/merge", summary="Merge a duplicate into another case of the same child", **action)
    async def merge_cases(case_id: UUID, version: Version, body: MergeIn) -> None:
        await end_cases.merge_cases(case_id, _version_number(version), body.into, by=body.by, reason=body.reason)

    @web.put("/cases/{case_id}/rights/{right}", summary="Set the state of a right by hand", **action)
    async def answer_right(case_id: UUID, right: Right, version: Version, body: RightIn) -> None:
        await end_cases.answer_right(
            case_id, _version_number(version), right, body.state, by=body.by, reason=body.reason
        )

    @web.put("/cases/{case_id}/urgency", summary="Change the urgency; lowering it requires a reason", **action)
    async def change_urgency(case_id: UUID, version: Version, body: UrgencyIn) -> None:
        await triage_cases.change_urgency(
            case_id, _version_number(version), body.urgency, by=body.by, reason=body.reason
        )

    @web.post("/cases/{case_id}/exclusions", summary="Exclude an agency from a case", **action)
    async def exclude_agency(case_id: UUID, version: Version, body: ExclusionIn) -> None:
        await triage_cases.exclude_agency(
            case_id, _version_number(version), body.agency, by=body.by, reason=body.reason
        )

    @web.put(
        "/cases/{case_id}/suggested-exclusions/{agency}",
        summary="Confirm or reject an exclusion that an unverified source suggested", **action,
    )  # fmt: skip
    async def decide_suggestion(case_id: UUID, agency: AgencyCode, version: Version, body: DecisionIn) -> None:
        await decide_exclusions.decide_suggestion(
            case_id, _version_number(version), agency, SuggestionState(body.decision), by=body.by, reason=body.reason
        )

    @web.post(
        "/cases/{case_id}/consent-withdrawals",
        summary="Withdraw a consent; notifies every agency that accepted a referral",
        **action,
    )
    async def record_withdrawal(case_id: UUID, version: Version, body: ActionIn) -> None:
        await withdraw_consent.withdraw_consent(case_id, _version_number(version), by=body.by, reason=body.reason)

    @web.post("/cases/{case_id}/stage", summary="Change the stage of a case", **action)
    async def change_stage(case_id: UUID, version: Version, body: StageIn) -> None:
        await triage_cases.change_stage(
            case_id, _version_number(version), _STAGES[body.stage], by=body.by, reason=body.reason
        )

    @web.post("/cases/{case_id}/mediation", summary="Record a mediation; refused where the law forbids it", **action)
    async def record_mediation(case_id: UUID, version: Version, body: ActionIn) -> None:
        await triage_cases.record_mediation(case_id, _version_number(version), by=body.by, reason=body.reason)

    @web.post(
        "/cases/{case_id}/referrals", summary="Offer a service to an agency by hand", **{**action, "status_code": 201}
    )
    async def offer_referral(case_id: UUID, version: Version, body: OfferIn) -> OfferedOut:
        referral_id = await triage_cases.offer_referral(
            case_id, _version_number(version), body.service, body.agency, body.role, by=body.by, reason=body.reason,
            settles=body.settles,
        )  # fmt: skip
        return OfferedOut(referral_id=referral_id)

    @web.post("/cases/{case_id}/referrals/{referral_id}/cancel", summary="Cancel a referral", **action)
    async def cancel_referral(case_id: UUID, referral_id: UUID, version: Version, body: CancellationIn) -> None:
        await triage_cases.cancel_referral(
            case_id, _version_number(version), referral_id, body.why, by=body.by, reason=body.reason
        )


def _version_number(version: str) -> int:
    bare = version.removeprefix("W/").strip('"')
    if not (bare.isascii() and bare.isdecimal() and len(bare) < 10):
        raise CaseChanged
    return int(bare)
