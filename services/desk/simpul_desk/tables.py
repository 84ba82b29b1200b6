"""Tables of the desk: what it builds from events, and the accounts of its users."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()
_MOMENT = DateTime(timezone=True)
_ZERO = {"server_default": text("0")}


class DeskTable(SQLModel, registry=_REGISTRY):
    """Base class with its own registry, so that services in one process keep their tables apart."""


class BoardRow(DeskTable, table=True):
    """A referral according to the events received so far; events of different sources arrive unordered.

    What depends on its services is computed from them whenever they change, so that the board is read by an index.
    """

    __tablename__ = "board"
    __table_args__ = (
        Index("board_waiting", "answer_by", postgresql_where=text("accepted_at IS NULL AND open_services > 0")),
        Index("board_late", "late_since", postgresql_where=text("late_since IS NOT NULL AND open_services > 0")),
        Index("board_accepted", "accepted_at", postgresql_where=text("accepted_at IS NOT NULL AND open_services > 0")),
    )
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID
    agency: str | None = Field(default=None, sa_type=Text)
    open_services: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)
    """Number of services that have not ended; the referral is on the board while there are any."""
    urgency: str | None = Field(default=None, sa_type=Text)
    """The highest urgency of the open services."""
    answer_by: datetime | None = Field(default=None, sa_type=_MOMENT)
    """The earliest deadline of the services that are not accepted, or of all open ones."""
    accepted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the last open service was accepted; None while one is not."""
    late_since: datetime | None = Field(default=None, sa_type=_MOMENT)
    """The earliest missed deadline of the open services."""
    late_step: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)
    """100 when a deadline has passed, 200 when twice its time has passed, 0 otherwise."""
    alerts_sent: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)
    alerts_failed: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)


class BoardServiceRow(DeskTable, table=True):
    """A service of a referral."""

    __tablename__ = "board_service"
    __table_args__ = (Index("board_service_referral", "referral_id"),)
    service_id: UUID = Field(primary_key=True)
    referral_id: UUID
    service: str = Field(sa_type=Text)
    urgency: str = Field(sa_type=Text)
    answer_by: datetime = Field(sa_type=_MOMENT)
    accepted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    ended_as: str | None = Field(default=None, sa_type=Text)
    """How the service ended: rerouted, completed, cancelled, revoked."""
    unanswered_since: datetime | None = Field(default=None, sa_type=_MOMENT)
    """The earliest missed deadline that an answer stops."""
    unserved_since: datetime | None = Field(default=None, sa_type=_MOMENT)
    """The earliest missed deadline that only the start of the service stops."""
    unanswered_step: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)
    """100 when such a deadline has passed, 200 when twice its time has passed."""
    unserved_step: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)


class CaseOverlapRow(DeskTable, table=True):
    """Two cases that may be about the same child; open until they are merged or a person dismisses the suspicion."""

    __tablename__ = "case_overlap"
    __table_args__ = (
        Index("case_overlap_case", "case_id", postgresql_where=text("is_open")),
        Index("case_overlap_other", "other_case_id", postgresql_where=text("is_open")),
    )
    overlap_id: UUID = Field(primary_key=True)
    case_id: UUID
    other_case_id: UUID
    is_open: bool


class AccountRow(DeskTable, table=True):
    """A person who may use the desk."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("login_name"),
        Index("account_external_subject", "external_subject", unique=True),
    )
    account_id: UUID = Field(primary_key=True)
    login_name: str = Field(sa_type=Text)
    """In lower case; a name chosen by whoever invited the person, or a mail address."""
    name: str = Field(sa_type=Text)
    language: str = Field(sa_type=Text)
    password_hash: str | None = Field(default=None, sa_type=Text)
    """Argon2id with its parameters; None until the invitation is accepted."""
    totp_secret: bytes | None = Field(default=None, sa_type=LargeBinary)
    """Encrypted to the desk; None until the person has an authenticator."""
    totp_step: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs=_ZERO)
    """The time step of the code that was used last, so that no code is good twice."""
    created_at: datetime = Field(sa_type=_MOMENT)
    disabled_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    external_subject: str | None = Field(default=None, sa_type=Text)
    """By what the city's OpenID provider knows the person; None until they connect it."""


class AccountRoleRow(DeskTable, table=True):
    """A role of a person in an agency, or for the whole city on behalf of an agency."""

    __tablename__ = "account_role"
    __table_args__ = (PrimaryKeyConstraint("account_id", "agency", "role"), Index("account_role_agency", "agency"))
    account_id: UUID = Field(primary_key=True, foreign_key="account.account_id")
    agency: str = Field(primary_key=True, sa_type=Text)
    role: str = Field(primary_key=True, sa_type=Text)
    granted_at: datetime = Field(sa_type=_MOMENT)


class SessionRow(DeskTable, table=True):
    """A browser that is signed in, or that has sent the password and not yet the second factor."""

    __tablename__ = "session"
    __table_args__ = (UniqueConstraint("secret_hash"), Index("session_account", "account_id"))
    session_id: UUID = Field(primary_key=True)
    secret_hash: bytes = Field(sa_type=LargeBinary)
    account_id: UUID = Field(foreign_key="account.account_id")
    is_complete: bool
    """Whether the second factor was given."""
    client: str = Field(sa_type=Text)
    """Kind of browser and device, for the person's own list."""
    created_at: datetime = Field(sa_type=_MOMENT)
    last_seen_at: datetime = Field(sa_type=_MOMENT)
    expires_at: datetime = Field(sa_type=_MOMENT)
    code_failures: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs=_ZERO)


class OneTimeLinkRow(DeskTable, table=True):
    """A link by which a person sets a password; deleted when it is used."""

    __tablename__ = "one_time_link"
    __table_args__ = (Index("one_time_link_account", "account_id"),)
    secret_hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    account_id: UUID = Field(foreign_key="account.account_id")
    purpose: str = Field(sa_type=Text)
    """`invitation` or `recovery`."""
    expires_at: datetime = Field(sa_type=_MOMENT)


class RecoveryRow(DeskTable, table=True):
    """A recovery that one person started, and whose link they are shown once a second person has confirmed it."""

    __tablename__ = "recovery"
    __table_args__ = (UniqueConstraint("account_id"),)
    recovery_id: UUID = Field(primary_key=True)
    account_id: UUID = Field(foreign_key="account.account_id")
    agency: str = Field(sa_type=Text)
    """The agency whose member is recovered."""
    started_by: UUID = Field(foreign_key="account.account_id")
    expires_at: datetime = Field(sa_type=_MOMENT)
    confirmed_by: UUID | None = Field(default=None, foreign_key="account.account_id")
    """The second person; None while it waits for one."""


class PasskeyRow(DeskTable, table=True):
    """A key in a phone, computer or stick by which a person signs in."""

    __tablename__ = "passkey"
    __table_args__ = (Index("passkey_account", "account_id"),)
    credential_id: bytes = Field(primary_key=True, sa_type=LargeBinary)
    account_id: UUID = Field(foreign_key="account.account_id")
    public_key: bytes = Field(sa_type=LargeBinary)
    sign_count: int = Field(sa_type=BigInteger)
    name: str = Field(sa_type=Text)
    """By which the person knows it, such as the name of a phone."""
    created_at: datetime = Field(sa_type=_MOMENT)
    last_used_at: datetime | None = Field(default=None, sa_type=_MOMENT)


class PasskeyChallengeRow(DeskTable, table=True):
    """What a passkey must sign once; deleted when it is used."""

    __tablename__ = "passkey_challenge"
    __table_args__ = (Index("passkey_challenge_expired", "expires_at"),)
    challenge: bytes = Field(primary_key=True, sa_type=LargeBinary)
    account_id: UUID | None = Field(default=None, foreign_key="account.account_id")
    """Who adds a passkey; None for a login."""
    expires_at: datetime = Field(sa_type=_MOMENT)


class RecoveryCodeRow(DeskTable, table=True):
    """A code on paper that replaces the authenticator once; deleted when it is used."""

    __tablename__ = "recovery_code"
    __table_args__ = (Index("recovery_code_account", "account_id"),)
    code_hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    account_id: UUID = Field(foreign_key="account.account_id")


class EmergencyAccessRow(DeskTable, table=True):
    """Access to one case for an hour, which one person asked for and a second one confirmed."""

    __tablename__ = "emergency_access"
    __table_args__ = (
        Index("emergency_access_account", "account_id"),
        Index("emergency_access_requested", "requested_at"),
    )
    access_id: UUID = Field(primary_key=True)
    account_id: UUID = Field(foreign_key="account.account_id")
    agency: str = Field(sa_type=Text)
    """The agency as whose member the person asks."""
    case_id: UUID
    reason: bytes = Field(sa_type=LargeBinary)
    """Encrypted to the desk, because it may name a child."""
    requested_at: datetime = Field(sa_type=_MOMENT)
    confirmed_by: UUID | None = Field(default=None, foreign_key="account.account_id")
    """The second person; None while it waits for one."""
    ends_at: datetime = Field(sa_type=_MOMENT)
    """When the access ends, or the question while nobody has confirmed it."""


class EmergencyNoticeRow(DeskTable, table=True):
    """A lead or coordinator has read the notice about an emergency access."""

    __tablename__ = "emergency_notice"
    __table_args__ = (PrimaryKeyConstraint("access_id", "account_id"),)
    access_id: UUID = Field(primary_key=True, foreign_key="emergency_access.access_id")
    account_id: UUID = Field(primary_key=True, foreign_key="account.account_id")
    read_at: datetime = Field(sa_type=_MOMENT)


class KnownDeviceRow(DeskTable, table=True):
    """A browser that has signed in to an account before; strangers' failures never make it wait."""

    __tablename__ = "known_device"
    __table_args__ = (Index("known_device_account", "account_id"),)
    secret_hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    account_id: UUID = Field(foreign_key="account.account_id")
    last_used_at: datetime = Field(sa_type=_MOMENT)


class LoginLimitRow(DeskTable, table=True):
    """Failed logins of one account from strange browsers, of one known browser, or of one address."""

    __tablename__ = "login_limit"
    __table_args__ = (Index("login_limit_failed", "last_failed_at"),)
    subject: bytes = Field(primary_key=True, sa_type=LargeBinary)
    """Digest of what is limited, so that the table names neither accounts nor addresses."""
    failures: int = Field(sa_type=Integer)
    last_failed_at: datetime = Field(sa_type=_MOMENT)
    blocked_until: datetime | None = Field(default=None, sa_type=_MOMENT)


class CaseExclusionRow(DeskTable, table=True):
    """A case that is kept from a person."""

    __tablename__ = "case_exclusion"
    __table_args__ = (PrimaryKeyConstraint("account_id", "case_id"),)
    account_id: UUID = Field(primary_key=True, foreign_key="account.account_id")
    case_id: UUID = Field(primary_key=True)
    declared_by: UUID = Field(foreign_key="account.account_id")
    declared_at: datetime = Field(sa_type=_MOMENT)


class WorklistEntryRow(DeskTable, table=True):
    """What one case asks of one hosted agency, as the agency's own store has it."""

    __tablename__ = "worklist_entry"
    __table_args__ = (
        PrimaryKeyConstraint("agency", "referral_id"),
        Index("worklist_entry_open", "agency", "due_at", "referral_id", postgresql_where=text("is_open")),
    )
    agency: str = Field(primary_key=True, sa_type=Text)
    referral_id: UUID = Field(primary_key=True)
    case_id: UUID
    kind: str = Field(sa_type=Text)
    """`referral`, `plan` or `exclusion`."""
    urgency: str = Field(sa_type=Text)
    due_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """What runs out next."""
    received_at: datetime = Field(sa_type=_MOMENT)
    services: list[Any] = Field(sa_type=JSONB)
    """Code and step of each open service."""
    must_acknowledge: bool
    is_open: bool
    version: str = Field(sa_type=Text)
    lacks_information: bool = Field(default=False, sa_column_kwargs={"server_default": text("FALSE")})


class ReferralRecordRow(DeskTable, table=True):
    """A note or a document of a hosted agency about a referral."""

    __tablename__ = "referral_record"
    __table_args__ = (Index("referral_record_of", "agency", "referral_id", "written_at"),)
    record_id: UUID = Field(primary_key=True)
    agency: str = Field(sa_type=Text)
    referral_id: UUID
    kind: str = Field(sa_type=Text)
    author: UUID = Field(foreign_key="account.account_id")
    written_at: datetime = Field(sa_type=_MOMENT)
    content: bytes = Field(sa_type=LargeBinary)
    """The text, or a document's name and type, encrypted with the agency's key."""
    attachment: bytes | None = Field(default=None, sa_type=LargeBinary)
    """The document, encrypted with the agency's key."""


class PrintedPaperRow(DeskTable, table=True):
    """A printed paper, so that anybody who has its code finds that it is genuine."""

    __tablename__ = "printed_paper"
    code: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(sa_type=Text)
    number: str = Field(sa_type=Text)
    """As printed: the code of a referral, or the reference of a case."""
    agency: str = Field(sa_type=Text)
    services: list[str] = Field(sa_type=ARRAY(Text))
    printed_at: datetime = Field(sa_type=_MOMENT)
    printed_by: UUID = Field(foreign_key="account.account_id")


class ExaminationRow(DeskTable, table=True):
    """What the doctor found last; `simpul doctor --publish` writes it."""

    __tablename__ = "examination"
    __table_args__ = (CheckConstraint("is_only", name="examination_is_only"),)
    is_only: bool = Field(default=True, primary_key=True, sa_column_kwargs={"server_default": text("true")})
    checked_at: datetime = Field(sa_type=_MOMENT)
    findings: list[Any] = Field(sa_type=JSONB)
    """Code, severity, cause by language and remedy of each fault, the critical ones first."""
    skipped: list[str] = Field(sa_type=ARRAY(Text))


class ReferralReaderRow(DeskTable, table=True):
    """A person who has opened a referral."""

    __tablename__ = "referral_reader"
    __table_args__ = (PrimaryKeyConstraint("referral_id", "account_id"),)
    referral_id: UUID = Field(primary_key=True)
    account_id: UUID = Field(primary_key=True, foreign_key="account.account_id")
    first_read_at: datetime = Field(sa_type=_MOMENT)
    acted_at: datetime | None = Field(default=None, sa_type=_MOMENT)
    """When the person last replied, noted something or added a document; NULL if they only opened it."""
