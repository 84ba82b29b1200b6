"""Events about the dossier of a case: what an agency that accepted learns of the child, and when that ends.

Routing decides what an agency may hold, by the agreement; intake releases it from its vault, sealed to the agency, and
withdraws it. Routing passes both on to the agency, with its number in the delivery manifests and behind the exclusions
of the case, and can read neither.
"""

from typing import Any, ClassVar, Final, Literal
from uuid import UUID

from pydantic import Field

from simpul_schema.catalog import ANY_AGENCY
from simpul_schema.envelope import ContractModel, Event, EventData, Instant, SectionContent, Sections
from simpul_schema.messages.reply import MAX_NOTE, ReferralReplyData
from simpul_schema.vocabulary import Answer, DisclosureBasis, DossierSection, Relation, Service, Sex


class DisclosureTerms(SectionContent):
    """What an agency may hold of a case (tier T1), sealed to intake in the section `terms`."""

    SECTION: ClassVar[str] = "terms"
    RECIPIENT: ClassVar[str] = "intake"

    sections: tuple[DossierSection, ...] = Field(description="the sections that its services need; empty if none")
    basis: DisclosureBasis | None = Field(default=None, description="on which basis; nothing where there is no section")
    bases: dict[DossierSection, DisclosureBasis] = Field(
        default_factory=dict, description="the basis of each section; `basis` for those that are missing here"
    )
    services: tuple[Service, ...] = Field(default=(), description="the accepted services that need them")
    clauses: tuple[str, ...] = Field(default=(), description="clauses of the agreement that disclose them")
    agreement: str = Field(default="", description="version of the agreement that governs the newest of the services")
    is_suspected: bool = Field(
        default=False,
        description="a person has yet to decide whether the agency is too close to the suspect; it gets nothing new",
    )
    is_cleared: bool = Field(
        default=False, description="a person decided that the agency, which a report names, is not too close"
    )
    cleared_namings: int = Field(
        default=0, ge=0, description="how often the reports had named the agency when that was decided"
    )


class DisclosureDecidedData(EventData):
    """What an agency may hold of a case from now on; replaces every earlier decision about the same referral."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    decided_at: Instant = Field(description="when, UTC")


class DisclosureDecidedV1(Event):
    """Sent by routing when an agency may hold other sections than before: it accepted, or a service ended."""

    WIRE_NAME: ClassVar[str] = "disclosure.decided.v1"
    SECTIONS: ClassVar[Sections] = (DisclosureTerms,)
    type: Literal["disclosure.decided.v1"] = "disclosure.decided.v1"
    # A stream of its own, because a gap in the stream of the referral would look like a loss to its agency.
    subject: str = Field(pattern=r"^disclosure/[0-9a-f-]{36}$", description="the disclosure to one agency")
    data: DisclosureDecidedData


class DossierNote(ContractModel):
    """What an agency that helps the child noted about a section; who holds the section reads it."""

    note_id: UUID = Field(description="random reference of the note")
    agency: str = Field(description="code of the agency that noted it")
    text: str = Field(min_length=1, max_length=MAX_NOTE, description="the note")
    written_at: Instant = Field(description="when, UTC")


def _notes() -> Any:
    """Describes the notes of a section."""
    return Field(default=(), description="what agencies that help the child noted about this section, the oldest first")


class DossierIdentity(SectionContent):
    """Who the child is (tier T2), sealed to the agency in the section `identity`."""

    SECTION: ClassVar[str] = "identity"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    child_name: str = Field(default="", description="name of the child; empty if it is not known, as all fields here")
    birth_date: str = Field(default="", description="date of birth as it was reported")
    nik: str = Field(default="", description="population number")
    sex: Sex = Field(default=Sex.UNKNOWN, description="sex of the child")
    guardian_name: str = Field(default="", description="name of the guardian")
    guardian_relation: Relation = Field(default=Relation.UNKNOWN, description="what the guardian is to the child")
    notes: tuple[DossierNote, ...] = _notes()


class DossierFile(ContractModel):
    """A photo or document of the reporting person; its content is fetched from intake, sealed to the agency."""

    file_id: UUID = Field(description="random reference of the file; a `FileRequest` names it")
    name: str = Field(max_length=120, description="its name, without a folder; the ending is that of its kind")
    media_type: str = Field(max_length=60, description="its kind, such as image/jpeg or application/pdf")
    size: int = Field(ge=0, description="bytes of its content")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its content")
    received_at: Instant = Field(description="when the reporting person added it, UTC")


class DossierNarrative(SectionContent):
    """What happened, in the words of the report (tier T3), sealed to the agency in the section `narrative`."""

    SECTION: ClassVar[str] = "narrative"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    chronology: str = Field(default="", description="the chronology")
    files: tuple[DossierFile, ...] = Field(
        default=(), description="photos and documents that the reporting person added, the oldest first"
    )
    notes: tuple[DossierNote, ...] = _notes()


class DossierMedical(SectionContent):
    """What a clinician has to know (tier T3), sealed to the agency in the section `medical`."""

    SECTION: ClassVar[str] = "medical"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    injured: Answer = Field(default=Answer.UNKNOWN, description="whether the child is injured")
    pregnant: Answer = Field(default=Answer.UNKNOWN, description="whether the child is pregnant")
    disability_need: Answer = Field(
        default=Answer.UNKNOWN, description="whether the child needs support because of a disability"
    )
    suicidal_sign: Answer = Field(default=Answer.UNKNOWN, description="whether there are signs of suicidal thoughts")
    happened_at: str = Field(default="", description="when it happened, in local time, as in the facts of the referral")
    notes: tuple[DossierNote, ...] = _notes()


class DossierLegal(SectionContent):
    """What is known of the suspect (tier T3), sealed to the agency in the section `legal`."""

    SECTION: ClassVar[str] = "legal"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    perpetrator_description: str = Field(default="", description="the suspect, in the words of the report")
    perpetrator_relation: Relation = Field(default=Relation.UNKNOWN, description="what the suspect is to the child")
    notes: tuple[DossierNote, ...] = _notes()


class DossierSchool(SectionContent):
    """Where the child learns (tier T2), sealed to the agency in the section `school`."""

    SECTION: ClassVar[str] = "school"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    school: str = Field(default="", description="name of the school")
    in_school: Answer = Field(default=Answer.UNKNOWN, description="whether the child attends a school")
    notes: tuple[DossierNote, ...] = _notes()


class DossierLogistics(SectionContent):
    """How the child is reached without danger (tier T2), sealed to the agency in the section `logistics`."""

    SECTION: ClassVar[str] = "logistics"
    RECIPIENT: ClassVar[str] = ANY_AGENCY

    safe_contact: str = Field(default="", description="a number or address that is safe to use")
    safe_hours: str = Field(
        default="", description="when that contact is safe to use, as it was reported; empty if nothing was"
    )
    guardian_phone: str = Field(
        default="", description="number of the guardian; empty too where the guardian or the phone is the suspect's"
    )
    address: str = Field(default="", description="where the child lives")
    is_suspect_at_home: Answer = Field(
        default=Answer.UNKNOWN, description="whether the suspect lives there: do not go or write there then"
    )
    notes: tuple[DossierNote, ...] = _notes()


DOSSIER_SECTIONS: Final[dict[DossierSection, type[SectionContent]]] = {
    DossierSection.IDENTITY: DossierIdentity,
    DossierSection.NARRATIVE: DossierNarrative,
    DossierSection.MEDICAL: DossierMedical,
    DossierSection.LEGAL: DossierLegal,
    DossierSection.SCHOOL: DossierSchool,
    DossierSection.LOGISTICS: DossierLogistics,
}
"""The content of each section."""


class ReleasedSection(ContractModel):
    """One released section; its content is sealed to the agency under its name."""

    section: DossierSection = Field(description="the section")
    revision: int = Field(ge=1, description="grows with each release of this section; the highest one counts")
    basis: DisclosureBasis = Field(description="on which basis the agency holds it")


class DossierReleasedData(EventData):
    """Sections that are new to the agency, or have changed; those that it holds already stay."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    sections: tuple[ReleasedSection, ...] = Field(min_length=1, description="the sections that are sealed in the event")
    released_at: Instant = Field(description="when, UTC")


class DossierReleasedV1(Event):
    """Sent by intake to an agency that accepted, and again to it when something of that has changed."""

    WIRE_NAME: ClassVar[str] = "dossier.released.v1"
    SECTIONS: ClassVar[Sections] = tuple(DOSSIER_SECTIONS.values())
    type: Literal["dossier.released.v1"] = "dossier.released.v1"
    # A stream of its own next to routing's about the referral, also for a consumer that counts by subject alone.
    subject: str = Field(pattern=r"^dossier/[0-9a-f-]{36}$", description="the dossier of the referral")
    data: DossierReleasedData


class DossierWithdrawnData(EventData):
    """Sections that the agency must delete, in every system that it gave them to."""

    referral_id: UUID = Field(description="random reference of the referral")
    case_id: UUID = Field(description="random reference of the case")
    agency: str = Field(description="code of the agency")
    withdrawal_id: UUID = Field(description="random reference of the withdrawal; the confirmation names it")
    sections: tuple[DossierSection, ...] = Field(min_length=1, description="the sections to delete")
    confirm_by: Instant = Field(description="when the deletion must be confirmed, UTC")
    withdrawn_at: Instant = Field(description="when, UTC")


class DossierWithdrawnV1(Event):
    """Sent by intake to an agency that may no longer hold sections; the agency deletes them and confirms it."""

    WIRE_NAME: ClassVar[str] = "dossier.withdrawn.v1"
    type: Literal["dossier.withdrawn.v1"] = "dossier.withdrawn.v1"
    subject: str = Field(pattern=r"^dossier/[0-9a-f-]{36}$", description="the dossier of the referral")
    data: DossierWithdrawnData


class DeletionData(ReferralReplyData):
    """Which withdrawal the agency has carried out."""

    withdrawal_id: UUID = Field(description="the `withdrawal_id` whose sections are deleted")


class ReplyDossierDeletedV1(Event):
    """Sent by the agency when it has deleted the sections of a withdrawn dossier."""

    WIRE_NAME: ClassVar[str] = "reply.dossier.deleted.v1"
    type: Literal["reply.dossier.deleted.v1"] = "reply.dossier.deleted.v1"
    subject: str = Field(pattern=r"^dossier/[0-9a-f-]{36}$", description="the dossier of the referral")
    data: DeletionData
