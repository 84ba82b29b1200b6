"""Builds the events of the contract from what case files publish."""

from datetime import datetime
from uuid import uuid4

from simpul_routing.domain.published import (
    AgencyCleared,
    AgencyExcluded,
    ClockStepTaken,
    ConsentWithdrawn,
    DeadlineMet,
    ExclusionDecided,
    ExclusionSuggested,
    Pending,
    PlanDecided,
    PlanProposed,
    QuestionSent,
    ReferralAmended,
    ReferralOffered,
    ServicesChanged,
)
from simpul_routing.publisher.cases import agency_cleared, case_event, note_added, overlap_dismissed, question_sent
from simpul_routing.publisher.decisions import exclusion_decided, exclusion_suggested, plan_decided, plan_proposed
from simpul_routing.publisher.deliveries import (
    agency_silent,
    delivery_manifest,
    disclosure_decided,
    message_parked,
    reply_refused,
)
from simpul_routing.publisher.referrals import (
    clock_step,
    consent_withdrawn,
    deadline_met,
    referral_amended,
    referral_offered,
    services_changed,
)
from simpul_runtime.outbox import OutgoingEvent
from simpul_schema.messages import CaseAgencyExcludedV1
from simpul_schema.names import subject_of_exclusion

__all__ = [
    "agency_silent",
    "build_event",
    "delivery_manifest",
    "disclosure_decided",
    "message_parked",
    "note_added",
    "overlap_dismissed",
    "reply_refused",
]


def build_event(pending: Pending, now: datetime) -> OutgoingEvent:  # noqa: C901, PLR0911, PLR0912 - one branch per kind
    """Builds the event for something that a case file publishes."""
    content, cause = pending.content, pending.cause
    match content:
        case ReferralOffered():
            return referral_offered(content, cause)
        case ReferralAmended():
            return referral_amended(content, cause)
        case ServicesChanged():
            return services_changed(content, cause, now)
        case ConsentWithdrawn():
            return consent_withdrawn(content, cause, now)
        case ClockStepTaken():
            return clock_step(content, cause)
        case DeadlineMet():
            return deadline_met(content, cause, now)
        case ExclusionSuggested():
            return exclusion_suggested(content, cause)
        case ExclusionDecided():
            return exclusion_decided(content, cause, now)
        case PlanProposed():
            return plan_proposed(content, cause)
        case PlanDecided():
            return plan_decided(content, cause, now)
        case QuestionSent():
            return question_sent(pending.case_id, content, now)
        case AgencyCleared():
            return agency_cleared(content, cause, now)
        case AgencyExcluded(agency=agency):
            return OutgoingEvent(
                CaseAgencyExcludedV1,
                subject=subject_of_exclusion(uuid4()),
                case_id=pending.case_id,
                causation=cause,
                data={"case_id": pending.case_id, "agency": agency, "excluded_at": now},
            )
        case _:
            return case_event(pending.case_id, content, cause, now)
