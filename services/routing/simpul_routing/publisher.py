"""Builds the events of the contract from the facts of routing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from pydantic import BaseModel

from simpul_agreement.model import Step
from simpul_agreement.plan import CasePlan
from simpul_agreement.rights import Ledger
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.domain.referral import NewReferral, StoredReferral
from simpul_runtime.outbox import Announcement
from simpul_schema import Event
from simpul_schema.messages import (
    CaseAgencyExcludedV1,
    CaseClosedV1,
    CaseMergedV1,
    CaseReopenedV1,
    CaseReplannedV1,
    CaseVoidedV1,
    ReferralAmendedV1,
    ReferralEscalatedV1,
    ReferralExclusionDecidedV1,
    ReferralExclusionSuggestedV1,
    ReferralHeartbeatV1,
    ReferralOfferedV1,
    ReferralOverdueV1,
    ReferralRemindedV1,
    ReferralReplyRefusedV1,
    RightChangedV1,
)
from simpul_schema.messages.account import AccountedEvent
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.referral import ReferralFacts, SuggestedExclusions
from simpul_schema.names import (
    subject_of_agency,
    subject_of_case,
    subject_of_exclusion,
    subject_of_referral,
    subject_of_reply,
    topic_of,
)
from simpul_schema.vocabulary import CaseEnd, ReferralRole, ReplanReason, ReplyRefusal, Service, Urgency


def referral_facts(triage: TriageFacts, kecamatan: str, *, mediation_locked: bool) -> ReferralFacts:
    """Returns what an addressed agency may know before it accepts: tier T1, nothing of T2 or T3."""
    shared = ReferralFacts.model_fields.keys() & TriageFacts.model_fields.keys()
    known = {name: getattr(triage, name) for name in shared}
    return ReferralFacts(kecamatan=kecamatan, mediation_locked=mediation_locked, **known)


def referral_offered(referral: NewReferral, facts: ReferralFacts, cause: UUID | None) -> Announcement:
    """Builds `referral.offered.v1` with the facts sealed to the addressed agency."""
    return Announcement(
        ReferralOfferedV1,
        subject=subject_of_referral(referral.referral_id),
        case_id=referral.case_id,
        agency=referral.agency,
        topic=topic_of(referral.service, referral.urgency),
        causation=cause,
        data={
            "referral_id": referral.referral_id,
            "case_id": referral.case_id,
            "agency": referral.agency,
            "service": referral.service,
            "role": referral.role,
            "urgency": referral.urgency,
            "answer_by": referral.answer_by,
            "agreement": referral.agreement,
            "reroute_count": referral.reroute_count,
            "rerouted_from": referral.rerouted_from,
        },
        sealed={"facts": (referral.agency, facts)},
    )


def rights_changed(case_id: UUID, rights: Ledger, cause: UUID | None) -> Announcement:
    """Builds `right.changed.v1`."""
    return Announcement(
        RightChangedV1,
        subject=subject_of_case(case_id),
        case_id=case_id,
        causation=cause,
        data={
            "case_id": case_id,
            "rights": [{"right": right, "state": entry.state} for right, entry in rights.items()],
        },
    )


def case_closed(case_id: UUID, end: CaseEnd, when: datetime) -> Announcement:
    """Builds `case.closed.v1`."""
    return _of_case(CaseClosedV1, case_id, end=end, closed_at=when)


def case_reopened(case_id: UUID, when: datetime) -> Announcement:
    """Builds `case.reopened.v1`."""
    return _of_case(CaseReopenedV1, case_id, reopened_at=when)


def case_merged(case_id: UUID, into: UUID, when: datetime) -> Announcement:
    """Builds `case.merged.v1`."""
    return _of_case(CaseMergedV1, case_id, into=into, merged_at=when)


def case_voided(case_id: UUID, when: datetime) -> Announcement:
    """Builds `case.voided.v1`."""
    return _of_case(CaseVoidedV1, case_id, voided_at=when)


def case_replanned(
    case_id: UUID,
    why: ReplanReason,
    plan: CasePlan,
    *,
    added: Sequence[NewReferral],
    withdrawn: Sequence[StoredReferral],
    kept: Sequence[StoredReferral],
    cause: UUID | None,
) -> Announcement:
    """Builds `case.replanned.v1`."""
    return _of_case(
        CaseReplannedV1, case_id, cause, why=why, agreement=plan.agreement, urgency=plan.urgency,
        added=[_replanned(r.referral_id, r.agency, r.service, r.role) for r in added],
        withdrawn=[_replanned(r.referral_id, r.standing.agency, r.service, r.role) for r in withdrawn],
        kept=[_replanned(r.referral_id, r.standing.agency, r.service, r.role) for r in kept],
    )  # fmt: skip


def agency_excluded(case_id: UUID, agency: str, when: datetime, cause: UUID | None) -> Announcement:
    """Builds `case.agency_excluded.v1`."""
    return Announcement(
        CaseAgencyExcludedV1, subject=subject_of_exclusion(uuid4()), case_id=case_id, causation=cause,
        data={"case_id": case_id, "agency": agency, "excluded_at": when},
    )  # fmt: skip


def _replanned(referral_id: UUID, agency: str, service: Service, role: ReferralRole) -> dict[str, Any]:
    return {"referral_id": referral_id, "agency": agency, "service": service, "role": role}


def _of_case(message: type[Event], case_id: UUID, cause: UUID | None = None, **data: Any) -> Announcement:
    return Announcement(
        message, subject=subject_of_case(case_id), case_id=case_id, causation=cause, data={"case_id": case_id, **data}
    )


def referral_amended(
    referral: StoredReferral, facts: ReferralFacts, urgency: Urgency, answer_by: datetime, cause: UUID | None
) -> Announcement:
    """Builds `referral.amended.v1` with the facts sealed to the agency."""
    sealed: dict[str, tuple[str, BaseModel]] = {"facts": (referral.standing.agency, facts)}
    changed = referral_changed(ReferralAmendedV1, referral, cause, urgency=urgency, answer_by=answer_by)
    return replace(changed, sealed=sealed, topic=topic_of(referral.service, urgency))


def referral_changed(
    message: type[Event], referral: StoredReferral, cause: UUID | None, *, informs_agency: bool = True, **data: Any
) -> Announcement:
    """Builds an event about a referral for the services, and for its agency unless that is excluded from the case."""
    return Announcement(
        message,
        subject=subject_of_referral(referral.referral_id),
        case_id=referral.case_id,
        agency=referral.standing.agency if informs_agency else "",
        topic=topic_of(referral.service, referral.standing.urgency),
        causation=cause,
        data={
            "referral_id": referral.referral_id,
            "case_id": referral.case_id,
            "agency": referral.standing.agency,
            **data,
        },
    )


def exclusion_suggested(
    review: ExclusionReview,
    urgency: Urgency,
    pending: frozenset[str],
    *,
    step: int,
    targets: tuple[str, ...],
    cause: UUID | None,
) -> Announcement:
    """Builds `referral.exclusion_suggested.v1` with the suggested agencies sealed to the deciding one."""
    suggested = SuggestedExclusions(agencies=tuple(sorted(pending)))
    return Announcement(
        ReferralExclusionSuggestedV1,
        subject=subject_of_referral(review.referral_id),
        case_id=review.case_id,
        agency=review.agency,
        # Filtered queues for manual triage receive these decisions too.
        topic=topic_of(Service.MANUAL_TRIAGE, urgency),
        causation=cause,
        data={
            "referral_id": review.referral_id,
            "case_id": review.case_id,
            "agency": review.agency,
            "urgency": urgency,
            "decide_by": review.clock.due_at,
            "suggestions": len(pending),
            "step": step,
            "escalation_targets": targets,
        },
        sealed={"suggestions": (review.agency, suggested)} if review.agency else {},
    )


def exclusion_decided(
    review: ExclusionReview, urgency: Urgency, now: datetime, cause: UUID | None, *, informs_agency: bool
) -> Announcement:
    """Builds `referral.exclusion_decided.v1`, for the agency unless that is excluded from the case."""
    return Announcement(
        ReferralExclusionDecidedV1,
        subject=subject_of_referral(review.referral_id),
        case_id=review.case_id,
        agency=review.agency if informs_agency else "",
        topic=topic_of(Service.MANUAL_TRIAGE, urgency),
        causation=cause,
        data={"referral_id": review.referral_id, "case_id": review.case_id, "agency": review.agency, "decided_at": now},
    )


def reply_refused(reply: Event, agency: str, referral_id: UUID, reason: ReplyRefusal) -> Announcement:
    """Builds `referral.reply_refused.v1` for the agency that replied."""
    return Announcement(
        ReferralReplyRefusedV1,
        subject=subject_of_reply(reply.id),
        case_id=reply.correlationid,
        agency=agency,
        causation=reply.id,
        data={
            "referral_id": referral_id,
            "agency": agency,
            "reply_id": reply.id,
            "reason": reason,
            "explanation": f"{reason.label('id')} / {reason.label('en')}",
        },
    )


def delivery_manifest(
    agency: str, last_number: int, events: Sequence[AccountedEvent], next_by: datetime, cause: UUID | None
) -> Announcement:
    """Builds `referral.heartbeat.v1`, the delivery manifest of an agency."""
    return Announcement(
        ReferralHeartbeatV1,
        subject=subject_of_agency(agency),
        # No case: one id per agency, so that all its manifests belong to one trace.
        case_id=uuid5(NAMESPACE_OID, agency),
        agency=agency,
        causation=cause,
        data={"agency": agency, "last_number": last_number, "events": events, "next_by": next_by},
        # The next manifest replaces it.
        is_perishable=True,
    )


_AT_STEP: Final[Mapping[Step, type[Event]]] = {
    Step.HALF: ReferralRemindedV1,
    Step.DUE: ReferralOverdueV1,
    Step.TWICE: ReferralEscalatedV1,
}


def clock_step(referral: StoredReferral, clock: ReferralClock, step: Step, targets: tuple[str, ...]) -> Announcement:
    """Builds `referral.reminded.v1`, `referral.overdue.v1` or `referral.escalated.v1`."""
    return referral_changed(
        _AT_STEP[step], referral, None, clock=clock.clock.value, step=int(step.value), due_at=clock.due_at,
        urgency=referral.standing.urgency, escalation_targets=targets,
    )  # fmt: skip
