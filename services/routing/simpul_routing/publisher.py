"""Facts of routing as messages of the contract."""

from datetime import datetime
from uuid import UUID

from simpul_routing.domain.referral import CasePlan, PlannedReferral
from simpul_runtime.outbox import Announcement
from simpul_runtime.transaction import subject_of_referral
from simpul_schema.messages import ReferralAcceptedV1, ReferralOfferedV1
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.referral import ReferralFacts


def referral_facts(triage: TriageFacts, kecamatan: str, *, mediation_locked: bool) -> ReferralFacts:
    """What an addressed agency may know before it accepts: T1 and nothing of T2 or T3."""
    shared = ReferralFacts.model_fields.keys() & TriageFacts.model_fields.keys()
    known = {name: getattr(triage, name) for name in shared}
    return ReferralFacts(kecamatan=kecamatan, mediation_locked=mediation_locked, **known)


def referral_offered(
    referral_id: UUID, case_id: UUID, referral: PlannedReferral, plan: CasePlan, facts: ReferralFacts, cause: UUID
) -> Announcement:
    """`referral.offered.v1`, the facts sealed to the addressed agency."""
    return Announcement(
        ReferralOfferedV1,
        subject=subject_of_referral(referral_id),
        case_id=case_id,
        agency=referral.agency,
        causation=cause,
        data={
            "referral_id": referral_id,
            "case_id": case_id,
            "agency": referral.agency,
            "service": referral.service,
            "role": referral.role,
            "urgency": plan.urgency,
            "answer_by": plan.answer_by,
        },
        sealed={"facts": (referral.agency, facts)},
    )


def referral_accepted(referral_id: UUID, case_id: UUID, agency: str, when: datetime, cause: UUID) -> Announcement:
    """`referral.accepted.v1`."""
    return Announcement(
        ReferralAcceptedV1,
        subject=subject_of_referral(referral_id),
        case_id=case_id,
        agency=agency,
        causation=cause,
        data={"referral_id": referral_id, "case_id": case_id, "agency": agency, "accepted_at": when},
    )
