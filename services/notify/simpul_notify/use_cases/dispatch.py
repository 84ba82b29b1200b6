"""The only way out of notify: every message of any kind passes `Dispatch.send`, and nothing else calls a provider."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote
from uuid import UUID

import structlog

from simpul_notify.channels import OutgoingMessage, Provider
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.contact_rules import ContactRules, find_hindrance
from simpul_notify.domain.deliveries import Attempt, Problem
from simpul_notify.domain.notifications import AlertText
from simpul_notify.domain.provider_health import (
    LONGEST_TURN,
    Pace,
    ProviderHealth,
    ReportStatistics,
    order_providers,
)
from simpul_notify.domain.safe_hours import SafeHours
from simpul_notify.use_cases.metrics import PROVIDER_ATTEMPTS, PROVIDER_SET_ASIDE
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import AlertChannel, Urgency

REPORTS_PATH: Final = "/gateway/reports"
"""Where providers report; the rest of the path is a token of the message and the provider's name."""
TIMEOUT_MARGIN: Final = timedelta(seconds=1)
"""A provider ends its attempt itself; one that does not is interrupted this much later."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent to whom, and what the contact rules need to know."""

    notification_id: UUID
    channel: AlertChannel
    address: str = field(repr=False)
    text: AlertText = field(repr=False)
    urgency: Urgency
    report_token: str = field(repr=False)
    attempts: int = 0
    """How often it was tried before."""
    safe_hours: SafeHours | None = None
    recent: Sequence[datetime] = ()
    """When the last hour's messages to the same person or number left."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What came of a message, by which provider; a postponed one may leave at `not_before`."""

    attempt: Attempt
    provider: str = ""
    not_before: datetime | None = None


class Dispatch:
    """Checks the contact rules, chooses a provider and hands the message over.

    A provider that rejects a message for now is followed by the next one at once. After a timeout the message may have
    left, so it is repeated later, by another provider first.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        rules: Callable[[], ContactRules],
        timeout: timedelta,
        *,
        report_url: str = "",
    ) -> None:
        """`rules` returns the rules in use; `report_url` is where providers reach notify, empty without reports."""
        self._rules = rules
        self._timeout = timeout
        self._report_url = report_url.rstrip("/")
        self._providers = {provider.name: provider for provider in providers}
        self._paces = {provider.name: Pace(provider.capabilities.max_per_minute) for provider in providers}
        self._healths: dict[AlertChannel, list[ProviderHealth]] = {}
        for provider in providers:
            self._healths.setdefault(provider.capabilities.channel, []).append(ProviderHealth(provider.name))

    @property
    def channels(self) -> Collection[AlertChannel]:
        """The channels for which there is a provider."""
        return self._healths.keys()

    @property
    def longest_attempt(self) -> timedelta:
        """How long one call of `send` may take when each provider of a channel uses all its time."""
        count = max(map(len, self._healths.values()), default=1)
        return count * (self._timeout + TIMEOUT_MARGIN + LONGEST_TURN)

    def concurrency(self, channel: AlertChannel) -> int:
        """Returns how many messages of a channel are sent at the same time; further ones are bundled while they wait.

        The sum of its providers, so that one that hangs does not use up the workers of the others.
        """
        return sum(self._providers[health.name].capabilities.concurrency for health in self._healths[channel])

    async def send(self, message: Message) -> Dispatched:
        """Sends a message, unless a contact rule forbids it."""
        now = utc_now()
        hindrance = find_hindrance(
            self._rules(),
            message.address,
            message.urgency,
            safe_hours=message.safe_hours,
            recent=message.recent,
            now=now,
        )
        if hindrance is not None:
            log.warning("message_withheld", channel=message.channel, reason=hindrance.problem)
            outcome = Outcome.POSTPONED if hindrance.until else Outcome.NO_ADDRESS
            return Dispatched(Attempt(outcome, hindrance.problem), not_before=hindrance.until)
        dispatched = Dispatched(Attempt(Outcome.REJECTED_TEMPORARILY, Problem.BUSY))
        for health in self._order_for(message, now):
            dispatched = Dispatched(await self._try(health, message), health.name)
            if dispatched.attempt.outcome is not Outcome.REJECTED_TEMPORARILY:
                break
        return dispatched

    def _order_for(self, message: Message, now: datetime) -> list[ProviderHealth]:
        ordered = order_providers(self._healths[message.channel], now)
        # What one provider did not take is repeated by another one first.
        first = message.attempts % len(ordered)
        return ordered[first:] + ordered[:first]

    async def _try(self, health: ProviderHealth, message: Message) -> Attempt:
        provider = self._providers[health.name]
        turn = self._paces[health.name].reserve(utc_now())
        if turn > LONGEST_TURN:
            return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.BUSY)
        await asyncio.sleep(turn.total_seconds())
        health.begin_attempt()
        attempt = await self._call_provider(provider, message)
        PROVIDER_ATTEMPTS.labels(health.name, attempt.outcome.value, attempt.problem.value).inc()
        if attempt.outcome in (Outcome.REJECTED_TEMPORARILY, Outcome.UNKNOWN):
            log.warning("provider_failed", source=health.name, channel=message.channel, reason=attempt.problem)
        if health.record_outcome(attempt.outcome, utc_now()):
            self._report_change(health, attempt.problem)
        return attempt

    async def _call_provider(self, provider: Provider, message: Message) -> Attempt:
        has_reports = provider.capabilities.reports_delivery and self._report_url
        report_url = (
            f"{self._report_url}{REPORTS_PATH}/{message.report_token}/{quote(provider.name)}" if has_reports else ""
        )
        outgoing = OutgoingMessage(message.notification_id, message.address, message.text, report_url)
        try:
            async with asyncio.timeout((self._timeout + TIMEOUT_MARGIN).total_seconds()):
                return await provider.send(outgoing)
        except TimeoutError:
            return Attempt(Outcome.UNKNOWN, Problem.NO_ANSWER)
        except Exception as error:
            # A defect in a provider must not lose an alert: it counts as an attempt, and another one follows.
            log.error("channel_failed", source=provider.name, channel=message.channel, exc_info=error)
            return Attempt(Outcome.UNKNOWN, Problem.DEFECT)

    def record_statistics(self, statistics: Mapping[str, ReportStatistics]) -> None:
        """Moves providers with late reports behind the others, and back when their reports come again."""
        for health in (health for healths in self._healths.values() for health in healths):
            reports = self._providers[health.name].capabilities.reports_delivery and self._report_url
            found = statistics.get(health.name)
            was_slow, health.is_slow = health.is_slow, bool(reports and found and found.is_slow)
            if health.is_slow != was_slow:
                self._report_change(health, Problem.SLOW_REPORTS)

    def _report_change(self, health: ProviderHealth, problem: Problem) -> None:
        is_set_aside = health.is_paused or health.is_slow
        PROVIDER_SET_ASIDE.labels(health.name).set(is_set_aside)
        if is_set_aside:
            log.error("provider_set_aside", source=health.name, reason=problem)
        else:
            log.info("provider_used_again", source=health.name)

    def find_problems(self) -> list[str]:
        """Names the providers that are set aside."""
        return [
            f"{channel.value}: {health.name} is set aside: {'its reports are late' if health.is_slow else 'it fails'}"
            for channel, healths in self._healths.items()
            for health in healths
            if health.is_paused or health.is_slow
        ]

    async def close(self) -> None:
        """Closes the connections of all providers."""
        for provider in self._providers.values():
            await provider.close()
