"""Publishes the steps of clocks that fall due, each once, across restarts."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter

from simpul_agreement import Versions
from simpul_agreement.model import ClockName, Step
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.clocks import Addressee, ReferralClock, escalation_targets, targets_without_facts
from simpul_routing.domain.exclusions import Waiting, protective_services
from simpul_routing.domain.lifecycle import TERMINAL
from simpul_routing.domain.referral import StoredReferral
from simpul_routing.repository import StoredCase
from simpul_routing.use_cases.cases import decrypt_facts
from simpul_routing.use_cases.review_exclusions import ExclusionReviews
from simpul_runtime.database import is_fault_of_data, utc_now
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions

SWEEP_INTERVAL: Final = 2.0
"""Seconds between queries for due steps."""
MAX_STEPS: Final = 100
"""Steps in one transaction; after an outage the step that fell due first is taken first."""
POSTPONEMENT: Final = timedelta(minutes=10)
"""How long a clock is postponed if its step cannot be taken; the log has the reason."""
CLOCK_STEPS: Final = Counter("simpul_clock_steps", "Clock steps taken", ["clock", "step"], registry=REGISTRY)

log = structlog.get_logger()


class SweepClocks:
    """Takes due steps; any number of processes may run at once."""

    def __init__(self, transactions: Transactions, versions: Versions, city: City, keys: Keys) -> None:
        self._transactions = transactions
        self._versions = versions
        self._city = city
        self._keys = keys
        self._reviews = ExclusionReviews(city)

    async def run(self) -> None:
        """Takes due steps until cancelled."""
        while True:
            try:
                taken = await self.take_due_steps(utc_now())
            except Exception as error:
                log.warning("sweep_failed", exc_info=error)
                taken = 0
            if taken < MAX_STEPS:
                await asyncio.sleep(SWEEP_INTERVAL)

    async def take_due_steps(self, now: datetime) -> int:
        """Takes due steps in one transaction, or referral by referral if one makes the transaction fail."""
        try:
            async with self._transactions.begin() as transaction:
                return await self.sweep_clocks(transaction, now)
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            log.info("sweep_split", exc_info=error)
        async with self._transactions.begin() as transaction:
            found = await repository.find_due_referrals(transaction, now, MAX_STEPS)
        for referral_id in found:
            await self._sweep_referral(referral_id, now)
        # Last, so that a review that cannot be decrypted does not hold up the clocks of referrals.
        async with self._transactions.begin() as transaction:
            await self._sweep_reviews(transaction, now)
        return len(found)

    async def _sweep_referral(self, referral_id: UUID, now: datetime) -> None:
        try:
            async with self._transactions.begin() as transaction:
                await self.sweep_clocks(transaction, now, only=[referral_id])
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            log.error("clock_postponed", referral_id=referral_id, exc_info=error)
            async with self._transactions.begin() as transaction:
                await repository.postpone_due_clocks(transaction, referral_id, now, now + POSTPONEMENT)

    async def sweep_clocks(self, transaction: Transaction, now: datetime, only: Collection[UUID] = ()) -> int:
        """Takes one step of each clock and review that is due at `now`; returns their number."""
        reviews = 0 if only else await self._sweep_reviews(transaction, now)
        return reviews + await self._sweep_clocks(transaction, now, only)

    async def _sweep_reviews(self, transaction: Transaction, now: datetime) -> int:
        steps = await self._reviews.sweep_reviews(transaction, now, MAX_STEPS, self._versions, self._keys)
        for step in steps:
            CLOCK_STEPS.labels("exclusion", step.value).inc()
        return len(steps)

    async def _sweep_clocks(self, transaction: Transaction, now: datetime, only: Collection[UUID]) -> int:
        found = list(only) or await repository.find_due_referrals(transaction, now, MAX_STEPS)
        # Locked in the same order as by replies; other processes take the steps of those that they have locked.
        referrals = await repository.load_unlocked_referrals_for_update(transaction, found) if found else {}
        due = await repository.load_due_clocks_for_update(transaction, now, referrals) if referrals else []
        if not due:
            return 0
        cases = await repository.load_cases(
            transaction.connection, {referral.case_id for referral in referrals.values()}
        )
        updated: list[tuple[UUID, ReferralClock]] = []
        for referral_id, clock in due:
            referral = referrals[referral_id]
            step = clock.step
            has_ended = referral.standing.state in TERMINAL and clock.clock is not ClockName.WITHDRAWAL
            if step is None or has_ended:
                updated.append((referral_id, ReferralClock(clock.clock, clock.started_at, clock.due_at, None)))
                continue
            targets = self._targets_or_highest_levels(referral, clock, step, cases)
            transaction.announce(publisher.clock_step(referral, clock, step, targets))
            CLOCK_STEPS.labels(clock.clock.value, step.value).inc()
            updated.append((referral_id, clock.after_step(step)))
        await repository.update_clock_steps(transaction, updated)
        return len(due)

    def _targets_or_highest_levels(
        self, referral: StoredReferral, clock: ReferralClock, step: Step, cases: Mapping[UUID, StoredCase]
    ) -> tuple[str, ...]:
        """Returns the levels above every agency for a case that cannot be decrypted; it holds up no other clocks."""
        try:
            return self._escalation_targets(referral, clock, cases[referral.case_id])
        except Exception as error:
            log.error(
                "escalation_targets_unknown", referral_id=referral.referral_id, case_id=referral.case_id, exc_info=error
            )
            return targets_without_facts(step, self._versions.active(utc_now()).agreement)

    def _escalation_targets(self, referral: StoredReferral, clock: ReferralClock, case: StoredCase) -> tuple[str, ...]:
        if clock.step is None:
            return ()
        engines = self._versions.of(referral.agreement)
        facts = decrypt_facts(self._keys, case)
        engine = engines.on(clock.started_at.astimezone(self._city.zone).date())
        decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
        agency = referral.standing.agency
        addressee = Addressee(agency, self._city.kinds.get(agency, ""), self._city.kecamatan_of.get(agency, ""))
        waiting = Waiting(facts.pending, protective_services(facts.situation, case.urgency))
        origins = (waiting.exclude_waiting_agencies(facts.origin, referral.service), facts.origin)
        targets = (
            escalation_targets(clock.step, decision.effective, engines.agreement, addressee, origin)
            for origin in origins
        )
        return next((codes for codes in targets if codes), ())
