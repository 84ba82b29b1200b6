"""Actions of people on cases by HTTP; each names the version of the case that it is based on."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, Header, Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from simpul_routing.api.authentication import Authentication
from simpul_routing.api.codes import Codes
from simpul_routing.consent_texts import ConsentTexts
from simpul_routing.domain.actors import Actor, ApiAction
from simpul_routing.domain.case_lifecycle import CaseAction
from simpul_routing.domain.consents import ConsentGiver, ConsentTerms, ConsentWay
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import CaseChanged, ConsentTextUnknown
from simpul_routing.use_cases import DismissOverlaps, EndCases, TriageCases
from simpul_runtime.database import utc_now
from simpul_schema.messages.case import MAX_QUESTION
from simpul_schema.vocabulary import CancelReason, CaseEnd, ReferralRole, Relation, Right, RightState, Service, Urgency

Version = Annotated[str, Header(alias="If-Match", description="ETag of the case as it was read")]
AgencyCode = Annotated[str, Path(pattern=r"^[a-z0-9-]{2,60}$", description="code of the suggested agency")]
_STAGES = {"service_plan": CaseAction.PLANNED, "monitoring": CaseAction.SERVED}


class ActionIn(BaseModel):
    """Why somebody acts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reason: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        default="", max_length=500, description="free-text reason; stored encrypted"
    )


class CloseIn(ActionIn):
    """How to close a case."""

    end: CaseEnd


class MergeIn(ActionIn):
    """The case to merge into."""

    into: str = Field(max_length=60, description="id or code of another case of the same child, which continues")


class RightIn(ActionIn):
    """The new state of a right."""

    state: RightState


class OfferIn(ActionIn):
    """A service to offer to an agency."""

    service: Service
    agency: str = Field(max_length=60, description="code of the agency")
    role: ReferralRole = ReferralRole.LEAD
    settles: str = Field(
        default="",
        max_length=60,
        description="what this offer settles: the manual triage or the declined service by its `service_id`, or by the"
        " id or code of its referral where only one of its services is possible",
    )


class OfferedOut(BaseModel):
    """The new service, in the referral of its agency."""

    referral_id: UUID = Field(description="random reference of the referral")
    service_id: UUID = Field(description="random reference of the service")


class CancellationIn(ActionIn):
    """Which services of a referral to cancel, and why."""

    service_ids: tuple[UUID, ...] = Field(
        default=(), description="the services, by `service_id`; if empty, every open service of the referral"
    )
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


class QuestionIn(BaseModel):
    """What to ask the reporting person."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    question: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        min_length=1, max_length=MAX_QUESTION, description="as the reporting person reads it; stored in the vault alone"
    )


class ConsentIn(ActionIn):
    """Who consented to what, in which words, and how."""

    purposes: list[Right] = Field(min_length=1, description="the rights for which the child's data are processed")
    given_by: ConsentGiver = Field(description="`child` also for the assent of a younger child")
    relation: Relation = Field(
        default=Relation.UNKNOWN, description="what a guardian is to the child; required of a guardian"
    )
    way: ConsentWay
    text: str = Field(max_length=60, description="version of the text, by `GET /consent-texts`")
    language: Literal["id", "jv", "en"] = "id"
    given_at: AwareDatetime | None = Field(default=None, description="defaults to the current time")


class ConsentWithdrawalIn(ActionIn):
    """Which consents are withdrawn."""

    purposes: list[Right] = Field(default_factory=list, description="every purpose if it is empty")


def add_action_routes(  # noqa: C901 - one short function per route
    web: FastAPI,
    triage_cases: TriageCases,
    end_cases: EndCases,
    dismiss_overlaps: DismissOverlaps,
    authentication: Authentication,
    codes: Codes,
    consent_texts: ConsentTexts,
    documented: dict[str, Any],
) -> None:
    """Adds the routes that change a case."""
    action: dict[str, Any] = {**documented, "tags": ["cases"], "status_code": 204}
    permit, find_case, find_referral = authentication.permit, Depends(codes.find_case), Depends(codes.find_referral)

    @web.post("/cases/{case_id}/close", summary="Close a case", **action)
    async def close_case(
        by: Annotated[Actor, permit(ApiAction.CLOSE)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: CloseIn,
    ) -> None:
        await end_cases.close_case(case_id, version_number(version), body.end, by=by, reason=body.reason)

    @web.post("/cases/{case_id}/reopen", summary="Reopen a case", **action)
    async def reopen_case(
        by: Annotated[Actor, permit(ApiAction.REOPEN)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: ActionIn,
    ) -> None:
        await end_cases.reopen_case(case_id, version_number(version), by=by, reason=body.reason)

    @web.post("/cases/{case_id}/void", summary="Mark a case as entered in error", **action)
    async def void_case(
        by: Annotated[Actor, permit(ApiAction.VOID)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: ActionIn,
    ) -> None:
        await end_cases.void_case(case_id, version_number(version), by=by, reason=body.reason)

    @web.post(
        "/cases/{case_id}/overlaps/{overlap_id}/dismiss",
        summary="State that a suspected overlap is about two children; requires a reason",
        **action,
    )
    async def dismiss_overlap(
        by: Annotated[Actor, permit(ApiAction.DISMISS_OVERLAP)],
        case_id: Annotated[UUID, find_case],
        overlap_id: UUID,
        body: ActionIn,
    ) -> None:
        await dismiss_overlaps.dismiss_overlap(case_id, overlap_id, by=by, reason=body.reason)

    @web.post("/cases/{case_id}/merge", summary="Merge a duplicate into another case of the same child", **action)
    async def merge_cases(
        by: Annotated[Actor, permit(ApiAction.MERGE)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: MergeIn,
    ) -> None:
        await end_cases.merge_cases(
            case_id, version_number(version), await codes.find_case(body.into), by=by, reason=body.reason
        )

    @web.put("/cases/{case_id}/rights/{right}", summary="Set the state of a right by hand", **action)
    async def answer_right(
        by: Annotated[Actor, permit(ApiAction.ANSWER_RIGHT)],
        case_id: Annotated[UUID, find_case],
        right: Right,
        version: Version,
        body: RightIn,
    ) -> None:
        await end_cases.answer_right(case_id, version_number(version), right, body.state, by=by, reason=body.reason)

    @web.put("/cases/{case_id}/urgency", summary="Change the urgency; lowering it requires a reason", **action)
    async def change_urgency(
        by: Annotated[Actor, permit(ApiAction.CHANGE_URGENCY)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: UrgencyIn,
    ) -> None:
        await triage_cases.change_urgency(case_id, version_number(version), body.urgency, by=by, reason=body.reason)

    @web.post("/cases/{case_id}/exclusions", summary="Exclude an agency from a case", **action)
    async def exclude_agency(
        by: Annotated[Actor, permit(ApiAction.EXCLUDE_AGENCY)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: ExclusionIn,
    ) -> None:
        await triage_cases.exclude_agency(case_id, version_number(version), body.agency, by=by, reason=body.reason)

    @web.put(
        "/cases/{case_id}/suggested-exclusions/{agency}",
        summary="Confirm or reject an exclusion that an unverified source suggested",
        **action,
    )
    async def decide_suggestion(
        by: Annotated[Actor, permit(ApiAction.DECIDE_SUGGESTION)],
        case_id: Annotated[UUID, find_case],
        agency: AgencyCode,
        version: Version,
        body: DecisionIn,
    ) -> None:
        await triage_cases.decide_suggestion(
            case_id, version_number(version), agency, SuggestionState(body.decision), by=by, reason=body.reason
        )

    @web.post("/cases/{case_id}/consents", summary="Record a consent of the child or a guardian", **action)
    async def record_consent(
        by: Annotated[Actor, permit(ApiAction.RECORD_CONSENT)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: ConsentIn,
    ) -> None:
        digest, now = consent_texts.find_digest(body.text, body.language), utc_now()
        if not digest:
            raise ConsentTextUnknown
        relation = Relation.OTHER if body.given_by is ConsentGiver.CHILD else body.relation
        terms = ConsentTerms(
            body.given_by, relation, body.way, body.text, body.language, digest, min(body.given_at or now, now)
        )
        await triage_cases.record_consent(
            case_id, version_number(version), frozenset(body.purposes), terms, by=by, reason=body.reason
        )

    @web.post(
        "/cases/{case_id}/consent-withdrawals",
        summary="Withdraw consents; notifies every agency that accepted services for their purposes",
        **action,
    )
    async def record_withdrawal(
        by: Annotated[Actor, permit(ApiAction.WITHDRAW_CONSENT)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: ConsentWithdrawalIn,
    ) -> None:
        await triage_cases.withdraw_consent(
            case_id, version_number(version), by=by, reason=body.reason, purposes=frozenset(body.purposes)
        )

    @web.post("/cases/{case_id}/stage", summary="Change the stage of a case", **action)
    async def change_stage(
        by: Annotated[Actor, permit(ApiAction.CHANGE_STAGE)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: StageIn,
    ) -> None:
        await triage_cases.change_stage(
            case_id, version_number(version), _STAGES[body.stage], by=by, reason=body.reason
        )

    @web.post(
        "/cases/{case_id}/questions",
        summary="Ask the reporting person, who reads and answers it with the receipt of the report",
        **action,
    )
    async def send_question(
        by: Annotated[Actor, permit(ApiAction.SEND_QUESTION)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: QuestionIn,
    ) -> None:
        await triage_cases.send_question(case_id, version_number(version), body.question, by=by)

    @web.post("/cases/{case_id}/mediation", summary="Record a mediation; refused where the law forbids it", **action)
    async def record_mediation(
        by: Annotated[Actor, permit(ApiAction.RECORD_MEDIATION)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: ActionIn,
    ) -> None:
        await triage_cases.record_mediation(case_id, version_number(version), by=by, reason=body.reason)

    @web.post(
        "/cases/{case_id}/referrals", summary="Offer a service to an agency by hand", **{**action, "status_code": 201}
    )
    async def offer_service(
        by: Annotated[Actor, permit(ApiAction.OFFER_SERVICE)],
        case_id: Annotated[UUID, find_case],
        version: Version,
        body: OfferIn,
    ) -> OfferedOut:
        offered = await triage_cases.offer_service(
            case_id,
            version_number(version),
            body.service,
            body.agency,
            body.role,
            by=by,
            reason=body.reason,
            settles=await codes.find_referral(body.settles) if body.settles else None,
        )
        return OfferedOut(referral_id=offered.referral_id, service_id=offered.service_id)

    @web.post("/cases/{case_id}/referrals/{referral_id}/cancel", summary="Cancel services of a referral", **action)
    async def cancel_services(
        by: Annotated[Actor, permit(ApiAction.CANCEL_SERVICES)],
        case_id: Annotated[UUID, find_case],
        referral_id: Annotated[UUID, find_referral],
        version: Version,
        body: CancellationIn,
    ) -> None:
        await triage_cases.cancel_services(
            case_id,
            version_number(version),
            referral_id,
            body.why,
            by=by,
            reason=body.reason,
            service_ids=body.service_ids,
        )


def version_number(version: str) -> int:
    """Returns the version that an ETag names; raises CaseChanged for anything else."""
    bare = version.removeprefix("W/").strip('"')
    if not (bare.isascii() and bare.isdecimal() and len(bare) < 10):
        raise CaseChanged
    return int(bare)
