"""Keeps the questions of the case manager in the vault, and opens them for whoever holds the receipt."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from simpul_intake import audit, repository
from simpul_intake.domain import Question
from simpul_intake.repository import ReportOfCase, StoredQuestion
from simpul_intake.vault import Vault, WrappedKey, case_key_context
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import CaseQuestionSentV1
from simpul_schema.messages.case import ReporterQuestion

MAX_OPEN: Final = 20
"""Questions that are shown at once; the others follow when these are answered."""
_REVISION: Final = 1
"""A question is never changed."""

log = structlog.get_logger()


class KeepQuestions:
    """Questions to reporting people, encrypted under the data keys of their cases."""

    def __init__(self, vault: Vault, keys: Keys) -> None:
        self._vault = vault
        self._keys = keys

    async def record_questions(self, transaction: Transaction, events: Sequence[CaseQuestionSentV1]) -> None:
        """Stores questions; one about a case that was erased is dropped."""
        ordered = sorted(events, key=lambda event: event.data.case_id)
        # Locked, so that no key is replaced between reading it and storing what it encrypts.
        await repository.lock_case_keys(transaction.connection, [event.data.case_id for event in ordered])
        for event in ordered:
            data = event.data
            found = await repository.find_report_of_case(transaction, data.case_id)
            if found is None:
                log.info("question_dropped", case_id=data.case_id)
                continue
            content = self._keys.open_section(event, "question", ReporterQuestion)
            ciphertext = self._vault.encrypt_section(
                await self._unwrap_key(data.case_id, found),
                data.case_id,
                _name(data.question_id),
                _REVISION,
                {"text": content.text},
            )
            stored = StoredQuestion(data.question_id, ciphertext, data.sent_at)
            await repository.add_question(transaction, data.case_id, stored)
            transaction.record(audit.question_stored(data.case_id, data.question_id))

    async def list_open(
        self, transaction: Transaction, case_id: UUID, found: ReportOfCase, before: datetime | None
    ) -> tuple[Question, ...]:
        """Opens what nobody has answered, for whoever holds the receipt; without what was asked from a moment on."""
        stored = await repository.list_open_questions(transaction, case_id, before, MAX_OPEN)
        if not stored:
            return ()
        key = await self._unwrap_key(case_id, found)
        transaction.record(audit.sections_read(case_id, ["question"], audit.RECEIPT_HOLDER, "progress"))
        return tuple(self._open(case_id, one, key) for one in stored)

    async def find(
        self, transaction: Transaction, case_id: UUID, ids: Sequence[UUID], key: bytes
    ) -> dict[UUID, Question]:
        """Opens questions of a case, answered or not, the oldest first; those of other cases are left out."""
        stored = await repository.find_questions(transaction, case_id, ids)
        return {one.question_id: self._open(case_id, one, key) for one in stored}

    async def _unwrap_key(self, case_id: UUID, found: ReportOfCase) -> bytes:
        return await self._vault.unwrap(WrappedKey(found.key_id, found.wrapped, case_key_context(case_id)))

    def _open(self, case_id: UUID, stored: StoredQuestion, key: bytes) -> Question:
        content = self._vault.decrypt_section(key, stored.ciphertext, case_id, _name(stored.question_id), _REVISION)
        return Question(stored.question_id, content["text"], stored.sent_at)


def _name(question_id: UUID) -> str:
    """Returns what a question is encrypted as, like a section of its case."""
    return f"question/{question_id}"
