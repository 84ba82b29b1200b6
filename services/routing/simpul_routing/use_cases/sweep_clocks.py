"""Deadlines that come near or pass are told, each step once, whatever was restarted in between."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter

from simpul_agreement import Versions
from simpul_agreement.model import ClockName
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.clocks import Addressee, Running, told_at
from simpul_routing.domain.exclusions import Waiting, protective_services
from simpul_routing.domain.lifecycle import TERMINAL
from simpul_routing.domain.referral import StoredReferral
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import place_of, read
from simpul_routing.use_cases.review_exclusions import ExclusionReviews
from simpul_runtime.database import is_fault_of_data, utc_now
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions

SWEEP: Final = 2.0
"""Seconds between looks at what is due."""
MOST: Final = 100
"""Steps in one transaction; what a long outage left behind is told in the order in which it fell due."""
PUT_OFF: Final = timedelta(minutes=10)
"""How long a deadline rests whose step cannot be taken; the operator finds it in the log."""
CLOCK_STEPS: Final = Counter("simpul_clock_steps", "Steps of deadlines", ["clock", "step"], registry=REGISTRY)

log = structlog.get_logger()


class SweepClocks:
    """Takes the steps that are due; any number of processes may do so at once."""

    def __init__(self, transactions: Transactions, versions: Versions, city: City, keys: Keys) -> None:
        self._transactions = transactions
        self._versions = versions
        self._city = city
        self._keys = keys
        self._reviews = ExclusionReviews(city)

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                taken = await self.sweep_due(utc_now())
            except Exception as error:
                log.warning("sweep_failed", exc_info=error)
                taken = 0
            if taken < MOST:
                await asyncio.sleep(SWEEP)

    async def sweep_due(self, now: datetime) -> int:
        """Take the steps that are due in one transaction; referral by referral when one keeps the others from it."""
        try:
            async with self._transactions.begin() as transaction:
                return await self.sweep(transaction, now)
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            log.info("sweep_taken_apart", exc_info=error)
        async with self._transactions.begin() as transaction:
            found = await repository.due_referrals(transaction, now, MOST)
        for referral_id in found:
            await self._sweep_alone(referral_id, now)
        # Last: when a review is what cannot be read, the deadlines of referrals have had their turn.
        async with self._transactions.begin() as transaction:
            await self._sweep_reviews(transaction, now)
        return len(found)

    async def _sweep_alone(self, referral_id: UUID, now: datetime) -> None:
        try:
            async with self._transactions.begin() as transaction:
                await self.sweep(transaction, now, only=[referral_id])
        except Exception as error:
            if not is_fault_of_data(error):
                raise
            log.error("deadline_put_off", referral_id=referral_id, exc_info=error)
            async with self._transactions.begin() as transaction:
                await repository.put_off(transaction, referral_id, now, now + PUT_OFF)

    async def sweep(self, transaction: Transaction, now: datetime, only: Collection[UUID] = ()) -> int:
        """One step of each clock and review that is due by then; returns how many were looked at."""
        reviews = 0 if only else await self._sweep_reviews(transaction, now)
        return reviews + await self._sweep_clocks(transaction, now, only)

    async def _sweep_reviews(self, transaction: Transaction, now: datetime) -> int:
        steps = await self._reviews.sweep(transaction, now, MOST, self._versions, self._keys)
        for step in steps:
            CLOCK_STEPS.labels("exclusion", step.value).inc()
        return len(steps)

    async def _sweep_clocks(self, transaction: Transaction, now: datetime, only: Collection[UUID]) -> int:
        found = list(only) or await repository.due_referrals(transaction, now, MOST)
        # In the order in which replies lock them; what another process holds is left to it.
        referrals = await repository.referrals_free_for_update(transaction, found) if found else {}
        due = await repository.due_clocks(transaction, now, referrals) if referrals else []
        if not due:
            return 0
        cases = await repository.cases_of(transaction.connection, {referral.case_id for referral in referrals.values()})
        following: list[tuple[UUID, Running]] = []
        for referral_id, clock in due:
            referral = referrals[referral_id]
            step = clock.step
            has_ended = referral.standing.state in TERMINAL and clock.clock is not ClockName.WITHDRAWAL
            if step is None or has_ended:
                following.append((referral_id, Running(clock.clock, clock.started_at, clock.due_at, None)))
                continue
            told = self._told_or_nobody(referral, clock, cases)
            transaction.announce(publisher.clock_step(referral, clock, step, told))
            CLOCK_STEPS.labels(clock.clock.value, step.value).inc()
            following.append((referral_id, clock.after(step)))
        await repository.advance(transaction, following)
        return len(due)

    def _told_or_nobody(
        self, referral: StoredReferral, clock: Running, cases: Mapping[UUID, StoredCase]
    ) -> tuple[str, ...]:
        """One case that cannot be read must not keep the deadlines of all others from being told."""
        try:
            return self._told(referral, clock, cases[referral.case_id])
        except Exception as error:
            log.error("ladder_unknown", referral_id=referral.referral_id, case_id=referral.case_id, exc_info=error)
            return ()

    def _told(self, referral: StoredReferral, clock: Running, case: StoredCase) -> tuple[str, ...]:
        if clock.step is None:
            return ()
        engines = self._versions.of(referral.agreement)
        facts = read(self._keys.unlock(case.situation, place=place_of(referral.case_id)))
        engine = engines.on(clock.started_at.astimezone(self._city.zone).date())
        decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
        agency = referral.standing.agency
        addressee = Addressee(agency, self._city.kinds.get(agency, ""), self._city.kecamatan_of.get(agency, ""))
        waiting = Waiting(facts.pending, protective_services(facts.situation, case.urgency))
        origins = (waiting.passed_over(facts.origin, referral.service), facts.origin)
        told = (told_at(clock.step, decision.effective, engines.agreement, addressee, origin) for origin in origins)
        return next((codes for codes in told if codes), ())
