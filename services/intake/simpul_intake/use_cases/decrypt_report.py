"""Reads a stored report back."""

from uuid import UUID

from simpul_intake.domain import Report, report_from_sections
from simpul_intake.repository import EncryptedCase
from simpul_intake.vault import Vault


def decrypt_report(vault: Vault, case_id: UUID, stored: EncryptedCase, key: bytes) -> Report:
    """Decrypts the newest revision of each section; raises DecryptionFailed."""
    sections = {
        name: vault.decrypt_section(key, ciphertext, case_id, name, revision)
        for name, (revision, ciphertext) in stored.sections.items()
    }
    return report_from_sections(stored.report_id, stored.received_at, sections)
