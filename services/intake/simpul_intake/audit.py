"""What intake records in its audit."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from simpul_intake.domain import Progress, Report
from simpul_intake.dossier import Disclosure
from simpul_intake.erasure import VaultAction
from simpul_runtime.audit import AuditEntry
from simpul_schema.names import subject_of_case
from simpul_schema.vocabulary import DossierSection

INTAKE: Final = "intake"
ANONYMOUS: Final = "anonymous"
RECEIPT_HOLDER: Final = "receipt_holder"
CENTRE: Final = "complaint_centre"
"""The role of a complaint centre that sent its token."""
OPERATOR: Final = "operator"
RETENTION: Final = "retention"
"""The actor of what intake erases by itself."""


def report_stored(case_id: UUID, report: Report) -> AuditEntry:
    """A report was stored and opened a case."""
    centre = report.authenticated_centre
    role = CENTRE if centre else ""
    return AuditEntry("report.stored", subject_of_case(case_id), centre or ANONYMOUS, role, report.channel.value)


def report_amended(case_id: UUID, revision: int, answers: int) -> AuditEntry:
    """A report was amended by somebody who holds its receipt, who perhaps answered questions."""
    detail = f"revision:{revision}" + (f",answers:{answers}" if answers else "")
    return AuditEntry("report.amended", subject_of_case(case_id), RECEIPT_HOLDER, "", detail)


def question_stored(case_id: UUID, question_id: UUID) -> AuditEntry:
    """A question to the reporting person was stored in the vault; routing's audit says who asked it."""
    return AuditEntry("question.stored", subject_of_case(case_id), INTAKE, "", f"question:{question_id}")


def note_stored(case_id: UUID, agency: str, note_id: UUID) -> AuditEntry:
    """A note of an agency became part of the dossier."""
    return AuditEntry("note.stored", subject_of_case(case_id), agency, "", f"note:{note_id}")


def files_stored(case_id: UUID, count: int) -> AuditEntry:
    """Somebody who holds the receipt added photos or documents."""
    return AuditEntry("files.stored", subject_of_case(case_id), RECEIPT_HOLDER, "", f"count:{count}")


def file_read(case_id: UUID, agency: str, file_id: UUID) -> AuditEntry:
    """An agency that holds the chronology fetched a file; its own audit says who read it."""
    return AuditEntry("file.read", subject_of_case(case_id), agency, "", f"file:{file_id}")


def progress_read(case_id: UUID, progress: Progress) -> AuditEntry:
    """Somebody who holds the receipt asked what became of the report."""
    return AuditEntry("report.followed", subject_of_case(case_id), RECEIPT_HOLDER, "", progress.value)


def receipt_replaced(case_id: UUID, centre: str, number: int) -> AuditEntry:
    """A complaint centre had a new receipt made for a report that it filed."""
    return AuditEntry("receipt.replaced", subject_of_case(case_id), centre, CENTRE, f"number:{number}")


def filed_reports_read(centre: str, count: int) -> AuditEntry:
    """A complaint centre asked what became of the reports that it filed."""
    return AuditEntry("report.listed", "", centre, CENTRE, f"count:{count}")


def sections_read(case_id: UUID, sections: Iterable[str], actor: str, purpose: str) -> AuditEntry:
    """Sections of the vault were decrypted, and for what."""
    return AuditEntry("vault.read", subject_of_case(case_id), actor, "", f"{purpose}:{','.join(sorted(sections))}")


def dossier_released(disclosure: Disclosure, sections: Iterable[DossierSection]) -> AuditEntry:
    """Sections were released to an agency, and on which basis (R7)."""
    names = tuple(sections)
    bases = sorted({disclosure.bases[name].value for name in names})
    detail = f"{disclosure.agency}:{','.join(bases)}:{_codes(names)}"
    return AuditEntry("dossier.released", subject_of_case(disclosure.case_id), INTAKE, "", detail)


def dossier_withdrawn(disclosure: Disclosure, sections: Iterable[DossierSection]) -> AuditEntry:
    """An agency may no longer hold sections."""
    detail = f"{disclosure.agency}:{_codes(sections)}"
    return AuditEntry("dossier.withdrawn", subject_of_case(disclosure.case_id), INTAKE, "", detail)


def dossier_deleted(case_id: UUID, agency: str, sections: Iterable[DossierSection]) -> AuditEntry:
    """An agency confirmed that it deleted what was withdrawn."""
    return AuditEntry("dossier.deleted", subject_of_case(case_id), agency, "", _codes(sections))


def _codes(sections: Iterable[DossierSection]) -> str:
    return ",".join(sorted(section.value for section in sections))


def duplicates_searched(report_id: UUID, centre: str, outcome: str, agency: str) -> AuditEntry:
    """A complaint centre learned whether the child of its report may have been reported before."""
    return AuditEntry("duplicates.searched", f"report/{report_id}", centre, CENTRE, f"{outcome}:{agency}".rstrip(":"))


def vault_changed(case_id: UUID, action: VaultAction, detail: str, by: str) -> AuditEntry:
    """A legal hold or an erasure."""
    role = "" if by == RETENTION else OPERATOR
    return AuditEntry(f"vault.{action.value}", subject_of_case(case_id), by, role, detail.replace(" ", ":"))


def master_key_retired(key_id: str, by: str) -> AuditEntry:
    """A master key was taken out of use."""
    return AuditEntry("master_key.retired", "", by, OPERATOR, key_id)
