"""Withdraws a consent: every agency that holds data of the case must stop processing and acknowledge it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from simpul_agreement import Versions
from simpul_agreement.model import ClockName, ClockRuns, Within
from simpul_city import City
from simpul_routing import publisher, repository
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.lifecycle import NOT_ACCEPTED
from simpul_routing.repository import StoredCase
from simpul_routing.stored_facts import StoredFacts
from simpul_routing.use_cases.cases import decrypt_facts, encrypt_note, load_open_case
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Producer
from simpul_schema.messages import ReferralConsentWithdrawnV1, ReplyWithdrawalAcknowledgedV1
from simpul_schema.vocabulary import ReplyRefusal

LEGAL_DEADLINE: Final = Within(timedelta(days=3))
"""Default without a clause: 3 x 24 hours, as LAW-12 of Kediri (UU 27/2022; not reviewed by a lawyer yet)."""


class WithdrawConsent:
    """Publishes a withdrawal to each agency that accepted a referral, with a clock for the acknowledgement."""

    def __init__(self, transactions: Transactions, versions: Versions, city: City, keys: Keys) -> None:
        self._transactions = transactions
        self._versions = versions
        self._city = city
        self._keys = keys

    async def withdraw_consent(self, case_id: UUID, version: int, *, by: str, reason: str) -> None:
        """Notifies every agency that accepted a referral of the case, even if the referral has ended."""
        async with self._transactions.begin() as transaction:
            case, referrals = await load_open_case(transaction, case_id, version)
            facts = decrypt_facts(self._keys, case)
            due = self._due_at(case, facts, transaction.now)
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
            clock = ReferralClock(ClockName.WITHDRAWAL, transaction.now, due)
            await repository.upsert_clocks(transaction, [(referral.referral_id, clock) for referral in holders])
            repository.add_case_transition(
                transaction, case_id, case.state.value, case.state.value, by, "consent_withdrawn",
                encrypt_note(self._keys, case_id, reason),
            )  # fmt: skip

    async def acknowledge_withdrawals(
        self, transaction: Transaction, replies: Sequence[ReplyWithdrawalAcknowledgedV1]
    ) -> None:
        """Stops the clocks of acknowledged withdrawals; refuses acknowledgements without a withdrawal."""
        ids = {reply.data.referral_id for reply in replies}
        referrals = await repository.load_referrals_for_update(transaction, ids)
        running = await repository.load_clocks(transaction, ids)
        cases = await repository.load_cases(transaction.connection, {r.case_id for r in referrals.values()})
        stopped: list[tuple[UUID, ClockName]] = []
        for reply in replies:
            agency, referral = Producer.of(reply.source).party, referrals.get(reply.data.referral_id)
            withdrawn = [c for c in running.get(reply.data.referral_id, []) if c.clock is ClockName.WITHDRAWAL]
            if referral is None:
                self._refuse_reply(transaction, reply, agency, ReplyRefusal.UNKNOWN_REFERRAL)
            elif referral.standing.agency != agency:
                self._refuse_reply(transaction, reply, agency, ReplyRefusal.NOT_ITS_REFERRAL)
            elif not withdrawn:
                self._refuse_reply(transaction, reply, agency, ReplyRefusal.NOT_NOW)
            elif not withdrawn[0].is_stopped:
                stopped.append((referral.referral_id, ClockName.WITHDRAWAL))
                state = cases[referral.case_id].state.value
                repository.add_case_transition(
                    transaction, referral.case_id, state, state, agency, "withdrawal_acknowledged", cause=reply.id
                )
        await repository.stop_clocks(transaction, stopped)

    def _due_at(self, case: StoredCase, facts: StoredFacts, now: datetime) -> datetime:
        engines = self._versions.active(now)
        engine = engines.on(now.astimezone(self._city.zone).date())
        decision = engine.decide(facts.situation, facts.origin, by_hand=case.urgency)
        effects = (clause.effect for clause in decision.effective)
        withins = (e.within for e in effects if isinstance(e, ClockRuns) and e.clock is ClockName.WITHDRAWAL)
        return next(withins, LEGAL_DEADLINE).due(now, self._city.zone, engines.agreement.holidays)

    def _refuse_reply(
        self, transaction: Transaction, reply: ReplyWithdrawalAcknowledgedV1, agency: str, reason: ReplyRefusal
    ) -> None:
        repository.add_refused_reply(transaction, reply.id, reply.data.referral_id, agency, reason)
        transaction.announce(publisher.reply_refused(reply, agency, reply.data.referral_id, reason))
