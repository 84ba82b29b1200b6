"""Builds the contract messages that intake publishes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from simpul_city import City
from simpul_intake.breach import AnnouncedBreach
from simpul_intake.domain import FoundOverlap, Report
from simpul_intake.dossier import Disclosure
from simpul_intake.erasure import Erasure
from simpul_runtime.outbox import OutgoingEvent
from simpul_schema import SectionContent
from simpul_schema.messages import (
    BreachFoundV1,
    CaseAmendedV1,
    CaseErasedV1,
    CaseReportedV1,
    DossierReleasedV1,
    DossierWithdrawnV1,
    OverlapSuspectedV1,
)
from simpul_schema.messages.case import TriageFacts
from simpul_schema.names import (
    subject_of_alarm,
    subject_of_case,
    subject_of_dossier,
    subject_of_erasure,
    subject_of_overlap,
)
from simpul_schema.vocabulary import DossierSection


def case_reported(report: Report, case_id: UUID, city: City, traceparent: str = "") -> OutgoingEvent:
    """Builds `case.reported.v1` with the triage facts sealed to routing."""
    return OutgoingEvent(
        CaseReportedV1,
        subject=subject_of_case(case_id),
        case_id=case_id,
        data={"case_id": case_id, "received_at": report.received_at},
        sealed={"triage": ("routing", _triage_facts(report, city))},
        traceparent=traceparent,
    )


def case_amended(report: Report, case_id: UUID, city: City, revision: int, amended_at: datetime) -> OutgoingEvent:
    """Builds `case.amended.v1` with the complete amended triage facts sealed to routing."""
    return OutgoingEvent(
        CaseAmendedV1,
        subject=subject_of_case(case_id),
        case_id=case_id,
        data={"case_id": case_id, "amended_at": amended_at, "revision": revision},
        sealed={"triage": ("routing", _triage_facts(report, city))},
    )


def overlap_suspected(found: FoundOverlap, overlap_id: UUID, suspected_at: datetime) -> OutgoingEvent:
    """Builds `overlap.suspected.v1`, which names two cases and nobody."""
    return OutgoingEvent(
        OverlapSuspectedV1,
        subject=subject_of_overlap(overlap_id),
        case_id=found.case_id,
        data={
            "case_id": found.case_id,
            "other_case_id": found.other_case_id,
            "is_likely": found.is_likely,
            "suspected_at": suspected_at,
        },
    )


def case_erased(erasure: Erasure) -> OutgoingEvent:
    """Builds `case.erased.v1`, which names sections and nobody; the facts of triage are not in a dossier."""
    return OutgoingEvent(
        CaseErasedV1,
        subject=subject_of_erasure(erasure.case_id),
        case_id=erasure.case_id,
        data={
            "case_id": erasure.case_id,
            "sections": [one for one in DossierSection if erasure.is_whole_case or one.value in erasure.sections],
            "is_whole_case": erasure.is_whole_case,
            "erased_at": erasure.erased_at,
        },
    )


def breach_found(breach: AnnouncedBreach) -> OutgoingEvent:
    """Builds `breach.found.v1`, which names nobody and nothing that was reachable."""
    return OutgoingEvent(
        BreachFoundV1,
        subject=subject_of_alarm(breach.breach_id),
        case_id=breach.breach_id,
        data={
            "breach_id": breach.breach_id,
            "found_at": breach.found_at,
            "due_at": breach.due_at,
            "is_over": not breach.is_due,
        },
    )


def dossier_released(
    disclosure: Disclosure,
    revisions: Mapping[DossierSection, int],
    contents: Mapping[DossierSection, SectionContent],
    released_at: datetime,
) -> OutgoingEvent:
    """Builds `dossier.released.v1` with each section sealed to the agency; routing passes it on to the agency."""
    return OutgoingEvent(
        DossierReleasedV1,
        subject=subject_of_dossier(disclosure.referral_id),
        case_id=disclosure.case_id,
        data={
            **_of_referral(disclosure),
            "sections": [
                {"section": section, "revision": revision, "basis": disclosure.bases[section]}
                for section, revision in revisions.items()
            ],
            "released_at": released_at,
        },
        sealed={section.value: (disclosure.agency, content) for section, content in contents.items()},
    )


def dossier_withdrawn(
    disclosure: Disclosure,
    sections: Sequence[DossierSection],
    withdrawal_id: UUID,
    confirm_by: datetime,
    withdrawn_at: datetime,
) -> OutgoingEvent:
    """Builds `dossier.withdrawn.v1`, which names sections and no reason; routing passes it on to the agency."""
    return OutgoingEvent(
        DossierWithdrawnV1,
        subject=subject_of_dossier(disclosure.referral_id),
        case_id=disclosure.case_id,
        data={
            **_of_referral(disclosure),
            "withdrawal_id": withdrawal_id,
            "sections": sections,
            "confirm_by": confirm_by,
            "withdrawn_at": withdrawn_at,
        },
    )


def _of_referral(disclosure: Disclosure) -> dict[str, object]:
    return {"referral_id": disclosure.referral_id, "case_id": disclosure.case_id, "agency": disclosure.agency}


def _triage_facts(report: Report, city: City) -> TriageFacts:
    return TriageFacts(
        channel=report.channel,
        complaint_centre=report.complaint_centre,
        reporter=report.reporter,
        violence=report.known_violence,
        place=report.place,
        happened_at=report.happened_at,
        event_kelurahan=city.locate_kelurahan(report.event_kelurahan),
        kelurahan=city.locate_kelurahan(report.kelurahan),
        sex=report.sex,
        age_band=report.age_band,
        perpetrator_relation=report.perpetrator_relation,
        guardian_relation=report.guardian_relation,
        excluded_agencies=report.excluded_agencies,
        suggested_exclusions=report.suggested_exclusions,
        **report.answers,
    )
