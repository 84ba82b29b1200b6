"""Tables of intake: accepted reports and amendments, case keys and encrypted sections."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, Integer, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from simpul_runtime.tables import define_messaging_tables

_REGISTRY = registry()
MESSAGING = define_messaging_tables(Index("outbox_of_case", "correlation_id"))
"""The message tables; an erasure finds the messages of its case by an index."""


class IntakeTable(SQLModel, registry=_REGISTRY):
    """Base class with its own registry, so that services in one process keep their tables apart."""


class ReportRow(IntakeTable, table=True):
    """One accepted report."""

    __tablename__ = "report"
    report_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(unique=True)
    content_mac: bytes = Field(sa_type=LargeBinary)
    received_at: datetime = Field(sa_type=DateTime(timezone=True))
    receipt_number: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """How often the receipt was replaced; the words follow from it."""
    stored_at: datetime = Field(sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")})


class ReportCountRow(IntakeTable, table=True):
    """How many reports one sender has sent in an hour."""

    __tablename__ = "report_count"
    hour: datetime = Field(primary_key=True, sa_type=DateTime(timezone=True))
    sender: bytes = Field(primary_key=True, sa_type=LargeBinary)
    """A digest with a key of the day, so that it names nobody."""
    count: int


class AmendmentRow(IntakeTable, table=True):
    """One accepted amendment of a report."""

    __tablename__ = "amendment"
    __table_args__ = (Index("amendment_of_case", "case_id", "stored_at"),)
    amendment_id: UUID = Field(primary_key=True)
    case_id: UUID
    content_mac: bytes = Field(sa_type=LargeBinary)
    revision: int
    stored_at: datetime = Field(sa_type=DateTime(timezone=True))


class CaseKeyRow(IntakeTable, table=True):
    """A case's data key, wrapped by a master key; deleting the row erases the case."""

    __tablename__ = "case_key"
    __table_args__ = (Index("case_key_of_master_key", "key_id"),)
    case_id: UUID = Field(primary_key=True)
    wrapped: bytes = Field(sa_type=LargeBinary)
    key_id: str = Field(sa_type=Text, sa_column_kwargs={"server_default": ""})
    """The master key; empty in a row of the first version until it is re-wrapped."""


class VaultSecretRow(IntakeTable, table=True):
    """A key that outlives every master key, such as that of the receipts; wrapped by a master key."""

    __tablename__ = "vault_secret"
    name: str = Field(primary_key=True, sa_type=Text)
    key_id: str = Field(sa_type=Text)
    wrapped: bytes = Field(sa_type=LargeBinary)


class SectionRow(IntakeTable, table=True):
    """One revision of an encrypted section of a case."""

    __tablename__ = "section"
    case_id: UUID = Field(primary_key=True, foreign_key="case_key.case_id")
    name: str = Field(primary_key=True, sa_type=Text)
    revision: int = Field(primary_key=True)
    ciphertext: bytes = Field(sa_type=LargeBinary)


class ReporterQuestionRow(IntakeTable, table=True):
    """A question of the case manager to whoever holds the receipt, encrypted under the case's data key.

    It is deleted as soon as anything of its case is erased.
    """

    __tablename__ = "reporter_question"
    __table_args__ = (Index("reporter_question_of_case", "case_id", "sent_at"),)
    question_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="case_key.case_id", ondelete="CASCADE")
    ciphertext: bytes = Field(sa_type=LargeBinary)
    sent_at: datetime = Field(sa_type=DateTime(timezone=True))
    answered_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class ReporterFileRow(IntakeTable, table=True):
    """A photo or document of the reporting person, encrypted under the case's data key.

    It is deleted with the narrative of its case.
    """

    __tablename__ = "reporter_file"
    __table_args__ = (Index("reporter_file_of_case", "case_id", "digest", unique=True),)
    file_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="case_key.case_id", ondelete="CASCADE")
    digest: bytes = Field(sa_type=LargeBinary)
    """Keyed digest of the content, so that a file that is sent twice is stored once."""
    description: bytes = Field(sa_type=LargeBinary)
    """Name, kind, size and digest, encrypted."""
    ciphertext: bytes = Field(sa_type=LargeBinary)
    """The content, encrypted."""
    stored_at: datetime = Field(sa_type=DateTime(timezone=True))


class DossierNoteRow(IntakeTable, table=True):
    """What an agency noted about a section of the dossier, encrypted under the case's data key.

    It is deleted as soon as anything of its case is erased.
    """

    __tablename__ = "dossier_note"
    __table_args__ = (Index("dossier_note_of_case", "case_id", "written_at"),)
    note_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(foreign_key="case_key.case_id", ondelete="CASCADE")
    section: str = Field(sa_type=Text)
    """The section that it adds to."""
    ciphertext: bytes = Field(sa_type=LargeBinary)
    """Agency and text, encrypted."""
    written_at: datetime = Field(sa_type=DateTime(timezone=True))


class CaseEndRow(IntakeTable, table=True):
    """When a case ended, as routing says; retention counts from there."""

    __tablename__ = "case_end"
    __table_args__ = (
        Index("case_end_ended_at", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        Index("case_end_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
    )
    case_id: UUID = Field(primary_key=True)
    sequence: int = Field(sa_type=BigInteger)
    """Of the last event about the end that was recorded, in the case's stream."""
    ended_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    """Empty while the case is open."""
    merged_into: UUID | None
    """The case of the same child that continues; this one ends with it."""
    merged_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    """Empty also where a version before 2026-12-11 recorded it."""


class RecordedEndRow(IntakeTable, table=True):
    """That a case ended or was reopened; what an accused centre may know stays as it was at a moment."""

    __tablename__ = "recorded_end"
    case_id: UUID = Field(primary_key=True)
    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    """Of the event, in the case's stream."""
    is_ended: bool
    recorded_at: datetime = Field(sa_type=DateTime(timezone=True))


class ExcludedAgencyRow(IntakeTable, table=True):
    """An agency that a person excluded from a case in routing; those that a report excludes are in its facts."""

    __tablename__ = "excluded_agency"
    case_id: UUID = Field(primary_key=True)
    agency: str = Field(primary_key=True, sa_type=Text)
    excluded_at: datetime = Field(sa_type=DateTime(timezone=True))


class ClearedAgencyRow(IntakeTable, table=True):
    """An agency of which a person decided that it is not too close to the suspect, although reports name it."""

    __tablename__ = "cleared_agency"
    case_id: UUID = Field(primary_key=True)
    agency: str = Field(primary_key=True, sa_type=Text)
    namings: int
    """How often the reports had named it then."""


class LegalHoldRow(IntakeTable, table=True):
    """A reason for which a case must be kept; the row is deleted when it no longer holds."""

    __tablename__ = "legal_hold"
    case_id: UUID = Field(primary_key=True)
    reason: str = Field(primary_key=True, sa_type=Text)
    reference: str = Field(primary_key=True, sa_type=Text)
    placed_by: str = Field(sa_type=Text)
    placed_at: datetime = Field(sa_type=DateTime(timezone=True))


class ErasedCaseRow(IntakeTable, table=True):
    """What remains of an erased case."""

    __tablename__ = "erased_case"
    case_id: UUID = Field(primary_key=True)
    reason: str = Field(sa_type=Text)
    erased_by: str = Field(sa_type=Text)
    erased_at: datetime = Field(sa_type=DateTime(timezone=True))
    key_id: str = Field(sa_type=Text)
    """The master key that wrapped the destroyed data key."""
    sections: dict[str, Any] = Field(sa_type=JSONB)
    """Section -> number of its erased revisions."""


class UnannouncedErasureRow(IntakeTable, table=True):
    """What was erased of a case, until it is announced."""

    __tablename__ = "unannounced_erasure"
    case_id: UUID = Field(primary_key=True)
    is_whole_case: bool = Field(primary_key=True)
    sections: list[str] = Field(sa_type=ARRAY(Text))
    """The erased sections; empty where the whole case was erased."""
    erased_at: datetime = Field(primary_key=True, sa_type=DateTime(timezone=True))


class ErasureHolderRow(IntakeTable, table=True):
    """Who had data of an erased case, and when they confirmed that it is gone."""

    __tablename__ = "erasure_holder"
    case_id: UUID = Field(primary_key=True, foreign_key="erased_case.case_id")
    holder: str = Field(primary_key=True, sa_type=Text)
    confirmed_at: datetime | None = Field(sa_type=DateTime(timezone=True))
    confirmed_by: str = Field(sa_type=Text, sa_column_kwargs={"server_default": ""})


class VaultActionRow(IntakeTable, table=True):
    """What was done, or refused, to a case in the vault; rows are only added."""

    __tablename__ = "vault_action"
    __table_args__ = (Index("vault_action_of_case", "case_id", "at"),)
    action_id: UUID = Field(primary_key=True, sa_column_kwargs={"server_default": text("gen_random_uuid()")})
    case_id: UUID
    action: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)
    actor: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=DateTime(timezone=True))


class RetiredMasterKeyRow(IntakeTable, table=True):
    """A master key that wraps nothing any more and was taken out of the key file."""

    __tablename__ = "retired_master_key"
    key_id: str = Field(primary_key=True, sa_type=Text)
    retired_by: str = Field(sa_type=Text)
    retired_at: datetime = Field(sa_type=DateTime(timezone=True))


class DuplicateIndexRow(IntakeTable, table=True):
    """The keyed tokens by which a case is found again; see `simpul_intake.duplicates`."""

    __tablename__ = "duplicate_index"
    __table_args__ = (
        # A search would read every entry that waits in the list of pending ones.
        Index("duplicate_index_lookup", "lookup", postgresql_using="gin", postgresql_with={"fastupdate": False}),
        Index("duplicate_index_unsearched", "case_id", postgresql_where=text("searched_at IS NULL")),
    )
    case_id: UUID = Field(primary_key=True, foreign_key="case_key.case_id", ondelete="CASCADE")
    version: str = Field(sa_type=Text)
    """Rules and key; a row of another version is made again."""
    lookup: list[int] = Field(sa_type=ARRAY(Integer))
    comparison: bytes = Field(sa_type=LargeBinary)
    searched_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    """None only in rows that a version without `duplicate_unsearched` wrote and has not searched.

    Such a version may run during an upgrade.
    """


class DuplicateUnsearchedRow(IntakeTable, table=True):
    """A case whose tokens are still to be compared with those of the others.

    As a column of the index it would write all lookup tokens of the case again at each update.
    """

    __tablename__ = "duplicate_unsearched"
    case_id: UUID = Field(primary_key=True, foreign_key="duplicate_index.case_id", ondelete="CASCADE")
    digest: bytes = Field(sa_type=LargeBinary)
    """Digest of the comparison tokens that are to be searched."""


class SuspectedOverlapRow(IntakeTable, table=True):
    """Two cases that may be about one child; the smaller id comes first."""

    __tablename__ = "suspected_overlap"
    __table_args__ = (Index("suspected_overlap_other", "other_case_id"),)
    case_id: UUID = Field(primary_key=True, foreign_key="case_key.case_id", ondelete="CASCADE")
    other_case_id: UUID = Field(primary_key=True, foreign_key="case_key.case_id", ondelete="CASCADE")
    overlap_id: UUID
    is_likely: bool
    suspected_at: datetime = Field(sa_type=DateTime(timezone=True))


class DuplicateSearchRow(IntakeTable, table=True):
    """One search of a complaint centre before a report, and what became of it; rows are never deleted."""

    __tablename__ = "duplicate_search"
    __table_args__ = (Index("duplicate_search_of_centre", "centre", "searched_at"),)
    search_id: UUID = Field(primary_key=True)
    centre: str = Field(sa_type=Text)
    report_id: UUID
    searched_at: datetime = Field(sa_type=DateTime(timezone=True))
    outcome: str = Field(sa_type=Text)
    """`none`, `maybe`, or `over_budget` when nothing was searched."""
    agency: str = Field(sa_type=Text)
    """The agency that the answer named; empty when there was none."""
    reason: str = Field(default="", sa_type=Text)
    """Why the centre reported all the same."""
    reported_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))


class BreachRow(IntakeTable, table=True):
    """A breach of personal data, whose notice is due 3 x 24 hours after it was found."""

    __tablename__ = "breach"
    breach_id: UUID = Field(primary_key=True)
    found_at: datetime = Field(sa_type=DateTime(timezone=True))
    due_at: datetime = Field(sa_type=DateTime(timezone=True))
    opened_by: str = Field(sa_type=Text)
    since: datetime = Field(sa_type=DateTime(timezone=True))
    until: datetime = Field(sa_type=DateTime(timezone=True))
    accounts: list[str] = Field(sa_type=ARRAY(Text))
    agencies: list[str] = Field(sa_type=ARRAY(Text))
    whole_vault: bool
    authority_notified_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    announced_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    """When it was published, so that those who answer for the city's data are alerted."""
    settled_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    """When it was published that every notice was given."""


class BreachedCaseRow(IntakeTable, table=True):
    """A case whose data were reachable, and when the child was notified."""

    __tablename__ = "breached_case"
    breach_id: UUID = Field(primary_key=True, foreign_key="breach.breach_id")
    case_id: UUID = Field(primary_key=True)
    sections: list[str] = Field(sa_type=ARRAY(Text))
    notified_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    notified_by: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": text("''")})


class DisclosureRow(IntakeTable, table=True):
    """What the agency of one referral may hold of the dossier, as routing decided last."""

    __tablename__ = "disclosure"
    __table_args__ = (
        Index("disclosure_of_case", "case_id"),
        Index("disclosure_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID
    agency: str = Field(sa_type=Text)
    sequence: int = Field(sa_type=BigInteger)
    """Of the decision, in its stream; an earlier one that arrives later changes nothing."""
    sections: list[str] = Field(sa_type=ARRAY(Text))
    bases: list[str] = Field(sa_type=ARRAY(Text), sa_column_kwargs={"server_default": text("'{}'")})
    """The basis of each section, in the same order (R7)."""
    basis: str | None = Field(default=None, sa_type=Text)
    """What the version before 2026-11-29 stored for all sections, and still does until it is replaced: where it is not
    empty it counts instead of `bases`. Dropped by the next release."""
    is_suspected: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """Whether a person has yet to decide if the agency is too close to the suspect."""
    is_cleared: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """What the version before stores instead of `cleared_namings`."""
    cleared_namings: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """How often reports had named it when a person decided that it is not."""
    due_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    """When to compare it with what the agency holds; empty where both agree."""


class HeldSectionRow(IntakeTable, table=True):
    """A section of the dossier that was released to the agency of a referral, and what became of it."""

    __tablename__ = "held_section"
    __table_args__ = (
        Index(
            "held_section_undeleted",
            "confirm_by",
            postgresql_where=text("withdrawal_id IS NOT NULL AND deleted_at IS NULL"),
        ),
    )
    referral_id: UUID = Field(primary_key=True, foreign_key="disclosure.referral_id")
    section: str = Field(primary_key=True, sa_type=Text)
    revision: int
    digest: bytes = Field(sa_type=LargeBinary)
    basis: str = Field(sa_type=Text)
    """The basis on which it was released last (R7)."""
    released_at: datetime = Field(sa_type=DateTime(timezone=True))
    withdrawal_id: UUID | None = None
    """The event that withdrew it; empty while the agency may hold it."""
    confirm_by: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    deleted_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    """When the agency confirmed that it deleted it."""
