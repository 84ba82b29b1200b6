"""Keeps the notes of agencies in the vault, where they are part of the section of the dossier that they are about."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

import structlog

from simpul_intake import audit, repository
from simpul_intake.dossier import Notes
from simpul_intake.repository import StoredNote
from simpul_intake.vault import Vault, WrappedKey, case_key_context
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import CaseNoteAddedV1
from simpul_schema.messages.case import AddedNote
from simpul_schema.messages.dossier import DossierNote
from simpul_schema.vocabulary import DossierSection

MAX_NOTES: Final = 50
"""Notes in one section of a dossier, the newest ones; routing shows more of them to people of the desk."""
_REVISION: Final = 1
"""A note is never changed."""

log = structlog.get_logger()


class KeepNotes:
    """Notes of agencies, encrypted under the data keys of their cases."""

    def __init__(self, vault: Vault, keys: Keys, request_release: Callable[[], None]) -> None:
        """`request_release` has the agencies that hold the section learn of a note."""
        self._vault = vault
        self._keys = keys
        self._request_release = request_release

    async def record_notes(self, transaction: Transaction, events: Sequence[CaseNoteAddedV1]) -> None:
        """Stores notes; one to a case that was erased is dropped."""
        ordered = sorted(events, key=lambda event: event.data.case_id)
        # Locked, so that no key is replaced between reading it and storing what it encrypts.
        await repository.lock_case_keys(transaction.connection, [event.data.case_id for event in ordered])
        for event in ordered:
            data = event.data
            found = await repository.find_report_of_case(transaction, data.case_id)
            if found is None:
                log.info("note_dropped", case_id=data.case_id)
                continue
            note = self._keys.open_section(event, "added_note", AddedNote)
            key = await self._vault.unwrap(WrappedKey(found.key_id, found.wrapped, case_key_context(data.case_id)))
            content = {"agency": note.agency, "text": note.text}
            name, section = _name(data.note_id), note.about.value
            ciphertext = self._vault.encrypt_section(key, data.case_id, name, _REVISION, content)
            stored = StoredNote(data.note_id, data.case_id, section, ciphertext, data.written_at)
            if await repository.add_note(transaction, stored):
                transaction.record(audit.note_stored(data.case_id, note.agency, data.note_id))
                await repository.mark_disclosures_due(transaction.connection, data.case_id, transaction.now)
        transaction.after_commit.append(self._request_release)


async def open_notes(transaction: Transaction, vault: Vault, keys: Mapping[UUID, bytes]) -> Notes:
    """Opens the newest notes of cases whose data keys are given, by the section that they are about."""
    notes: dict[DossierSection, tuple[DossierNote, ...]] = {}
    for one in await repository.list_notes(transaction, list(keys), MAX_NOTES):
        content = vault.decrypt_section(keys[one.case_id], one.ciphertext, one.case_id, _name(one.note_id), _REVISION)
        section = DossierSection(one.section)
        note = DossierNote(note_id=one.note_id, written_at=one.written_at, **content)
        notes[section] = (*notes.get(section, ()), note)
    return notes


def _name(note_id: UUID) -> str:
    """Returns what a note is encrypted as, like a section of its case."""
    return f"note/{note_id}"
