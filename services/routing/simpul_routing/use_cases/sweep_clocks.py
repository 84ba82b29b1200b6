"""Publishes the steps of clocks that fall due, each once, across restarts."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter

from simpul_agreement.model import ClockName, Step
from simpul_routing import repository
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.clocks import ReferralClock, targets_without_facts
from simpul_routing.domain.exclusions import ExclusionReview
from simpul_routing.domain.referral import ReferralService
from simpul_routing.domain.service_plan import ServicePlan
from simpul_routing.repository import CaseFiles
from simpul_runtime.database import is_data_error, utc_now
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transaction, Transactions

SWEEP_INTERVAL: Final = timedelta(seconds=2)
"""Time between queries for due steps."""
MAX_STEPS: Final = 100
"""Steps in one transaction; after an outage the step that fell due first is taken first."""
POSTPONEMENT: Final = timedelta(minutes=10)
"""How long a clock is postponed if its step cannot be taken; the log has the reason."""
CLOCK_STEPS: Final = Counter("simpul_clock_steps", "Clock steps taken", ["clock", "step"], registry=REGISTRY)

log = structlog.get_logger()


class SweepClocks:
    """Takes due steps; any number of processes may run at once."""

    def __init__(self, transactions: Transactions, files: CaseFiles) -> None:
        self._transactions = transactions
        self._files = files

    async def run(self) -> None:
        """Takes due steps until cancelled."""
        await repeat(lambda: self.take_due_steps(utc_now()), SWEEP_INTERVAL, "clock_sweep_failed", batch_size=MAX_STEPS)

    async def take_due_steps(self, now: datetime) -> int:
        """Takes due steps in one transaction, or referral by referral if one makes the transaction fail."""
        try:
            async with self._transactions.begin() as transaction:
                return await self.sweep_clocks(transaction, now)
        except Exception as error:
            if not is_data_error(error):
                raise
            log.info("sweep_split", exc_info=error)
        async with self._transactions.begin() as transaction:
            found = await repository.find_due_referrals(transaction, now, MAX_STEPS)
            undecided = await repository.find_cases_with_due_decision(transaction, now, MAX_STEPS)
        for referral_id in found:
            await self._sweep_referral(referral_id, now)
        for case_id in undecided:
            await self._sweep_decisions_of(case_id, now)
        return len(found)

    async def _sweep_referral(self, referral_id: UUID, now: datetime) -> None:
        try:
            async with self._transactions.begin() as transaction:
                await self.sweep_clocks(transaction, now, only=[referral_id])
        except Exception as error:
            if not is_data_error(error):
                raise
            log.error("clock_postponed", referral_id=referral_id, exc_info=error)
            async with self._transactions.begin() as transaction:
                await repository.postpone_due_clocks(transaction, referral_id, now, now + POSTPONEMENT)

    async def _sweep_decisions_of(self, case_id: UUID, now: datetime) -> None:
        try:
            async with self._transactions.begin() as transaction:
                await self._sweep_decisions(transaction, now, only=[case_id])
        except Exception as error:
            if not is_data_error(error):
                raise
            log.error("decision_postponed", case_id=case_id, exc_info=error)
            async with self._transactions.begin() as transaction:
                await repository.postpone_due_decisions(transaction, case_id, now, now + POSTPONEMENT)

    async def sweep_clocks(self, transaction: Transaction, now: datetime, only: Collection[UUID] = ()) -> int:
        """Takes one step of each clock, review and service plan that is due at `now`; returns their number."""
        decisions = 0 if only else await self._sweep_decisions(transaction, now)
        return decisions + await self._sweep_clocks(transaction, now, only)

    async def _sweep_decisions(self, transaction: Transaction, now: datetime, only: Collection[UUID] = ()) -> int:
        found = list(only) or await repository.find_cases_with_due_decision(transaction, now, MAX_STEPS)
        files = await self._files.load_due_decisions_for_update(transaction, found, now)
        due = [(file, decision) for file in files for decision in file.find_due_decisions(now)]
        for file, decision in due:
            match decision:
                case ExclusionReview():
                    _step_review(file, decision)
                case ServicePlan():
                    _step_plan(file, decision)
        await self._files.save(transaction, files)
        return len(due)

    async def _sweep_clocks(self, transaction: Transaction, now: datetime, only: Collection[UUID]) -> int:
        found = list(only) or await repository.find_due_referrals(transaction, now, MAX_STEPS)
        due = await self._files.load_due_clocks_for_update(transaction, found, now)
        unreadable: set[UUID] = set()
        steps = [_find_step(file, service_id, name) for file, service_id, name in due]
        for (file, service_id, name), step in zip(due, steps, strict=True):
            service = file.find_service(service_id)
            # The reminder of another service may have been for this one too. Its time does not show that: when nobody
            # could be reached, a step is taken before its time.
            if service and service.clocks[name].step is step:
                _step_clock(file, service, name, unreadable)
        await self._files.save(transaction, [file for file, _, _ in due])
        return len(due)


def _find_step(file: CaseFile, service_id: UUID, name: ClockName) -> Step | None:
    service = file.find_service(service_id)
    return service.clocks[name].step if service else None


def _step_clock(file: CaseFile, service: ReferralService, name: ClockName, unreadable: set[UUID]) -> None:
    targets: tuple[str, ...] = ()
    clock = service.clocks[name]
    if clock.step and file.is_step_outstanding(service, clock):
        targets = _find_targets(file, service, clock, clock.step, unreadable)
        CLOCK_STEPS.labels(name.value, clock.step.value).inc()
    file.step_clock(service, name, targets)


def _find_targets(
    file: CaseFile, service: ReferralService, clock: ReferralClock, step: Step, unreadable: set[UUID]
) -> tuple[str, ...]:
    """Returns the levels above every agency for a case that cannot be decrypted; it holds up no other clocks.

    Each case that cannot be decrypted is logged once and added to `unreadable`.
    """
    if file.case_id not in unreadable:
        try:
            return file.find_step_targets(service, clock)
        except Exception as error:
            unreadable.add(file.case_id)
            log.error(
                "escalation_targets_unknown", referral_id=service.referral_id, case_id=file.case_id, exc_info=error
            )
    return targets_without_facts(step, file.rules.agreement)


def _step_review(file: CaseFile, review: ExclusionReview) -> None:
    """Takes a step of a review; a case that cannot be decrypted is logged, so that it does not hold up the others."""
    step = review.clock.step
    if step is None:
        return
    try:
        file.publish_review_step(review, step)
    except Exception as error:
        log.error("exclusion_step_failed", case_id=file.case_id, exc_info=error)
    file.advance_review(review, step)
    CLOCK_STEPS.labels("exclusion", step.value).inc()


def _step_plan(file: CaseFile, plan: ServicePlan) -> None:
    if plan.clock.step:
        CLOCK_STEPS.labels("service_plan", plan.clock.step.value).inc()
        file.take_plan_step(plan, plan.clock.step)
