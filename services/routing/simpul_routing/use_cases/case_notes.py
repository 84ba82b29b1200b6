"""Takes the notes of agencies, and shows them to those who may read them."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog

from simpul_agreement.model import Section
from simpul_routing import publisher, repository
from simpul_routing.domain.actors import Actor
from simpul_routing.domain.notes import Note, may_read_note, refuse_note
from simpul_routing.errors import CaseUnknown
from simpul_routing.repository import CaseFiles
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Producer
from simpul_schema.messages import CaseErasedV1, ReplyNoteAddedV1
from simpul_schema.messages.reply import CaseNote
from simpul_schema.vocabulary import ReplyRefusal

log = structlog.get_logger()

MAX_NOTES: Final = 200
"""Notes that are shown of one case, the newest ones."""


class CaseNotes:
    """The notes of agencies to cases."""

    def __init__(self, transactions: Transactions, files: CaseFiles, keys: Keys) -> None:
        self._transactions = transactions
        self._files = files
        self._keys = keys

    async def record_notes(self, transaction: Transaction, notes: Sequence[tuple[ReplyNoteAddedV1, CaseNote]]) -> None:
        """Stores each note and passes it on to intake, or refuses it with a reason."""
        ids = {event.data.referral_id for event, _ in notes}
        files = await self._files.load_of_referrals_for_update(transaction, ids, whole=False)
        for event, note in notes:
            referral_id, agency = event.data.referral_id, Producer.of(event.source).party
            file = files.get(referral_id)
            refusal = refuse_note(file, referral_id, agency) if file else ReplyRefusal.UNKNOWN_REFERRAL
            if file and not refusal and await repository.is_erased(transaction, file.case_id):
                refusal = ReplyRefusal.NOT_NOW
            if refusal or file is None:
                reason = refusal or ReplyRefusal.UNKNOWN_REFERRAL
                repository.add_refused_reply(transaction, event.id, referral_id, agency, reason, ())
                transaction.enqueue_event(publisher.reply_refused(event, agency, referral_id, reason, ()))
                continue
            about = Section(note.about.value)
            noted = Note(event.id, file.case_id, referral_id, agency, about, note.text, transaction.now)
            if await repository.add_note(transaction, self._keys, noted):
                # Intake adds it to the dossier of those who hold the section, and takes it away with the section.
                transaction.enqueue_event(publisher.note_added(noted))

    async def erase_notes(self, transaction: Transaction, events: Sequence[CaseErasedV1]) -> None:
        """Deletes the notes about what the vault has erased; to an erased case none is added any more."""
        for event in sorted(events, key=lambda one: one.subject):
            data = event.data
            sections = [Section(one.value) for one in data.sections]
            count = await repository.erase_notes(
                transaction, data.case_id, sections, data.erased_at, is_whole_case=data.is_whole_case
            )
            log.info("notes_erased", case_id=data.case_id, count=count)

    async def list_notes(self, case_id: UUID, by: Actor) -> list[Note]:
        """Lists the notes of a case that a person may read, the newest first; raises CaseUnknown."""
        async with self._transactions.begin() as transaction:
            file = (await self._files.load_current_for_update(transaction, [case_id])).get(case_id)
            if file is None or not file.is_visible_to(by):
                raise CaseUnknown
            found = await repository.list_notes(transaction, self._keys, list(file.referrals), MAX_NOTES)
        return [note for note in found if may_read_note(note, by.agency, file)]
