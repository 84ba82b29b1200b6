"""What notify does."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID, uuid4

import structlog

from simpul_notify import publisher, repository
from simpul_notify.channels import Channel
from simpul_notify.domain import FIRST_STEP, Alert, AlertState, Outcome, Roster, Text, wait_after
from simpul_notify.texts import Texts
from simpul_runtime.batching import Batcher
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import ReferralExclusionSuggestedV1, ReferralOfferedV1
from simpul_schema.vocabulary import AlertChannel, AlertFailure

HOT: Final = timedelta(seconds=30)
"""How long the process that recorded an alert has to send it before any other may."""
SWEEP: Final = 1.0
"""Seconds between looks at what is due again."""
MOST: Final = 500
"""Alerts under way in one process; the table holds the others."""
AHEAD: Final = 100
"""Alerts under way before the next referrals are taken from the queue."""
PAUSE: Final = 0.25
"""Seconds that wait may last: a provider that hangs must not hold up the alerts of another."""

log = structlog.get_logger()


class AlertOnDuty:
    """Records an alert for each person on duty and channel, then has them sent."""

    def __init__(self, roster: Roster, send_soon: Callable[[Alert], None]) -> None:
        self._roster = roster
        self._send_soon = send_soon

    async def alert(self, transaction: Transaction, offers: Sequence[ReferralOfferedV1]) -> None:
        """The people of each addressed agency, by the channels of the urgency."""
        for offer in offers:
            self._record(transaction, self._alerts(offer))

    async def alert_deciders(self, transaction: Transaction, events: Sequence[ReferralExclusionSuggestedV1]) -> None:
        """The people who must decide about suggested exclusions; at each step of the deadline those who are told."""
        for event in events:
            data = event.data
            self._record(transaction, [
                Alert(uuid4(), data.referral_id, data.case_id, contact.reference, channel, data.urgency, data.decide_by,
                      step=max(data.step, FIRST_STEP))
                for party in data.told
                for contact in self._roster.on_duty.get(party, ())
                for channel in self._roster.channels[data.urgency]
            ])  # fmt: skip

    def _record(self, transaction: Transaction, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            repository.add(transaction, alert, transaction.now + HOT)
            transaction.after_commit.append(partial(self._send_soon, alert))

    def _alerts(self, offer: ReferralOfferedV1) -> list[Alert]:
        data = offer.data
        return [
            Alert(uuid4(), data.referral_id, data.case_id, contact.reference, channel, data.urgency, data.answer_by)
            for contact in self._roster.on_duty.get(data.agency, ())
            for channel in self._roster.channels[data.urgency]
        ]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a provider is tried, and how long between."""

    first: timedelta
    attempts: int


class SendAlerts:
    """Sends recorded alerts, each by itself, and writes their fates in batches."""

    def __init__(
        self,
        transactions: Transactions,
        roster: Roster,
        texts: Texts,
        channels: Mapping[AlertChannel, Channel],
        patience: Patience,
        concurrency: int,
    ) -> None:
        self._transactions = transactions
        self._roster = roster
        self._texts = texts
        self._channels = channels
        self._patience = patience
        # One limit for each channel: a provider that hangs holds up only its own.
        self._limits = {channel: asyncio.Semaphore(concurrency) for channel in channels}
        self._under_way: dict[UUID, asyncio.Task[None]] = {}
        self._one_ended = asyncio.Event()
        self._fates: Batcher[tuple[Alert, Outcome], None] = Batcher("fates", self._record)

    def send_soon(self, alert: Alert) -> None:
        """Send an alert; one that is under way is left alone, and when too many are the sweep takes it later."""
        if alert.alert_id not in self._under_way and len(self._under_way) < MOST:
            task = asyncio.create_task(self._send(alert))
            self._under_way[alert.alert_id] = task
            task.add_done_callback(partial(self._ended, alert.alert_id))

    def _ended(self, alert_id: UUID, _: asyncio.Task[None]) -> None:
        self._under_way.pop(alert_id, None)
        self._one_ended.set()

    async def has_room(self) -> None:
        """Return when few alerts are under way, or after a pause: what waits in the broker costs no memory here."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                while len(self._under_way) > AHEAD:
                    self._one_ended.clear()
                    await self._one_ended.wait()

    async def run(self) -> None:
        """Write fates and sweep until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._fates.run())
                tasks.create_task(self._keep_sweeping())
        finally:
            for channel in self._channels.values():
                await channel.close()

    async def _send(self, alert: Alert) -> None:
        async with self._limits[alert.channel]:
            contact = self._roster.contacts.get(alert.contact)
            address = contact.addresses.get(alert.channel) if contact else None
            if contact is None or address is None:
                # The person left the roster between two attempts.
                outcome = Outcome.REJECTED_PERMANENTLY
            else:
                text = self._texts.render(alert, contact.language)
                outcome = await self._try(alert, address, text)
        await self._fates.submit((replace(alert, attempts=alert.attempts + 1), outcome))

    async def _try(self, alert: Alert, address: str, text: Text) -> Outcome:
        try:
            return await self._channels[alert.channel].send(address, text)
        except Exception as error:
            # A fault of ours must not strand the alert: it counts as an attempt and is made again.
            log.error("channel_failed", channel=alert.channel, exc_info=error)
            return Outcome.UNKNOWN

    async def _record(self, fates: Sequence[tuple[Alert, Outcome]]) -> list[Exception | None]:
        async with self._transactions.begin() as transaction:
            states = [(alert, *self._fate(alert, outcome, transaction.now)) for alert, outcome in fates]
            fresh = await repository.settle(transaction, states)
            for (alert, outcome), (_, state, _) in zip(fates, states, strict=True):
                if alert.alert_id in fresh and state is AlertState.SENT:
                    transaction.announce(publisher.alert_sent(alert))
                elif alert.alert_id in fresh and state is AlertState.FAILED:
                    rejected = outcome is Outcome.REJECTED_PERMANENTLY
                    reason = AlertFailure.REJECTED if rejected else AlertFailure.EXHAUSTED
                    transaction.announce(publisher.alert_failed(alert, reason))
                    log.error("alert_failed", alert_id=alert.alert_id, channel=alert.channel, attempts=alert.attempts)
        return [None] * len(fates)

    def _fate(self, alert: Alert, outcome: Outcome, now: datetime) -> tuple[AlertState, datetime]:
        if outcome is Outcome.ACCEPTED:
            return AlertState.SENT, now
        if outcome is Outcome.REJECTED_PERMANENTLY or alert.attempts >= self._patience.attempts:
            return AlertState.FAILED, now
        log.warning("alert_deferred", alert_id=alert.alert_id, channel=alert.channel, attempts=alert.attempts)
        return AlertState.PENDING, now + wait_after(alert.attempts, self._patience.first)

    async def _keep_sweeping(self) -> None:
        async with self._transactions.begin() as transaction:
            await repository.take_over(transaction)
        while True:
            room = MOST - len(self._under_way)
            if room > 0:
                try:
                    async with self._transactions.begin() as transaction:
                        due = await repository.take_due(transaction, min(room, 100), HOT)
                    for alert in due:
                        self.send_soon(alert)
                except Exception as error:
                    log.warning("sweep_failed", exc_info=error)
            await asyncio.sleep(SWEEP)
