"""Sends everybody one message a week that has to be confirmed, and names those who have not."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog

from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import Problem
from simpul_notify.domain.links import ALPHABET, TOKEN_LENGTH, token_for, token_from
from simpul_notify.domain.notifications import Notification
from simpul_notify.domain.reach_checks import (
    CONFIRM_WITHIN,
    SEND_HOURS,
    SEND_WITHIN,
    WeeklyTime,
    check_text,
    find_recipients,
)
from simpul_notify.domain.responders import Recipient, Roster
from simpul_notify.repository import deliveries, reach_checks
from simpul_notify.use_cases.dispatch import Dispatch, Dispatched, Message
from simpul_notify.use_cases.metrics import REACH_UNCONFIRMED
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transactions
from simpul_schema.vocabulary import Urgency

INTERVAL: Final = timedelta(minutes=1)
"""Time between two looks at what is due and who has confirmed."""
BATCH: Final = 20
"""Messages that one process takes at a time."""
RETRY_AFTER: Final = timedelta(minutes=10)
"""Time until a message is tried again that no provider has taken."""

log = structlog.get_logger()


class CheckReach:
    """Proves every week by every number and address that its person can be reached.

    Alerts go first: these messages are not urgent, leave one after the other, and only in the person's safe hours,
    or else in those of work.
    """

    def __init__(
        self,
        transactions: Transactions,
        roster: Callable[[], Roster],
        dispatch: Dispatch,
        public_url: str,
        time: WeeklyTime,
        zone: ZoneInfo,
    ) -> None:
        """`roster` returns the roster in use."""
        self._transactions = transactions
        self._roster = roster
        self._dispatch = dispatch
        self._public_url = public_url
        self._time = time
        self._zone = zone
        self._unconfirmed: list[Recipient] = []

    def find_warnings(self) -> list[str]:
        """Names by which number or address who has not confirmed the last weekly message."""
        if not self._unconfirmed:
            return []
        named = ", ".join(f"{one.responder} ({one.method})" for one in self._unconfirmed)
        return [f"the weekly test was not confirmed by {named}"]

    async def run(self) -> None:
        """Sends and looks until cancelled."""
        await repeat(self.check, INTERVAL, "reach_check_failed")

    async def check(self) -> None:
        """Sends what is due, and looks who has not confirmed in time."""
        async with self._transactions.begin() as transaction:
            now = transaction.now
            due = self._time.last_before(now, self._zone)
            is_open = now - due < SEND_WITHIN
            if is_open:
                roster = self._roster()
                found = find_recipients(roster, self._dispatch.channels)
                await reach_checks.plan_checks(transaction, {one: roster.digest_of(one) for one in found}, due)
        while is_open and await self._send_some(due):
            pass
        await self._measure()

    async def _send_some(self, due: datetime) -> int:
        lease = self._dispatch.longest_attempt * BATCH
        async with self._transactions.begin() as transaction:
            claimed = await reach_checks.claim_checks(transaction, due, lease, BATCH)
        for planned, digest in claimed:
            await self._send(planned, digest, due)
        return len(claimed)

    async def _send(self, planned: Recipient, digest: str, due: datetime) -> None:
        roster = self._roster()
        recipient = roster.find_again(planned, digest)
        if recipient is None:
            return
        responder, address = roster.responders[recipient.responder], roster.address_of(recipient)
        link_token, digest = token_for(responder.language, _draw), roster.digest_of(recipient)
        notification = Notification(uuid4(), recipient, (), token_from(_draw()), link_token, digest)
        async with self._transactions.begin() as transaction:
            await deliveries.add_notifications(transaction, [notification])
        dispatched = await self._dispatch.send(
            Message(
                notification.notification_id,
                recipient.channel,
                address,
                check_text(recipient.channel, responder.language, self._public_url, notification.link_token),
                Urgency.LOW,
                notification.report_token,
                safe_hours=responder.safe_hours or SEND_HOURS,
            )
        )
        await self._record(planned, notification, dispatched, due)

    async def _record(
        self, planned: Recipient, notification: Notification, dispatched: Dispatched, due: datetime
    ) -> None:
        attempt = dispatched.attempt
        sent = deliveries.Sent(notification.notification_id, dispatched.provider, attempt)
        is_over = attempt.outcome in (Outcome.REJECTED_PERMANENTLY, Outcome.NO_ADDRESS)
        async with self._transactions.begin() as transaction:
            await deliveries.record_deliveries(transaction, [sent])
            await reach_checks.record_check(
                transaction,
                planned,
                due,
                reach_checks.SENT if sent.may_have_left else reach_checks.REFUSED if is_over else reach_checks.WAITING,
                notification_id=notification.notification_id if sent.may_have_left else None,
                problem="" if attempt.problem is Problem.NONE else attempt.problem.value,
                not_before=dispatched.not_before or transaction.now + RETRY_AFTER,
            )

    async def _measure(self) -> None:
        roster = self._roster()
        async with self._transactions.begin() as transaction:
            found = await reach_checks.find_checks(transaction.connection, transaction.now - CONFIRM_WITHIN)
        # Who has left or has another number since then proves nothing by the old one.
        unconfirmed = (roster.find_again(one.recipient, one.address_digest) for one in found if not one.is_confirmed)
        missing = [recipient for recipient in unconfirmed if recipient is not None]
        if missing and missing != self._unconfirmed:
            log.error("reach_not_confirmed", count=len(missing))
        self._unconfirmed = missing
        REACH_UNCONFIRMED.set(len(missing))


def _draw() -> int:
    return secrets.randbelow(len(ALPHABET) ** TOKEN_LENGTH)
