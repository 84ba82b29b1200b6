"""Facts of intake as messages of the contract."""

from uuid import UUID

from simpul_intake.domain import Report
from simpul_runtime.outbox import Announcement
from simpul_runtime.transaction import subject_of_case
from simpul_schema.messages import CaseReportedV1
from simpul_schema.messages.case import TriageFacts


def case_reported(report: Report, case_id: UUID, kelurahan_code: str) -> Announcement:
    """`case.reported.v1`, the triage facts sealed to routing."""
    facts = TriageFacts(
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
        **report.answers,
    )
    return Announcement(
        CaseReportedV1,
        subject=subject_of_case(case_id),
        case_id=case_id,
        data={"case_id": case_id, "received_at": report.received_at},
        sealed={"triage": ("routing", facts)},
    )
