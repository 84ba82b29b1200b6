"""Passes a question of an agency that helps a child to the agency that referred it, and the answer back."""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Final
from uuid import UUID

import structlog

from simpul_routing import repository
from simpul_routing.domain.actors import Actor
from simpul_routing.domain.agency_questions import (
    AgencyQuestion,
    find_addressee,
    find_serving_referral,
    may_answer,
    withhold_answer,
)
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.errors import CaseUnknown, NobodyToAnswer, QuestionAnswered, QuestionOpen, QuestionUnknown
from simpul_routing.repository import CaseFiles
from simpul_routing.use_cases.see_cases import SeeCases
from simpul_runtime.audit import AuditEntry
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import CaseErasedV1
from simpul_schema.names import subject_of_case

log = structlog.get_logger()

MAX_QUESTIONS: Final = 50
"""Questions that are shown at once."""


class AgencyQuestions:
    """The questions between agencies about a case."""

    def __init__(self, transactions: Transactions, files: CaseFiles, keys: Keys, see_cases: SeeCases) -> None:
        self._transactions = transactions
        self._files = files
        self._keys = keys
        self._see_cases = see_cases

    async def send_question(self, case_id: UUID, question_id: UUID, text: str, by: Actor) -> None:
        """Sends a question for the person's agency, which waits for the answer before it sends another.

        A question that is sent twice counts once. Raises CaseUnknown, also for an agency that does not help the child,
        QuestionOpen and NobodyToAnswer.
        """
        async with self._transactions.begin() as transaction:
            file, referral_id = await self._load_serving(transaction, case_id, by)
            if await repository.is_erased(transaction, file.case_id):
                raise CaseUnknown
            known = await repository.list_questions(
                transaction, self._keys, list(file.referrals), by.agency, MAX_QUESTIONS
            )
            if any(one.question_id == question_id for one in known):
                return
            # As the agency reads them, so that no second question shows that an answer is withheld from it.
            if any(withhold_answer(one, file).is_open for one in known):
                raise QuestionOpen
            addressee = find_addressee(file, by.agency)
            if not addressee:
                raise NobodyToAnswer
            question = AgencyQuestion(
                question_id, file.case_id, referral_id, by.agency, addressee, text, transaction.now
            )
            await repository.add_question(transaction, self._keys, question)
            transaction.record(_audit("question.sent", question, by))

    async def list_sent(self, case_id: UUID, by: Actor) -> list[AgencyQuestion]:
        """Lists what the person's agency wanted to know, the newest first, while it helps the child.

        Raises CaseUnknown.
        """
        async with self._transactions.begin() as transaction:
            file, _ = await self._load_serving(transaction, case_id, by)
            found = await repository.list_questions(
                transaction, self._keys, list(file.referrals), by.agency, MAX_QUESTIONS
            )
        return [withhold_answer(one, file) for one in found]

    async def list_addressed(self, by: Actor, without: Collection[UUID]) -> list[AgencyQuestion]:
        """Lists the questions that the person's agency is to answer or has answered, open ones at the front.

        `without` are cases that the caller keeps from the person.
        """
        async with self._transactions.begin() as transaction:
            scope = await self._see_cases.find_scope(transaction.connection, by, without)
            hidden = [*scope.hidden, *scope.unaware]
            found = await repository.list_addressed_questions(transaction, self._keys, by.agency, hidden, MAX_QUESTIONS)
            for question in found:
                transaction.record(_audit("question.read", question, by))
        return found

    async def count_open(self, by: Actor, without: Collection[UUID]) -> int:
        """Counts the questions that wait for the person's agency; nobody reads one by it."""
        async with self._transactions.begin() as transaction:
            scope = await self._see_cases.find_scope(transaction.connection, by, without)
            hidden = [*scope.hidden, *scope.unaware]
            return await repository.count_open_questions(transaction.connection, by.agency, hidden)

    async def answer_question(self, question_id: UUID, answer: str, by: Actor) -> None:
        """Answers a question for the person's agency; the same answer may be sent twice.

        Raises QuestionUnknown, also for a question to another agency, and QuestionAnswered.
        """
        async with self._transactions.begin() as transaction:
            found = await repository.find_question(transaction, self._keys, question_id)
            if found is None or found.addressee != by.agency:
                raise QuestionUnknown
            files = await self._files.load_current_for_update(transaction, [found.case_id])
            # Read again under the lock of its case.
            found = await repository.find_question(transaction, self._keys, question_id)
            file = next(iter(files.values()), None)
            if found is None or file is None or found.withdrawn_at or not may_answer(file, by.agency):
                raise QuestionUnknown
            if found.answered_at is not None:
                if found.answer == answer:
                    return
                raise QuestionAnswered
            await repository.answer_question(transaction, self._keys, question_id, answer)
            transaction.record(_audit("question.answered", found, by))

    async def erase_questions(self, transaction: Transaction, events: Sequence[CaseErasedV1]) -> None:
        """Deletes questions and answers of a case as soon as the vault erases anything of it."""
        for event in sorted(events, key=lambda one: one.subject):
            count = await repository.erase_questions(transaction, event.data.case_id, event.data.erased_at)
            log.info("questions_erased", case_id=event.data.case_id, count=count)

    async def _load_serving(self, transaction: Transaction, case_id: UUID, by: Actor) -> tuple[CaseFile, UUID]:
        file = next(iter((await self._files.load_current_for_update(transaction, [case_id])).values()), None)
        referral_id = find_serving_referral(file, by.agency) if file else None
        if file is None or referral_id is None:
            raise CaseUnknown
        # A new agreement may make the addressee a unit of a suspected agency; the question must not block the sender
        # for good.
        await repository.withdraw_questions(transaction, list(file.referrals), partial(may_answer, file))
        return file, referral_id


def _audit(action: str, question: AgencyQuestion, by: Actor) -> AuditEntry:
    detail = f"{by.agency}:{question.question_id}"
    return AuditEntry(action, subject_of_case(question.case_id), by.code, by.role.value, detail)
