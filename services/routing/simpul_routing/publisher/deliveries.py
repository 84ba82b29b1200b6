"""Builds events for one recipient: manifests, refused replies, and what an agency may hold of a dossier."""

from collections.abc import Sequence
from datetime import datetime
from uuid import NAMESPACE_OID, UUID, uuid5

from simpul_routing.domain.disclosure import DisclosureDecided
from simpul_routing.domain.silence import Silence
from simpul_runtime.outbox import OutgoingEvent
from simpul_schema import Event
from simpul_schema.messages import AgencyAlarmV1, AgencyManifestV1, DisclosureDecidedV1, ReferralReplyRefusedV1
from simpul_schema.messages.audit import AuditHead
from simpul_schema.messages.delivery import ManifestEntry
from simpul_schema.messages.dossier import DisclosureTerms
from simpul_schema.names import subject_of_agency, subject_of_alarm, subject_of_disclosure, subject_of_reply
from simpul_schema.vocabulary import AgencyAlarm, DisclosureBasis, DossierSection, ReplyRefusal


def disclosure_decided(decided: DisclosureDecided, now: datetime) -> OutgoingEvent:
    """Builds `disclosure.decided.v1`, which only intake can read."""
    found = decided.disclosure
    of_section = {section.value: basis.value for section, basis in found.bases.items()}
    bases = {section: DisclosureBasis(of_section[section]) for section in DossierSection if section in of_section}
    terms = DisclosureTerms(
        sections=tuple(bases),
        basis=next(iter(bases.values()), None),
        bases=bases,
        services=found.services,
        clauses=found.clauses,
        agreement=found.agreement,
        is_suspected=found.is_suspected,
        is_cleared=found.is_cleared,
        cleared_namings=found.cleared_namings,
    )
    return OutgoingEvent(
        DisclosureDecidedV1,
        subject=subject_of_disclosure(decided.referral_id),
        case_id=decided.case_id,
        data={
            "referral_id": decided.referral_id,
            "case_id": decided.case_id,
            "agency": decided.agency,
            "decided_at": now,
        },
        sealed={"terms": ("intake", terms)},
    )


def agency_silent(silence: Silence, *, is_over: bool) -> OutgoingEvent:
    """Builds `agency.alarm.v1` about an agency that has sent nothing for a while, or sends again."""
    return _agency_alarm(silence.alarm_id, silence.agency, AgencyAlarm.SILENT, silence.since, is_over=is_over)


def message_parked(agency: str, now: datetime) -> OutgoingEvent:
    """Builds `agency.alarm.v1` about messages that an agency could not use; those of one hour are one alarm."""
    since = now.replace(minute=0, second=0, microsecond=0)
    alarm_id = uuid5(NAMESPACE_OID, f"simpul:parked:{agency}:{since.isoformat()}")
    return _agency_alarm(alarm_id, agency, AgencyAlarm.PARKED, now, is_over=False)


def _agency_alarm(alarm_id: UUID, agency: str, alarm: AgencyAlarm, since: datetime, *, is_over: bool) -> OutgoingEvent:
    return OutgoingEvent(
        AgencyAlarmV1,
        subject=subject_of_alarm(alarm_id),
        case_id=alarm_id,
        data={"alarm_id": alarm_id, "agency": agency, "alarm": alarm, "since": since, "is_over": is_over},
    )


def reply_refused(
    reply: Event, agency: str, referral_id: UUID, reason: ReplyRefusal, service_ids: Sequence[UUID]
) -> OutgoingEvent:
    """Builds `referral.reply_refused.v1` for the agency that replied, about some services or the reply as a whole."""
    return OutgoingEvent(
        ReferralReplyRefusedV1,
        subject=subject_of_reply(reply.id),
        case_id=reply.correlationid,
        agency=agency,
        causation=reply.id,
        data={
            "referral_id": referral_id,
            "agency": agency,
            "service_ids": service_ids,
            "reply_id": reply.id,
            "reason": reason,
            "explanation": reason.label("id"),
        },
    )


def delivery_manifest(
    agency: str,
    last_number: int,
    events: Sequence[ManifestEntry],
    next_by: datetime,
    cause: UUID | None,
    audit_heads: Sequence[AuditHead] = (),
) -> OutgoingEvent:
    """Builds `agency.manifest.v1`, the delivery manifest of an agency."""
    return OutgoingEvent(
        AgencyManifestV1,
        subject=subject_of_agency(agency),
        # No case: one id per agency, so that all its manifests belong to one trace.
        case_id=uuid5(NAMESPACE_OID, agency),
        agency=agency,
        causation=cause,
        data={
            "agency": agency,
            "last_manifest_number": last_number,
            "events": events,
            "next_by": next_by,
            "audit_heads": audit_heads,
        },
        # The next manifest replaces it.
        is_perishable=True,
    )
