"""Alerts the next contact method or the next person while nobody has acknowledged an alert."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from simpul_notify import publisher, repository
from simpul_notify.domain.alerts import Alert
from simpul_notify.domain.escalation import (
    REPEAT_AFTER,
    REPEAT_URGENT_AFTER,
    Acknowledged,
    AlertNext,
    Delivery,
    Escalation,
    EscalationState,
    Exhausted,
    Wait,
    ladder_of,
    next_step,
    restarts_wait,
)
from simpul_notify.domain.escalation_policy import EscalationPolicy
from simpul_notify.domain.responders import Roster
from simpul_notify.repository import DueEscalation, EscalationResult
from simpul_notify.use_cases.metrics import ALERTS_EXHAUSTED, ESCALATION_STEPS
from simpul_notify.use_cases.schedule import Schedule
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transaction, Transactions

SWEEP_INTERVAL: Final = timedelta(seconds=1)
"""Time between searches for due steps."""
REPEAT_INTERVAL: Final = timedelta(minutes=1)
"""Time between searches for what is unanswered at twice its deadline."""
MAX_STEPS: Final = 500
"""Steps in one transaction; after an outage the one that fell due first is taken first."""

log = structlog.get_logger()


class EscalateAlerts:
    """Takes due steps of escalations; any number of processes may run at once."""

    def __init__(self, transactions: Transactions, roster: Callable[[], Roster], schedule: Schedule) -> None:
        """`roster` returns the roster in use."""
        self._transactions = transactions
        self._roster = roster
        self._schedule = schedule

    async def open_escalations(self, transaction: Transaction, escalations: Sequence[Escalation]) -> None:
        """Alerts the first responder of each, and stores when the next step is due."""
        if not escalations:
            return
        roster = self._roster()
        alerts, opened = [], []
        for escalation in escalations:
            policy = escalation.policy_of(roster)
            ladder = ladder_of(roster, escalation.party, escalation.urgency, policy, leads_first=escalation.leads_first)
            if ladder:
                alerts += [escalation.alert_for(recipient, ladder[0].party) for recipient in ladder[0].recipients()]
            opened.append((escalation, _first_check(policy) if ladder else timedelta()))
        await repository.open_escalations(transaction, opened)
        await self._schedule.add_alerts(transaction, alerts)

    async def run(self) -> None:
        """Takes due steps until cancelled."""
        await repeat(self.take_due_steps, SWEEP_INTERVAL, "escalation_sweep_failed", batch_size=MAX_STEPS)

    async def take_due_steps(self) -> int:
        """Takes the step of every escalation that is due; returns their number."""
        async with self._transactions.begin() as transaction:
            due, unreadable = await repository.claim_due_escalations(transaction, MAX_STEPS)
            results, alerts = [], []
            for one in due:
                result, alerts_of_step = self._take_step(transaction, one)
                results.append(result)
                alerts += alerts_of_step
            if due:
                await self._schedule.add_alerts(transaction, alerts, is_overdue=True)
                await repository.save_escalations(transaction, results)
            if unreadable:
                await repository.close_unreadable_escalations(transaction, unreadable)
        if unreadable:
            log.error("escalation_unreadable", count=len(unreadable))
        return len(due) + len(unreadable)

    async def run_repeats(self) -> None:
        """Repeats what is unanswered until cancelled."""
        await repeat(self.repeat_unanswered, REPEAT_INTERVAL, "escalation_repeat_failed", batch_size=MAX_STEPS)

    async def repeat_unanswered(self) -> int:
        """Alerts once more about what nobody has answered since twice its deadline; returns how many were looked at.

        Also where somebody had acknowledged it, because an acknowledgement is not yet an answer.
        """
        async with self._transactions.begin() as transaction:
            taken, unanswered = await repository.claim_unanswered(
                transaction, REPEAT_URGENT_AFTER, REPEAT_AFTER, MAX_STEPS
            )
            repeated = [one.again(transaction.now) for one in unanswered]
            await self.open_escalations(transaction, repeated)
        if repeated:
            log.info("escalations_repeated", count=len(repeated))
        return taken

    def _take_step(self, transaction: Transaction, due: DueEscalation) -> tuple[EscalationResult, list[Alert]]:
        escalation, roster = due.escalation, self._roster()
        result = partial(
            EscalationResult, escalation.escalation_id, is_alerted=any(tried.has_left for tried in due.tried)
        )
        if not due.is_needed:
            return result(EscalationState.ENDED, due.waiting_since), []
        policy = escalation.policy_of(roster)
        ladder = ladder_of(
            roster, escalation.party, escalation.urgency, policy, due.excluded, leads_first=escalation.leads_first
        )
        since = due.now if restarts_wait(due.tried, due.due_at, due.waiting_since, due.now) else due.waiting_since
        match next_step(ladder, policy, due.tried, since, due.now):
            case Wait(until=until):
                return result(EscalationState.OPEN, since, until), []
            case AlertNext(recipients=recipients, party=party):
                _count_step(transaction, "alerted")
                check_at = due.now + _first_check(policy)
                alerts_of_step = [escalation.alert_for(recipient, party) for recipient in recipients]
                return result(EscalationState.OPEN, since, check_at), alerts_of_step
            case Acknowledged():
                return result(EscalationState.ENDED, since), []
            case Exhausted(resumes_at=resumes_at):
                is_announced_now = not escalation.waits_until(resumes_at)
                if is_announced_now and not due.is_announced:
                    self._publish_exhausted(transaction, due)
                state = EscalationState.OPEN if resumes_at else EscalationState.EXHAUSTED
                return result(state, since, resumes_at, is_exhausted=is_announced_now), []

    def _publish_exhausted(self, transaction: Transaction, due: DueEscalation) -> None:
        responders = len({tried.recipient.responder for tried in due.tried if tried.delivery is not Delivery.POSTPONED})
        if due.escalation.occasion.concerns_referral:
            transaction.enqueue_event(publisher.alert_exhausted(due.escalation, responders))
        transaction.after_commit.append(ALERTS_EXHAUSTED.labels(due.escalation.urgency.value).inc)
        _count_step(transaction, "exhausted")
        log.error(
            "alert_exhausted", referral_id=due.escalation.referral_id, party=due.escalation.party, count=responders
        )


def _first_check(policy: EscalationPolicy) -> timedelta:
    return min(policy.handset_within, policy.acknowledge_within or policy.handset_within)


def _count_step(transaction: Transaction, result: str) -> None:
    transaction.after_commit.append(ESCALATION_STEPS.labels(result).inc)
