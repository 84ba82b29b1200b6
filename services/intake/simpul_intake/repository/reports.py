"""Reports, amendments and encrypted sections."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Integer, LargeBinary, Uuid

from simpul_intake.domain import Progress
from simpul_intake.tables import AmendmentRow, CaseKeyRow, ReportRow, SectionRow
from simpul_runtime.transaction import Transaction


@dataclass(frozen=True, slots=True)
class StoredReport:
    """What the database stores under a report id."""

    report_id: UUID
    case_id: UUID
    content_mac: bytes
    received_at: datetime
    receipt_number: int = 0
    """How often the receipt was replaced."""


_ADD_REPORTS = text("""
    INSERT INTO report (report_id, case_id, content_mac, received_at)
    SELECT * FROM unnest(:report_ids, :case_ids, :macs, :received) ON CONFLICT (report_id) DO NOTHING
    RETURNING report_id
""").bindparams(
    bindparam("report_ids", type_=ARRAY(Uuid)),
    bindparam("case_ids", type_=ARRAY(Uuid)),
    bindparam("macs", type_=ARRAY(LargeBinary)),
    bindparam("received", type_=ARRAY(DateTime(timezone=True))),
)


_FIND_REPORT = text("""
    SELECT r.report_id, k.key_id, k.wrapped, r.receipt_number FROM report r JOIN case_key k USING (case_id)
    WHERE r.case_id = :case_id
""")
_LOCK_CASE = text("""
    SELECT r.report_id, r.received_at FROM report r JOIN case_key k USING (case_id)
    WHERE r.case_id = :case_id FOR UPDATE OF k
""")
_SECTIONS = text("""
    SELECT DISTINCT ON (name) name, revision, ciphertext FROM section WHERE case_id = :case_id
    ORDER BY name, revision DESC
""")


_MERGED = text("""
    WITH root AS (SELECT coalesce((SELECT merged_into FROM case_end WHERE case_id = :case_id), :case_id) AS case_id)
    SELECT r.case_id, r.report_id, k.key_id, k.wrapped FROM report r JOIN case_key k USING (case_id), root
    WHERE r.case_id = root.case_id
        OR r.case_id IN (SELECT e.case_id FROM case_end e WHERE e.merged_into = root.case_id)
    ORDER BY r.case_id <> root.case_id, r.received_at, r.case_id
""").bindparams(bindparam("case_id", type_=Uuid))
# The audit is the only record of who filed a report; nobody can change it without being found out.
_REPLACE_RECEIPT = text("""
    UPDATE report r SET receipt_number = receipt_number + 1
    WHERE r.case_id = :case_id AND EXISTS (SELECT FROM case_key k WHERE k.case_id = r.case_id)
        AND receipt_number = coalesce(:number, receipt_number) AND EXISTS (
            SELECT FROM audit a
            WHERE a.subject = :subject AND a.action = 'report.stored' AND a.role = :role AND a.actor = :centre)
    RETURNING report_id, receipt_number
""").bindparams(bindparam("case_id", type_=Uuid), bindparam("number", type_=Integer))
_FILED = text("""
    SELECT r.case_id, r.received_at, r.receipt_number, counted.ended_at IS NOT NULL AS is_closed,
        EXISTS (
            SELECT FROM disclosure d WHERE d.case_id IN (r.case_id, coalesce(own.merged_into, r.case_id))) AS is_handled
    FROM audit a
    JOIN report r ON r.case_id = CAST(substr(a.subject, 6) AS uuid)
    JOIN case_key k ON k.case_id = r.case_id
    LEFT JOIN case_end own ON own.case_id = r.case_id
    LEFT JOIN case_end counted ON counted.case_id = coalesce(own.merged_into, r.case_id)
    WHERE a.actor = :centre AND a.role = :role AND a.action = 'report.stored'
        AND (:before = '' OR a.position < (
            SELECT b.position FROM audit b
            WHERE b.subject = :before AND b.actor = :centre AND b.role = :role AND b.action = 'report.stored'))
    ORDER BY a.position DESC LIMIT :limit
""")
"""The part of the subject from its sixth letter on is the case."""
_COUNT_AMENDMENTS = text("SELECT count(*) FROM amendment WHERE case_id = :case_id AND stored_at > :since").bindparams(
    bindparam("since", type_=DateTime(timezone=True))
)
_IN_RANGE = text("SELECT case_id FROM report WHERE case_id BETWEEN :first AND :last LIMIT 2").bindparams(
    bindparam("first", type_=Uuid), bindparam("last", type_=Uuid)
)
_FACTS = text("""
    SELECT s.case_id, s.revision, s.ciphertext, k.key_id, k.wrapped, coalesce(a.stored_at, r.stored_at) AS stored_at
    FROM section s JOIN case_key k USING (case_id) JOIN report r USING (case_id)
    LEFT JOIN amendment a ON a.case_id = s.case_id AND a.revision = s.revision
    WHERE s.case_id = ANY(:case_ids) AND s.name = 'triage' ORDER BY s.case_id, s.revision
""").bindparams(bindparam("case_ids", type_=ARRAY(Uuid)))
# The audit alone says when something was released first.
_PROGRESS_BEFORE = text("""
    WITH counted AS (
        SELECT coalesce((
            SELECT merged_into FROM case_end
            WHERE case_id = :case_id AND coalesce(merged_at, '-infinity') <= :moment), :case_id) AS case_id)
    SELECT coalesce(
            (SELECT is_ended FROM recorded_end r WHERE r.case_id = c.case_id AND r.recorded_at <= :moment
                ORDER BY r.sequence DESC LIMIT 1), FALSE) AS is_closed,
        EXISTS (SELECT FROM audit a
            WHERE a.subject IN (:subject, 'case/' || c.case_id) AND a.action = 'dossier.released'
                AND a.at <= :moment) AS is_handled
    FROM counted c
""").bindparams(bindparam("case_id", type_=Uuid), bindparam("moment", type_=DateTime(timezone=True)))
_PROGRESS = text("""
    WITH counted AS (SELECT coalesce((SELECT merged_into FROM case_end WHERE case_id = :case_id), :case_id) AS case_id)
    SELECT EXISTS (SELECT FROM case_end e WHERE e.case_id = c.case_id AND e.ended_at IS NOT NULL) AS is_closed,
        EXISTS (SELECT FROM disclosure d WHERE d.case_id IN (c.case_id, :case_id)) AS is_handled
    FROM counted c
""").bindparams(bindparam("case_id", type_=Uuid))


@dataclass(frozen=True, slots=True)
class ReportOfCase:
    """The report that opened a case, and the case's data key as stored."""

    report_id: UUID
    key_id: str
    wrapped: bytes
    receipt_number: int = 0
    """How often the receipt was replaced."""


@dataclass(frozen=True, slots=True)
class FiledReport:
    """A report that a complaint centre filed, and how far it has come."""

    case_id: UUID
    received_at: datetime
    progress: Progress
    receipt_number: int = 0
    """How often the receipt was replaced."""


@dataclass(frozen=True, slots=True)
class EncryptedFacts:
    """A revision of the facts of a report as stored."""

    case_id: UUID
    revision: int
    ciphertext: bytes
    key_id: str
    wrapped: bytes
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class EncryptedCase:
    """A case as stored: the newest revision of each section."""

    report_id: UUID
    received_at: datetime
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
        select(table.report_id, table.case_id, table.content_mac, table.received_at, table.receipt_number).where(
            table.report_id.in_(report_ids)
        )
    )
    return {row.report_id: StoredReport(*row) for row in found}


def add_sections(
    transaction: Transaction, case_id: UUID, key_id: str, wrapped: bytes, sections: dict[str, bytes]
) -> None:
    """Stores a case's wrapped key and the first revision of its sections."""
    transaction.add_row(CaseKeyRow, {"case_id": case_id, "key_id": key_id, "wrapped": wrapped})
    for name, ciphertext in sections.items():
        row = {"case_id": case_id, "name": name, "revision": 1, "ciphertext": ciphertext}
        transaction.add_row(SectionRow, row)


async def find_report_of_case(transaction: Transaction, case_id: UUID) -> ReportOfCase | None:
    """Loads the report of a case and its data key; None when the case does not exist or is erased."""
    return await find_report_of_case_in(transaction.connection, case_id)


async def find_report_of_case_in(connection: AsyncConnection, case_id: UUID) -> ReportOfCase | None:
    """Does the same on a connection of an operator's command."""
    row = (await connection.execute(_FIND_REPORT, {"case_id": case_id})).one_or_none()
    return ReportOfCase(*row) if row else None


async def find_reports_of_child(transaction: Transaction, case_id: UUID) -> dict[UUID, ReportOfCase]:
    """Finds the reports of a case and of those merged into the same one, by case, the one that continues first.

    Those whose case is erased are left out.
    """
    rows = await transaction.connection.execute(_MERGED, {"case_id": case_id})
    return {row.case_id: ReportOfCase(row.report_id, row.key_id, row.wrapped) for row in rows}


async def find_case_in_range(transaction: Transaction, first: UUID, last: UUID) -> UUID | None:
    """Finds the one case whose id lies in a range; None if there is none, or several."""
    found = (await transaction.connection.execute(_IN_RANGE, {"first": first, "last": last})).scalars().all()
    return found[0] if len(found) == 1 else None


async def replace_receipt(
    transaction: Transaction, case_id: UUID, subject: str, centre: str, role: str, number: int | None
) -> tuple[UUID, int] | None:
    """Counts a further receipt of a report that a centre filed; returns the report and the number.

    `subject` is the case in the audit, `role` that of complaint centres there, and `number` how often the receipt was
    replaced when the centre decided; None for whatever it is. None if the centre filed no such report, its case is
    erased, or the receipt was replaced meanwhile.
    """
    values = {"case_id": case_id, "subject": subject, "centre": centre, "role": role, "number": number}
    row = (await transaction.connection.execute(_REPLACE_RECEIPT, values)).one_or_none()
    return (row.report_id, row.receipt_number) if row else None


async def list_filed(transaction: Transaction, centre: str, role: str, *, before: str, limit: int) -> list[FiledReport]:
    """Lists the reports that a centre filed, the newest first, without those of erased cases.

    `role` is that of complaint centres in the audit, and `before` the case as the audit names it after which the list
    continues; empty at the start.
    """
    values = {"centre": centre, "role": role, "before": before, "limit": limit}
    rows = await transaction.connection.execute(_FILED, values)
    return [
        FiledReport(row.case_id, row.received_at, _progress_of(row.is_closed, row.is_handled), row.receipt_number)
        for row in rows
    ]


async def find_progress(transaction: Transaction, case_id: UUID) -> Progress:
    """Finds how far a case has come, or the case of the same child into which it was merged."""
    row = (await transaction.connection.execute(_PROGRESS, {"case_id": case_id})).one()
    return _progress_of(row.is_closed, row.is_handled)


async def find_progress_before(transaction: Transaction, case_id: UUID, subject: str, moment: datetime) -> Progress:
    """Finds how far a case had come at a moment; `subject` is the case in the audit."""
    values = {"case_id": case_id, "subject": subject, "moment": moment}
    row = (await transaction.connection.execute(_PROGRESS_BEFORE, values)).one()
    return _progress_of(row.is_closed, row.is_handled)


async def load_facts(transaction: Transaction, case_ids: Sequence[UUID]) -> list[EncryptedFacts]:
    """Loads every revision of the facts of cases, of each case the first one first."""
    return [EncryptedFacts(*row) for row in await transaction.connection.execute(_FACTS, {"case_ids": list(case_ids)})]


def _progress_of(is_closed: bool, is_handled: bool) -> Progress:
    if is_closed:
        return Progress.CLOSED
    return Progress.BEING_HANDLED if is_handled else Progress.RECEIVED


async def load_case_for_update(transaction: Transaction, case_id: UUID) -> EncryptedCase | None:
    """Loads a case and locks it until the transaction ends; None when the case does not exist."""
    found = (await transaction.connection.execute(_LOCK_CASE, {"case_id": case_id})).one_or_none()
    if found is None:
        return None
    rows = await transaction.connection.execute(_SECTIONS, {"case_id": case_id})
    sections = {row.name: (row.revision, row.ciphertext) for row in rows}
    return EncryptedCase(found.report_id, found.received_at, sections)


def add_revision(transaction: Transaction, case_id: UUID, name: str, revision: int, ciphertext: bytes) -> None:
    """Stores a newer revision of a section; older revisions stay."""
    transaction.add_row(SectionRow, {"case_id": case_id, "name": name, "revision": revision, "ciphertext": ciphertext})


async def find_amendment(transaction: Transaction, amendment_id: UUID) -> StoredAmendment | None:
    """Loads the amendment with this id; None when it is new."""
    table = AmendmentRow.__table__.c  # type: ignore[attr-defined]  # set by SQLModel
    found = await transaction.connection.execute(
        select(table.content_mac, table.revision).where(table.amendment_id == amendment_id)
    )
    row = found.one_or_none()
    return StoredAmendment(*row) if row else None


async def count_amendments(transaction: Transaction, case_id: UUID, since: datetime) -> int:
    """Counts the amendments of a case after a moment."""
    counted = await transaction.connection.execute(_COUNT_AMENDMENTS, {"case_id": case_id, "since": since})
    return int(counted.scalar_one())


def add_amendment(
    transaction: Transaction, amendment_id: UUID, case_id: UUID, content_mac: bytes, revision: int
) -> None:
    """Stores an amendment's digest, so that a repeated request changes nothing."""
    row = {"case_id": case_id, "content_mac": content_mac, "revision": revision, "stored_at": transaction.now}
    transaction.add_row(AmendmentRow, {"amendment_id": amendment_id, **row})
