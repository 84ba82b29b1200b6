"""The only SQL of intake."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, LargeBinary, Uuid

from simpul_intake.tables import AmendmentRow, CaseKeyRow, ReportRow, SectionRow
from simpul_runtime.transaction import Transaction


@dataclass(frozen=True, slots=True)
class StoredReport:
    """What the database stores under a report id."""

    report_id: UUID
    case_id: UUID
    content_mac: bytes
    received_at: datetime


_ADD_REPORTS = text("""
    INSERT INTO report (report_id, case_id, content_mac, received_at)
    SELECT * FROM unnest(:report_ids, :case_ids, :macs, :received) ON CONFLICT (report_id) DO NOTHING
    RETURNING report_id
""").bindparams(
    bindparam("report_ids", type_=ARRAY(Uuid)), bindparam("case_ids", type_=ARRAY(Uuid)),
    bindparam("macs", type_=ARRAY(LargeBinary)), bindparam("received", type_=ARRAY(DateTime(timezone=True))),
)  # fmt: skip


_LOCK_CASE = text("""
    SELECT r.report_id, r.received_at, k.wrapped FROM report r JOIN case_key k USING (case_id)
    WHERE r.case_id = :case_id FOR UPDATE OF k
""")
_SECTIONS = text("""
    SELECT DISTINCT ON (name) name, revision, ciphertext FROM section WHERE case_id = :case_id
    ORDER BY name, revision DESC
""")


@dataclass(frozen=True, slots=True)
class EncryptedCase:
    """A case as stored: its wrapped key, and the newest revision of each section."""

    report_id: UUID
    received_at: datetime
    wrapped_key: bytes
    sections: dict[str, tuple[int, bytes]]
    """Section name -> (revision, ciphertext)."""


@dataclass(frozen=True, slots=True)
class StoredAmendment:
    """What the database stores under an amendment id."""

    content_mac: bytes
    revision: int


async def add_reports(transaction: Transaction, reports: Sequence[StoredReport]) -> set[UUID]:
    """Stores reports whose id is new; returns those ids."""
    added = await transaction.connection.execute(
        _ADD_REPORTS,
        {
            "report_ids": [report.report_id for report in reports],
            "case_ids": [report.case_id for report in reports],
            "macs": [report.content_mac for report in reports],
            "received": [report.received_at for report in reports],
        },
    )
    return set(added.scalars())


async def find_reports(transaction: Transaction, report_ids: Sequence[UUID]) -> dict[UUID, StoredReport]:
    """Loads the stored reports with these ids."""
    table = ReportRow.__table__.c  # type: ignore[attr-defined]  # set by SQLModel
    found = await transaction.connection.execute(
        select(table.report_id, table.case_id, table.content_mac, table.received_at)
        .where(table.report_id.in_(report_ids))
    )  # fmt: skip
    return {row.report_id: StoredReport(*row) for row in found}


def add_sections(transaction: Transaction, case_id: UUID, wrapped_key: bytes, sections: dict[str, bytes]) -> None:
    """Stores a case's wrapped key and the first revision of its sections."""
    transaction.add(CaseKeyRow, {"case_id": case_id, "wrapped": wrapped_key})
    for name, ciphertext in sections.items():
        row = {"case_id": case_id, "name": name, "revision": 1, "ciphertext": ciphertext}
        transaction.add(SectionRow, row)


async def load_case_for_update(transaction: Transaction, case_id: UUID) -> EncryptedCase | None:
    """Loads a case and locks it until the transaction ends; None when the case does not exist."""
    found = (await transaction.connection.execute(_LOCK_CASE, {"case_id": case_id})).one_or_none()
    if found is None:
        return None
    rows = await transaction.connection.execute(_SECTIONS, {"case_id": case_id})
    sections = {row.name: (row.revision, row.ciphertext) for row in rows}
    return EncryptedCase(found.report_id, found.received_at, found.wrapped, sections)


def add_revision(transaction: Transaction, case_id: UUID, name: str, revision: int, ciphertext: bytes) -> None:
    """Stores a newer revision of a section; older revisions stay."""
    transaction.add(SectionRow, {"case_id": case_id, "name": name, "revision": revision, "ciphertext": ciphertext})


async def find_amendment(transaction: Transaction, amendment_id: UUID) -> StoredAmendment | None:
    """Loads the amendment with this id; None when it is new."""
    table = AmendmentRow.__table__.c  # type: ignore[attr-defined]  # set by SQLModel
    found = await transaction.connection.execute(
        select(table.content_mac, table.revision).where(table.amendment_id == amendment_id)
    )
    row = found.one_or_none()
    return StoredAmendment(*row) if row else None


def add_amendment(
    transaction: Transaction, amendment_id: UUID, case_id: UUID, content_mac: bytes, revision: int
) -> None:
    """Stores an amendment's digest, so that a repeated request changes nothing."""
    row = {"case_id": case_id, "content_mac": content_mac, "revision": revision, "stored_at": transaction.now}
    transaction.add(AmendmentRow, {"amendment_id": amendment_id, **row})
