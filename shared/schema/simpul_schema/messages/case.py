"""Events of intake and routing about cases."""

from typing import ClassVar, Final, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.envelope import ContractModel, Event, EventData, Instant, SectionContent, Sections
from simpul_schema.messages.reply import MAX_NOTE
from simpul_schema.vocabulary import (
    AgeBand,
    Answer,
    CaseEnd,
    Channel,
    DossierSection,
    Place,
    ReferralRole,
    Relation,
    ReplanReason,
    Reporter,
    Right,
    RightState,
    Service,
    Sex,
    Urgency,
    Violence,
)

EVENT_TIME: Final = r"^(\d{4}-\d{2}-\d{2}(T\d{2})?)?$"
"""A day, or a day and an hour, as the clocks of the city show them; empty if it is not known."""
MAX_QUESTION: Final = 500
"""Characters of one question to the reporting person."""


class TriageFacts(SectionContent):
    """The facts that routing decides on (tier T1), sealed to routing in the section `triage`."""

    SECTION: ClassVar[str] = "triage"
    RECIPIENT: ClassVar[str] = "routing"

    channel: Channel = Field(description="how the report came in")
    complaint_centre: str = Field(default="", description="agency code of the centre that took the report")
    reporter: Reporter = Field(description="who reports")
    violence: tuple[Violence, ...] = Field(min_length=1, description="kinds of violence, without duplicates")
    place: Place = Field(description="where it happened")
    happened_at: str = Field(
        default="",
        pattern=EVENT_TIME,
        description="when it happened, in local time: a day and an hour such as 2026-11-24T21, a day, or nothing",
    )
    event_kelurahan: str = Field(
        default="",
        description="official code of the kelurahan where it happened; `outside` if that is outside the city; empty if "
        "it is not known",
    )
    kelurahan: str = Field(
        default="",
        description="official code of the kelurahan where the child lives; `outside` if that is outside the city; "
        "empty if it is not known",
    )
    sex: Sex = Field(default=Sex.UNKNOWN, description="sex of the child")
    age_band: AgeBand = Field(default=AgeBand.UNKNOWN, description="age of the child, as a band")
    perpetrator_relation: Relation = Field(default=Relation.UNKNOWN, description="what the suspect is to the child")
    perpetrator_is_child: Answer = Field(default=Answer.UNKNOWN, description="whether the suspect is under 18")
    perpetrator_lives_with_child: Answer = Field(
        default=Answer.UNKNOWN, description="whether the suspect lives in the child's household"
    )
    guardian_relation: Relation = Field(default=Relation.UNKNOWN, description="what the guardian is to the child")
    guardian_is_suspect: Answer = Field(
        default=Answer.UNKNOWN, description="whether the guardian and the suspect are the same person"
    )
    suspect_has_phone: Answer = Field(
        default=Answer.UNKNOWN, description="whether the telephone of the child's family is the suspect's"
    )
    safe_now: Answer = Field(default=Answer.UNKNOWN, description="whether the child is safe now")
    injured: Answer = Field(default=Answer.UNKNOWN, description="whether the child is injured")
    sexual_under_72h: Answer = Field(
        default=Answer.UNKNOWN,
        description="whether sexual violence happened in the 72 hours before the report, from a reporter who knows no "
        "day; `happened_at` together with sexual violence says the same",
    )
    suicidal_sign: Answer = Field(default=Answer.UNKNOWN, description="whether there are signs of suicidal thoughts")
    trafficking_sign: Answer = Field(default=Answer.UNKNOWN, description="whether there are signs of trafficking")
    pregnant: Answer = Field(default=Answer.UNKNOWN, description="whether the child is pregnant")
    disability_need: Answer = Field(
        default=Answer.UNKNOWN, description="whether the child needs support because of a disability"
    )
    in_school: Answer = Field(default=Answer.UNKNOWN, description="whether the child attends a school")
    excluded_agencies: tuple[str, ...] = Field(
        default=(), description="codes of agencies that are too close to the suspect and receive nothing"
    )
    suggested_exclusions: tuple[str, ...] = Field(
        default=(),
        description="the same, suggested by an unverified source; they receive nothing until a person decides. One "
        "that was named again stands here again",
    )


class CaseReportedData(EventData):
    """The accepted report; the facts are in the section `triage`, sealed to routing."""

    case_id: UUID = Field(description="random reference of the case")
    received_at: Instant = Field(description="when the complaint centre received the report, UTC")


class RightEntry(ContractModel):
    """One right of the child and its state."""

    right: Right = Field(description="the right")
    state: RightState = Field(description="its state now")


class RightChangedData(EventData):
    """Rights that changed together: at triage all eight, later those whose state changed."""

    case_id: UUID = Field(description="random reference of the case")
    rights: tuple[RightEntry, ...] = Field(min_length=1, description="each changed right with its new state")


class RightChangedV1(Event):
    """Sent by routing when the rights ledger of a case is opened or changed."""

    WIRE_NAME: ClassVar[str] = "right.changed.v1"
    type: Literal["right.changed.v1"] = "right.changed.v1"
    data: RightChangedData


class CaseClosedData(EventData):
    """A closed case and its outcome."""

    case_id: UUID = Field(description="random reference of the case")
    end: CaseEnd = Field(description="how it ended")
    closed_at: Instant = Field(description="when, UTC")


class CaseClosedV1(Event):
    """Sent by routing when a case is closed."""

    WIRE_NAME: ClassVar[str] = "case.closed.v1"
    type: Literal["case.closed.v1"] = "case.closed.v1"
    data: CaseClosedData


class CaseReopenedData(EventData):
    """A closed case that was reopened."""

    case_id: UUID = Field(description="random reference of the case")
    reopened_at: Instant = Field(description="when, UTC")


class CaseReopenedV1(Event):
    """Sent by routing when a closed case is reopened."""

    WIRE_NAME: ClassVar[str] = "case.reopened.v1"
    type: Literal["case.reopened.v1"] = "case.reopened.v1"
    data: CaseReopenedData


class CaseMergedData(EventData):
    """Two cases that are about the same child."""

    case_id: UUID = Field(description="random reference of the case that ends")
    into: UUID = Field(description="random reference of the case that continues")
    merged_at: Instant = Field(description="when, UTC")


class CaseMergedV1(Event):
    """Sent by routing when a case is merged into another case of the same child."""

    WIRE_NAME: ClassVar[str] = "case.merged.v1"
    type: Literal["case.merged.v1"] = "case.merged.v1"
    data: CaseMergedData


class CaseVoidedData(EventData):
    """A case that was entered in error."""

    case_id: UUID = Field(description="random reference of the case")
    voided_at: Instant = Field(description="when, UTC")


class CaseVoidedV1(Event):
    """Sent by routing when a case is marked as entered in error."""

    WIRE_NAME: ClassVar[str] = "case.voided.v1"
    type: Literal["case.voided.v1"] = "case.voided.v1"
    data: CaseVoidedData


class CaseErasedData(EventData):
    """What intake's vault has erased of a case, because its period is over or a person ordered it."""

    case_id: UUID = Field(description="random reference of the case")
    sections: tuple[DossierSection, ...] = Field(description="the sections of which nothing may be kept")
    is_whole_case: bool = Field(description="whether nothing of the case is left in the vault")
    erased_at: Instant = Field(description="when, UTC; what is added to a section later is not meant")


class CaseErasedV1(Event):
    """Sent by intake when sections of a case, or the whole case, were erased from the vault."""

    WIRE_NAME: ClassVar[str] = "case.erased.v1"
    type: Literal["case.erased.v1"] = "case.erased.v1"
    # A stream of its own, so that an erasure never waits for an event about the case that is missing.
    subject: str = Field(pattern=r"^erasure/[0-9a-f-]{36}$", description="the erasures of the case")
    data: CaseErasedData


class ReporterQuestion(SectionContent):
    """What the case manager asks the reporting person (tier T3), sealed to intake in the section `question`."""

    SECTION: ClassVar[str] = "question"
    RECIPIENT: ClassVar[str] = "intake"

    text: str = Field(
        min_length=1, max_length=MAX_QUESTION, description="the question, as whoever holds the receipt reads it"
    )


class CaseQuestionSentData(EventData):
    """A question to the person who reported the case."""

    case_id: UUID = Field(description="random reference of the case")
    question_id: UUID = Field(description="random reference of the question")
    sent_at: Instant = Field(description="when, UTC")


class CaseQuestionSentV1(Event):
    """Sent by routing when the case manager asks the reporting person, who answers with the receipt."""

    WIRE_NAME: ClassVar[str] = "case.question_sent.v1"
    SECTIONS: ClassVar[Sections] = (ReporterQuestion,)
    type: Literal["case.question_sent.v1"] = "case.question_sent.v1"
    # A stream of its own, so that no question waits for an event about the case that is missing.
    subject: str = Field(pattern=r"^question/[0-9a-f-]{36}$", description="the question")
    data: CaseQuestionSentData


class AddedNote(SectionContent):
    """What an agency noted about a section of the dossier (tier T3), sealed to intake in the section `added_note`."""

    SECTION: ClassVar[str] = "added_note"
    RECIPIENT: ClassVar[str] = "intake"

    about: DossierSection = Field(description="the section of the dossier that it adds to")
    agency: str = Field(description="code of the agency that noted it")
    text: str = Field(min_length=1, max_length=MAX_NOTE, description="the note")


class CaseNoteAddedData(EventData):
    """A note to a case."""

    case_id: UUID = Field(description="random reference of the case")
    note_id: UUID = Field(description="random reference of the note")
    written_at: Instant = Field(description="when, UTC")


class CaseNoteAddedV1(Event):
    """Sent by routing when an agency that serves the case noted something; intake adds it to the dossier."""

    WIRE_NAME: ClassVar[str] = "case.note_added.v1"
    SECTIONS: ClassVar[Sections] = (AddedNote,)
    type: Literal["case.note_added.v1"] = "case.note_added.v1"
    # A stream of its own, so that no note waits for an event about the case that is missing.
    subject: str = Field(pattern=r"^note/[0-9a-f-]{36}$", description="the note")
    data: CaseNoteAddedData


class CaseAgencyExcludedData(EventData):
    """An agency that is too close to the suspect; it receives nothing more about the case, not even escalations."""

    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    excluded_at: Instant = Field(description="when, UTC")


class CaseAgencyExcludedV1(Event):
    """Sent by routing when an agency is excluded from a case after the report."""

    WIRE_NAME: ClassVar[str] = "case.agency_excluded.v1"
    type: Literal["case.agency_excluded.v1"] = "case.agency_excluded.v1"
    # A stream of its own for each, so that whoever follows exclusions need not follow cases.
    subject: str = Field(pattern=r"^exclusion/[0-9a-f-]{36}$", description="the exclusion")
    data: CaseAgencyExcludedData


class ReplannedService(ContractModel):
    """One service with its referral, agency and role."""

    referral_id: UUID = Field(description="random reference of the referral")
    service_id: UUID = Field(description="random reference of the service in the referral")
    agency: str = Field(description="code of the agency")
    service: Service = Field(description="the service")
    role: ReferralRole = Field(description="whether the agency leads the service or supports it")


class CaseReplannedData(EventData):
    """The changes of the plan; everything else stays as it was."""

    case_id: UUID = Field(description="random reference of the case")
    why: ReplanReason = Field(description="why routing decided again")
    agreement: str = Field(description="version of the agreement that decided")
    urgency: Urgency = Field(description="urgency of the case from now on")
    added: tuple[ReplannedService, ...] = Field(description="services that were added")
    withdrawn: tuple[ReplannedService, ...] = Field(description="services that were withdrawn")
    kept: tuple[ReplannedService, ...] = Field(description="services that stay open with the same agency")


class CaseReplannedV1(Event):
    """Sent by routing when it has decided a case again."""

    WIRE_NAME: ClassVar[str] = "case.replanned.v1"
    type: Literal["case.replanned.v1"] = "case.replanned.v1"
    data: CaseReplannedData


class CaseReportedV1(Event):
    """Sent by intake when a report has been accepted and stored."""

    WIRE_NAME: ClassVar[str] = "case.reported.v1"
    SECTIONS: ClassVar[Sections] = (TriageFacts,)
    type: Literal["case.reported.v1"] = "case.reported.v1"
    data: CaseReportedData


class CaseAmendedData(EventData):
    """Amended facts; all current facts of the case are in the section `triage`, sealed to routing."""

    case_id: UUID = Field(description="random reference of the case")
    amended_at: Instant = Field(description="when intake stored the new facts, UTC")
    revision: int = Field(ge=2, description="revision of the facts; the report is revision 1")


class CaseAmendedV1(Event):
    """Sent by intake when facts of a case are added or corrected; routing decides the case again."""

    WIRE_NAME: ClassVar[str] = "case.amended.v1"
    SECTIONS: ClassVar[Sections] = (TriageFacts,)
    type: Literal["case.amended.v1"] = "case.amended.v1"
    data: CaseAmendedData


class ClearedAgency(SectionContent):
    """An agency that is not too close to the suspect (tier T1), sealed to intake in the section `cleared_agency`."""

    SECTION: ClassVar[str] = "cleared_agency"
    RECIPIENT: ClassVar[str] = "intake"

    agency: str = Field(description="code of the agency")
    namings: int = Field(ge=1, description="how often the report of the case had named it when that was decided")


class CaseAgencyClearedData(EventData):
    """A person decided about a suggested exclusion; which agency it is about is sealed."""

    case_id: UUID = Field(description="random reference of the case")
    cleared_at: Instant = Field(description="when, UTC")


class CaseAgencyClearedV1(Event):
    """Sent by routing when a person decides that an agency, which a report names, is not too close to the suspect.

    It is sent for each case of the child whose report names the agency.
    """

    WIRE_NAME: ClassVar[str] = "case.agency_cleared.v1"
    SECTIONS: ClassVar[Sections] = (ClearedAgency,)
    type: Literal["case.agency_cleared.v1"] = "case.agency_cleared.v1"
    subject: str = Field(pattern=r"^exclusion/[0-9a-f-]{36}$", description="the suggested exclusion")
    data: CaseAgencyClearedData
