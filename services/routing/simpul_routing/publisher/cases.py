"""Builds events about a case as a whole, and about two cases of perhaps one child."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from simpul_routing.domain.notes import Note
from simpul_routing.domain.published import (
    AgencyCleared,
    CaseClosed,
    CaseMerged,
    CaseReopened,
    CaseReplanned,
    CaseVoided,
    QuestionSent,
    RightsChanged,
)
from simpul_routing.domain.referral import ReferralService
from simpul_runtime.outbox import OutgoingEvent
from simpul_schema import Event
from simpul_schema.messages import (
    CaseAgencyClearedV1,
    CaseClosedV1,
    CaseMergedV1,
    CaseNoteAddedV1,
    CaseQuestionSentV1,
    CaseReopenedV1,
    CaseReplannedV1,
    CaseVoidedV1,
    OverlapDismissedV1,
    RightChangedV1,
)
from simpul_schema.messages.case import AddedNote, ClearedAgency, ReporterQuestion
from simpul_schema.names import (
    subject_of_case,
    subject_of_exclusion,
    subject_of_note,
    subject_of_overlap,
    subject_of_question,
)
from simpul_schema.vocabulary import DossierSection


def case_event(
    case_id: UUID,
    content: RightsChanged | CaseClosed | CaseReopened | CaseMerged | CaseVoided | CaseReplanned,
    cause: UUID | None,
    now: datetime,
) -> OutgoingEvent:
    """Builds the event about the rights, the end, the merge or a new decision of a case."""
    match content:
        case RightsChanged(rights=rights):
            states = [{"right": right, "state": entry.state} for right, entry in rights.items()]
            return _of_case(RightChangedV1, case_id, cause, rights=states)
        case CaseClosed(end=end):
            return _of_case(CaseClosedV1, case_id, cause, end=end, closed_at=now)
        case CaseReopened():
            return _of_case(CaseReopenedV1, case_id, cause, reopened_at=now)
        case CaseMerged(into=into):
            return _of_case(CaseMergedV1, case_id, cause, into=into, merged_at=now)
        case CaseVoided():
            return _of_case(CaseVoidedV1, case_id, cause, voided_at=now)
        case CaseReplanned():
            return _of_case(
                CaseReplannedV1,
                case_id,
                cause,
                why=content.why,
                agreement=content.agreement,
                urgency=content.urgency,
                added=_replanned(content.added),
                withdrawn=_replanned(content.withdrawn),
                kept=_replanned(content.kept),
            )


def _replanned(services: Sequence[ReferralService]) -> list[dict[str, Any]]:
    return [
        {
            "referral_id": one.referral_id,
            "service_id": one.service_id,
            "agency": one.agency,
            "service": one.service,
            "role": one.role,
        }
        for one in services
    ]


def _of_case(message: type[Event], case_id: UUID, cause: UUID | None, **data: Any) -> OutgoingEvent:
    return OutgoingEvent(
        message, subject=subject_of_case(case_id), case_id=case_id, causation=cause, data={"case_id": case_id, **data}
    )


def question_sent(case_id: UUID, content: QuestionSent, now: datetime) -> OutgoingEvent:
    """Builds `case.question_sent.v1`, which only intake can read."""
    return OutgoingEvent(
        CaseQuestionSentV1,
        subject=subject_of_question(content.question_id),
        case_id=case_id,
        data={"case_id": case_id, "question_id": content.question_id, "sent_at": now},
        sealed={"question": ("intake", ReporterQuestion(text=content.text))},
    )


def agency_cleared(content: AgencyCleared, cause: UUID | None, now: datetime) -> OutgoingEvent:
    """Builds `case.agency_cleared.v1`, which only intake can read."""
    return OutgoingEvent(
        CaseAgencyClearedV1,
        subject=subject_of_exclusion(uuid4()),
        case_id=content.case_id,
        causation=cause,
        data={"case_id": content.case_id, "cleared_at": now},
        sealed={"cleared_agency": ("intake", ClearedAgency(agency=content.agency, namings=content.namings))},
    )


def note_added(note: Note) -> OutgoingEvent:
    """Builds `case.note_added.v1`, which only intake can read."""
    content = AddedNote(about=DossierSection(note.about.value), agency=note.agency, text=note.text)
    return OutgoingEvent(
        CaseNoteAddedV1,
        subject=subject_of_note(note.note_id),
        case_id=note.case_id,
        causation=note.note_id,
        data={"case_id": note.case_id, "note_id": note.note_id, "written_at": note.written_at},
        sealed={"added_note": ("intake", content)},
    )


def overlap_dismissed(overlap_id: UUID, case_id: UUID, other_case_id: UUID, dismissed_at: datetime) -> OutgoingEvent:
    """Builds `overlap.dismissed.v1`."""
    return OutgoingEvent(
        OverlapDismissedV1,
        subject=subject_of_overlap(overlap_id),
        case_id=case_id,
        data={"case_id": case_id, "other_case_id": other_case_id, "dismissed_at": dismissed_at},
    )
