"""A consent is withdrawn: every agency that holds something of the case must stop, and say that it did."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from simpul_agreement import Versions
from simpul_agreement.model import ClockName, ClockRuns, Within
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.clocks import Running
from simpul_routing.domain.lifecycle import NOT_ACCEPTED
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts
from simpul_routing.use_cases.cases import note_of, open_at
from simpul_routing.use_cases.replan_cases import ReplanCases
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Producer
from simpul_schema.messages import ReferralConsentWithdrawnV1, ReplyWithdrawalAcknowledgedV1
from simpul_schema.vocabulary import ReplyRefusal

BY_LAW: Final = Within(timedelta(days=3))
"""Where the agreement says nothing: 3 x 24 hours as in LAW-12 of Kediri's (UU 27/2022; not seen by a lawyer yet)."""


class WithdrawConsent:
    """Told by the case manager, acknowledged by each holder, under a clock of its own."""

    def __init__(
        self, transactions: Transactions, replan_cases: ReplanCases, versions: Versions, city: City, keys: Keys
    ) -> None:
        self._transactions = transactions
        self._replan_cases = replan_cases
        self._versions = versions
        self._city = city
        self._keys = keys

    async def withdraw(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Tell every agency that has accepted a referral of the case, whether it still serves it or not."""
        async with self._transactions.begin() as transaction:
            case, referrals = await open_at(transaction, case_id, version)
            facts = self._replan_cases.facts_of(case)
            due = self._due(case, facts, transaction.now)
            holders = [
                referral
                for referral in referrals
                if referral.standing.state not in NOT_ACCEPTED and referral.standing.agency not in facts.origin.excluded
            ]
            for referral in holders:
                transaction.announce(
                    publisher.referral_changed(
                        ReferralConsentWithdrawnV1, referral, None, withdrawn_at=transaction.now, acknowledge_by=due
                    )
                )
            clock = Running(ClockName.WITHDRAWAL, transaction.now, due)
            await repository.reset(transaction, [(referral.referral_id, clock) for referral in holders])
            repository.add_case_transition(
                transaction, case_id, case.state.value, case.state.value, by, "consent_withdrawn",
                note_of(self._keys, case_id, reason),
            )  # fmt: skip

    async def acknowledge(self, transaction: Transaction, replies: Sequence[ReplyWithdrawalAcknowledgedV1]) -> None:
        """Stop the clock of each that was told; an answer to nothing is refused with the reason."""
        ids = {reply.data.referral_id for reply in replies}
        referrals = await repository.referrals_for_update(transaction, ids)
        running = await repository.clocks_of(transaction, ids)
        cases = await repository.cases_of(transaction.connection, {r.case_id for r in referrals.values()})
        stopped: list[tuple[UUID, ClockName]] = []
        for reply in replies:
            agency, referral = Producer.of(reply.source).party, referrals.get(reply.data.referral_id)
            asked = [c for c in running.get(reply.data.referral_id, []) if c.clock is ClockName.WITHDRAWAL]
            if referral is None:
                self._refuse(transaction, reply, agency, ReplyRefusal.UNKNOWN_REFERRAL)
            elif referral.standing.agency != agency:
                self._refuse(transaction, reply, agency, ReplyRefusal.NOT_ITS_REFERRAL)
            elif not asked:
                self._refuse(transaction, reply, agency, ReplyRefusal.NOT_NOW)
            elif not asked[0].is_stopped:
                stopped.append((referral.referral_id, ClockName.WITHDRAWAL))
                state = cases[referral.case_id].state.value
                repository.add_case_transition(
                    transaction, referral.case_id, state, state, agency, "withdrawal_acknowledged", cause=reply.id
                )
        await repository.stop_clocks(transaction, stopped)

    def _due(self, case: StoredCase, facts: StoredFacts, now: datetime) -> datetime:
        engines = self._versions.active(now)
        engine = engines.on(now.astimezone(self._city.zone).date())
        decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
        effects = (clause.effect for clause in decision.effective)
        withins = (e.within for e in effects if isinstance(e, ClockRuns) and e.clock is ClockName.WITHDRAWAL)
        return next(withins, BY_LAW).due(now, self._city.zone, engines.agreement.holidays)

    def _refuse(
        self, transaction: Transaction, reply: ReplyWithdrawalAcknowledgedV1, agency: str, reason: ReplyRefusal
    ) -> None:
        repository.add_refusal(transaction, reply.id, reply.data.referral_id, agency, reason)
        transaction.announce(publisher.reply_refused(reply, agency, reply.data.referral_id, reason))
