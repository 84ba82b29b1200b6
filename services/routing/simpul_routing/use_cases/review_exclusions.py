"""Requests decisions about suggested exclusions: one review per case, escalated until somebody decides."""

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
from simpul_routing.domain.case_lifecycle import CaseState
from simpul_routing.domain.clocks import Addressee, ReferralClock
from simpul_routing.domain.exclusions import ExclusionReview, find_deciding_agency, review_targets
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts
from simpul_routing.use_cases.cases import ROUTING, decrypt_facts, encrypt_note
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import Urgency

SUGGESTED: Final = "exclusion_suggested"
REQUESTED: Final = 0
"""The step of the request itself; the others are those of every clock."""

log = structlog.get_logger()


class ExclusionReviews:
    """Keeps one open review per case with an undecided suggestion."""

    def __init__(self, city: City) -> None:
        self._city = city

    def record_suggestions(
        self, transaction: Transaction, keys: Keys, case_id: UUID, state: CaseState, agencies: frozenset[str],
        cause: UUID,
    ) -> None:  # fmt: skip
        """Records suggested exclusions in the history of a case; only the encrypted note names the agencies."""
        if agencies:
            note = encrypt_note(keys, case_id, ", ".join(sorted(agencies)))
            repository.add_case_transition(
                transaction, case_id, state.value, state.value, ROUTING, SUGGESTED, note, cause
            )

    def request_review(
        self, transaction: Transaction, case_id: UUID, facts: StoredFacts, decided: tuple[CasePlan, Decision],
        agreement: Agreement, *, cause: UUID | None, due_at: datetime | None = None,
    ) -> None:  # fmt: skip
        """Requests a decision within the time that an agency has to answer; `due_at` is a deadline that already runs.

        Does nothing without an undecided suggestion.
        """
        if not facts.pending:
            return
        plan, decision = decided
        agency = find_deciding_agency(agreement, facts.origin, facts.pending)
        if not agency:
            log.error("no_deciding_agency_left", case_id=case_id)
        due = min(due_at or plan.answer_by, plan.answer_by)
        review = ExclusionReview(uuid4(), case_id, agency, ReferralClock(ClockName.ANSWER, transaction.now, due))
        repository.add_review(transaction, review)
        targets = self._review_targets(None, review, decision.effective, agreement, facts)
        transaction.announce(
            publisher.exclusion_suggested(
                review, plan.urgency, facts.pending, step=REQUESTED, targets=targets, cause=cause
            )
        )

    async def update_review(
        self, transaction: Transaction, case_id: UUID, facts: StoredFacts, decided: tuple[CasePlan, Decision],
        agreement: Agreement, cause: UUID | None,
    ) -> None:  # fmt: skip
        """After a replan: requests a decision, moves the request to another agency, or closes it.

        A case has one open review, however many agencies are suggested.
        """
        review = await repository.load_open_review_for_update(transaction, case_id)
        if review is None:
            self.request_review(transaction, case_id, facts, decided, agreement, cause=cause)
            return
        deciding_agency = find_deciding_agency(agreement, facts.origin, facts.pending)
        is_unable = review.agency in facts.pending | facts.origin.excluded and review.agency != deciding_agency
        if not facts.pending or is_unable:
            informs_agency = review.agency not in facts.origin.excluded
            await self._close_review(transaction, review, decided[0].urgency, cause, informs_agency=informs_agency)
            self.request_review(
                transaction, case_id, facts, decided, agreement, cause=cause, due_at=review.clock.due_at
            )
        elif decided[0].answer_by < review.clock.due_at:
            shortened = replace(review, clock=replace(review.clock, due_at=decided[0].answer_by))
            await repository.update_review(transaction, shortened)

    async def end_review(self, transaction: Transaction, case: StoredCase) -> None:
        """Closes the open review of a case that ended."""
        review = await repository.load_open_review_for_update(transaction, case.case_id)
        if review:
            await self._close_review(transaction, review, case.urgency, None, informs_agency=True)

    async def _close_review(
        self,
        transaction: Transaction,
        review: ExclusionReview,
        urgency: Urgency,
        cause: UUID | None,
        *,
        informs_agency: bool,
    ) -> None:
        await repository.close_review(transaction, review)
        transaction.announce(
            publisher.exclusion_decided(review, urgency, transaction.now, cause, informs_agency=informs_agency)
        )
        # The next review of this case may be added in the same transaction.
        await transaction.flush()

    async def sweep_reviews(
        self, transaction: Transaction, now: datetime, limit: int, versions: Versions, keys: Keys
    ) -> list[Step]:
        """Takes one step of each review that is due at `now`; returns the steps."""
        reviews = await repository.load_due_reviews_for_update(transaction, now, limit)
        cases = await repository.load_cases(transaction.connection, {review.case_id for review in reviews})
        taken: list[Step] = []
        for review in reviews:
            step = review.clock.step
            if step:
                self._publish_step(transaction, review, step, cases, versions, keys)
                await repository.update_review(transaction, replace(review, clock=review.clock.after_step(step)))
                taken.append(step)
        return taken

    def _publish_step(
        self,
        transaction: Transaction,
        review: ExclusionReview,
        step: Step,
        cases: Mapping[UUID, StoredCase],
        versions: Versions,
        keys: Keys,
    ) -> None:
        """Publishes a step; a case that cannot be decrypted is logged, so that it does not hold up the others."""
        try:
            case = cases[review.case_id]
            facts = decrypt_facts(keys, case)
            engines = versions.of(case.agreement)
            engine = engines.on(review.clock.started_at.astimezone(self._city.zone).date())
            decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
            targets = self._review_targets(step, review, decision.effective, engines.agreement, facts)
            pending, percent = facts.pending, int(step.value)
        except Exception as error:
            log.error("exclusion_step_failed", case_id=review.case_id, exc_info=error)
            return
        if not pending:
            return
        transaction.announce(
            publisher.exclusion_suggested(review, case.urgency, pending, step=percent, targets=targets, cause=None)
        )

    def _review_targets(
        self,
        step: Step | None,
        review: ExclusionReview,
        clauses: Iterable[Clause],
        agreement: Agreement,
        facts: StoredFacts,
    ) -> tuple[str, ...]:
        agency = review.agency
        addressee = Addressee(agency, self._city.kinds.get(agency, ""), self._city.kecamatan_of.get(agency, ""))
        return review_targets(step, clauses, agreement, addressee, facts.origin, facts.pending)
