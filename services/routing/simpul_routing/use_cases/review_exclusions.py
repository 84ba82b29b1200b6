"""Suggested exclusions go to a person for a decision, once for each case, and to the next level when none comes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import structlog

from simpul_agreement import Versions
from simpul_agreement.engine import Decision
from simpul_agreement.model import Agreement, Clause, ClockName, Step
from simpul_agreement.plan import CasePlan
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.case_life import CaseState
from simpul_routing.domain.clocks import Addressee, Running
from simpul_routing.domain.exclusions import ExclusionReview, deciding_agency, told_about
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts, place_of, read
from simpul_routing.use_cases.cases import ROUTING, note_of
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import Urgency

SUGGESTED: Final = "exclusion_suggested"
REQUESTED: Final = 0
"""The step of the request itself; the others are those of every deadline."""

log = structlog.get_logger()


class ExclusionReviews:
    """Keeps, for each case with an undecided suggestion, one agency whose people must decide."""

    def __init__(self, city: City) -> None:
        self._city = city

    def record_suggestions(
        self, transaction: Transaction, keys: Keys, case_id: UUID, state: CaseState, agencies: frozenset[str],
        cause: UUID,
    ) -> None:  # fmt: skip
        """Keep in the history of a case that these exclusions were suggested; which, locked."""
        if agencies:
            note = note_of(keys, case_id, ", ".join(sorted(agencies)))
            repository.add_case_transition(
                transaction, case_id, state.value, state.value, ROUTING, SUGGESTED, note, cause
            )

    def request_review(
        self, transaction: Transaction, case_id: UUID, facts: StoredFacts, decided: tuple[CasePlan, Decision],
        agreement: Agreement, *, cause: UUID | None, due_at: datetime | None = None,
    ) -> None:  # fmt: skip
        """Request a decision within the time that an agency has to answer; `due_at` is a deadline that runs already.

        Nothing happens where nothing is suggested.
        """
        if not facts.pending:
            return
        plan, decision = decided
        agency = deciding_agency(agreement, facts.origin, facts.pending)
        if not agency:
            log.error("nobody_is_left_to_decide", case_id=case_id)
        due = min(due_at or plan.answer_by, plan.answer_by)
        review = ExclusionReview(uuid4(), case_id, agency, Running(ClockName.ANSWER, transaction.now, due))
        repository.add_review(transaction, review)
        told = self._told(None, review, decision.effective, agreement, facts)
        transaction.announce(
            publisher.exclusion_suggested(review, plan.urgency, facts.pending, step=REQUESTED, told=told, cause=cause)
        )

    async def update_review(
        self, transaction: Transaction, case_id: UUID, facts: StoredFacts, decided: tuple[CasePlan, Decision],
        agreement: Agreement, cause: UUID | None,
    ) -> None:  # fmt: skip
        """After a case was decided again: request a decision, request it of somebody else, or no longer.

        There is one open request for each case, however many agencies are named.
        """
        review = await repository.open_review_for_update(transaction, case_id)
        if review is None:
            self.request_review(transaction, case_id, facts, decided, agreement, cause=cause)
            return
        decides = deciding_agency(agreement, facts.origin, facts.pending)
        is_unable = review.agency in facts.pending | facts.origin.excluded and review.agency != decides
        if not facts.pending or is_unable:
            is_told = review.agency not in facts.origin.excluded
            await self._end(transaction, review, decided[0].urgency, cause, is_told=is_told)
            self.request_review(
                transaction, case_id, facts, decided, agreement, cause=cause, due_at=review.clock.due_at
            )
        elif decided[0].answer_by < review.clock.due_at:
            nearer = replace(review, clock=replace(review.clock, due_at=decided[0].answer_by))
            await repository.write_review(transaction, nearer)

    async def end_review(self, transaction: Transaction, case: StoredCase) -> None:
        """The case ended: nothing is left to decide."""
        review = await repository.open_review_for_update(transaction, case.case_id)
        if review:
            await self._end(transaction, review, case.urgency, None, is_told=True)

    async def _end(
        self, transaction: Transaction, review: ExclusionReview, urgency: Urgency, cause: UUID | None, *, is_told: bool
    ) -> None:
        await repository.close_review(transaction, review)
        transaction.announce(publisher.exclusion_decided(review, urgency, transaction.now, cause, is_told=is_told))
        # A request to somebody else may follow in this case.
        await transaction.flush()

    async def sweep(
        self, transaction: Transaction, now: datetime, most: int, versions: Versions, keys: Keys
    ) -> list[Step]:
        """One step of each request that is due by then; returns the steps."""
        reviews = await repository.due_reviews(transaction, now, most)
        cases = await repository.cases_of(transaction.connection, {review.case_id for review in reviews})
        taken: list[Step] = []
        for review in reviews:
            step = review.clock.step
            if step:
                self._announce_step(transaction, review, step, cases, versions, keys)
                await repository.write_review(transaction, replace(review, clock=review.clock.after(step)))
                taken.append(step)
        return taken

    def _announce_step(
        self,
        transaction: Transaction,
        review: ExclusionReview,
        step: Step,
        cases: Mapping[UUID, StoredCase],
        versions: Versions,
        keys: Keys,
    ) -> None:
        """One case that cannot be read must not keep the deadlines of all others from being announced."""
        try:
            case = cases[review.case_id]
            facts = read(keys.unlock(case.situation, place=place_of(review.case_id)))
            engines = versions.of(case.agreement)
            engine = engines.on(review.clock.started_at.astimezone(self._city.zone).date())
            decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
            told = self._told(step, review, decision.effective, engines.agreement, facts)
            pending, percent = facts.pending, int(step.value)
        except Exception as error:
            log.error("exclusion_step_failed", case_id=review.case_id, exc_info=error)
            return
        if not pending:
            return
        transaction.announce(
            publisher.exclusion_suggested(review, case.urgency, pending, step=percent, told=told, cause=None)
        )

    def _told(
        self,
        step: Step | None,
        review: ExclusionReview,
        clauses: Iterable[Clause],
        agreement: Agreement,
        facts: StoredFacts,
    ) -> tuple[str, ...]:
        agency = review.agency
        addressee = Addressee(agency, self._city.kinds.get(agency, ""), self._city.kecamatan_of.get(agency, ""))
        return told_about(step, clauses, agreement, addressee, facts.origin, facts.pending)
