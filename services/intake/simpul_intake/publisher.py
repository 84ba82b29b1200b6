"""Builds the contract messages that intake publishes."""

from datetime import datetime
from uuid import UUID

from simpul_intake.domain import Report
from simpul_runtime.outbox import Announcement
from simpul_schema.messages import CaseAmendedV1, CaseReportedV1
from simpul_schema.messages.case import TriageFacts
from simpul_schema.names import subject_of_case


def case_reported(report: Report, case_id: UUID, kelurahan_code: str) -> Announcement:
    """Builds `case.reported.v1` with the triage facts sealed to routing."""
    return Announcement(
        CaseReportedV1,
        subject=subject_of_case(case_id),
        case_id=case_id,
        data={"case_id": case_id, "received_at": report.received_at},
        sealed={"triage": ("routing", _triage_facts(report, kelurahan_code))},
    )


def case_amended(
    report: Report, case_id: UUID, kelurahan_code: str, revision: int, amended_at: datetime
) -> Announcement:
    """Builds `case.amended.v1` with the complete amended triage facts sealed to routing."""
    return Announcement(
        CaseAmendedV1,
        subject=subject_of_case(case_id),
        case_id=case_id,
        data={"case_id": case_id, "amended_at": amended_at, "revision": revision},
        sealed={"triage": ("routing", _triage_facts(report, kelurahan_code))},
    )


def _triage_facts(report: Report, kelurahan_code: str) -> TriageFacts:
    return TriageFacts(
        channel=report.channel,
        complaint_centre=report.complaint_centre,
        reporter=report.reporter,
        violence=report.known_violence,
        place=report.place,
        kelurahan=kelurahan_code,
        sex=report.sex,
        age_band=report.age_band,
        perpetrator_relation=report.perpetrator_relation,
        excluded_agencies=report.excluded_agencies,
        suggested_exclusions=report.suggested_exclusions,
        **report.answers,
    )
