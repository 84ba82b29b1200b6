"""Builds events about what the people of an agency decide: suggested exclusions and service plans."""

from datetime import datetime
from uuid import UUID

from simpul_routing.domain.published import ExclusionDecided, ExclusionSuggested, PlanDecided, PlanProposed
from simpul_runtime.outbox import OutgoingEvent
from simpul_schema.messages import (
    ReferralExclusionDecidedV1,
    ReferralExclusionSuggestedV1,
    ReferralPlanDecidedV1,
    ReferralPlanProposedV1,
)
from simpul_schema.messages.referral import SuggestedExclusions
from simpul_schema.messages.service_plan import ProposedPlan, ProposedService
from simpul_schema.names import subject_of_referral, topic_of
from simpul_schema.vocabulary import ReferralRole, Service


def exclusion_suggested(content: ExclusionSuggested, cause: UUID | None) -> OutgoingEvent:
    """Builds `referral.exclusion_suggested.v1` with the suggested agencies sealed to the deciding one."""
    review, suggested = content.review, SuggestedExclusions(agencies=tuple(sorted(content.pending)))
    return OutgoingEvent(
        ReferralExclusionSuggestedV1,
        subject=subject_of_referral(review.referral_id),
        case_id=review.case_id,
        agency=review.agency,
        # Filtered queues for manual triage receive these decisions too.
        topic=topic_of(Service.MANUAL_TRIAGE, content.urgency),
        causation=cause,
        data={
            "referral_id": review.referral_id,
            "case_id": review.case_id,
            "agency": review.agency,
            "urgency": content.urgency,
            "decide_by": review.clock.due_at,
            "suggestion_count": len(content.pending),
            "step": content.step,
            "escalation_targets": content.targets,
        },
        sealed={"suggestions": (review.agency, suggested)} if review.agency else {},
    )


def exclusion_decided(content: ExclusionDecided, cause: UUID | None, now: datetime) -> OutgoingEvent:
    """Builds `referral.exclusion_decided.v1`; an agency that has been excluded is not informed."""
    review = content.review
    return OutgoingEvent(
        ReferralExclusionDecidedV1,
        subject=subject_of_referral(review.referral_id),
        case_id=review.case_id,
        agency=review.agency if content.informs_agency else "",
        topic=topic_of(Service.MANUAL_TRIAGE, content.urgency),
        causation=cause,
        data={"referral_id": review.referral_id, "case_id": review.case_id, "agency": review.agency, "decided_at": now},
    )


def plan_proposed(content: PlanProposed, cause: UUID | None) -> OutgoingEvent:
    """Builds `referral.plan_proposed.v1` with the services sealed to the deciding agency."""
    plan = content.plan
    services = tuple(
        ProposedService(
            service=one.service,
            right=content.rights[one.service],
            agency=one.agency,
            role=one.role,
            urgency=content.urgencies[one.service],
            clauses=one.clauses,
        )
        for one in sorted(content.services, key=lambda one: one.role is ReferralRole.SUPPORT)
    )
    return OutgoingEvent(
        ReferralPlanProposedV1,
        subject=subject_of_referral(plan.referral_id),
        case_id=plan.case_id,
        agency=plan.agency,
        topic=topic_of(Service.CASE_MANAGEMENT, content.urgency),
        causation=cause,
        data={
            "referral_id": plan.referral_id,
            "case_id": plan.case_id,
            "agency": plan.agency,
            "urgency": content.urgency,
            "confirm_by": plan.clock.due_at,
            "is_sent_at_deadline": plan.is_sent_at_deadline,
            "service_count": len(services),
            "step": content.step,
            "escalation_targets": content.targets,
        },
        sealed={"plan": (plan.agency, ProposedPlan(services=services))} if plan.agency else {},
    )


def plan_decided(content: PlanDecided, cause: UUID | None, now: datetime) -> OutgoingEvent:
    """Builds `referral.plan_decided.v1`; an agency that has been excluded is not informed."""
    plan = content.plan
    return OutgoingEvent(
        ReferralPlanDecidedV1,
        subject=subject_of_referral(plan.referral_id),
        case_id=plan.case_id,
        agency=plan.agency if content.informs_agency else "",
        topic=topic_of(Service.CASE_MANAGEMENT, content.urgency),
        causation=cause,
        data={
            "referral_id": plan.referral_id,
            "case_id": plan.case_id,
            "agency": plan.agency,
            "end": content.end,
            "decided_at": now,
        },
    )
