"""Tables of intake: who reported what under which id, and the vault."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Text, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

_REGISTRY = registry()


class IntakeTable(SQLModel, registry=_REGISTRY):
    """Base with a registry of its own, so that services in one process never mix their tables."""


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
    """The case's data key, wrapped by the master key; deleting it erases the case."""

    __tablename__ = "case_key"
    case_id: UUID = Field(primary_key=True)
    wrapped: bytes = Field(sa_type=LargeBinary)


class SectionRow(IntakeTable, table=True):
    """One encrypted section of a case."""

    __tablename__ = "section"
    case_id: UUID = Field(primary_key=True, foreign_key="case_key.case_id")
    name: str = Field(primary_key=True, sa_type=Text)
    revision: int = Field(primary_key=True)
    ciphertext: bytes = Field(sa_type=LargeBinary)
