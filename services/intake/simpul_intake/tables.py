"""Tables of intake: accepted reports and amendments, case keys and encrypted sections."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Text, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()


class IntakeTable(SQLModel, registry=_REGISTRY):
    """Base class with its own registry, so that services in one process keep their tables apart."""


class ReportRow(IntakeTable, table=True):
    """One accepted report."""

    __tablename__ = "report"
    report_id: UUID = Field(primary_key=True)
    case_id: UUID = Field(unique=True)
    content_mac: bytes = Field(sa_type=LargeBinary)
    received_at: datetime = Field(sa_type=DateTime(timezone=True))
    stored_at: datetime = Field(sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")})


class AmendmentRow(IntakeTable, table=True):
    """One accepted amendment of a report."""

    __tablename__ = "amendment"
    amendment_id: UUID = Field(primary_key=True)
    case_id: UUID
    content_mac: bytes = Field(sa_type=LargeBinary)
    revision: int
    stored_at: datetime = Field(sa_type=DateTime(timezone=True))


class CaseKeyRow(IntakeTable, table=True):
    """A case's data key, wrapped by the master key; deleting the row erases the case."""

    __tablename__ = "case_key"
    case_id: UUID = Field(primary_key=True)
    wrapped: bytes = Field(sa_type=LargeBinary)


class SectionRow(IntakeTable, table=True):
    """One revision of an encrypted section of a case."""

    __tablename__ = "section"
    case_id: UUID = Field(primary_key=True, foreign_key="case_key.case_id")
    name: str = Field(primary_key=True, sa_type=Text)
    revision: int = Field(primary_key=True)
    ciphertext: bytes = Field(sa_type=LargeBinary)
