"""Which provider of a channel is used next: failing and slow ones come last until they have recovered."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from simpul_notify.domain.alerts import Outcome

WINDOW: Final = timedelta(minutes=2)
"""Attempts that are older no longer count."""
MIN_ATTEMPTS: Final = 4
"""Fewer attempts in the window decide nothing."""
MAX_FAILING_SHARE: Final = 0.5
"""A provider with at least this share of failed attempts is set aside."""
FIRST_PAUSE: Final = timedelta(seconds=30)
"""How long a failing provider is set aside; doubles each time that its trial fails, up to LONGEST_PAUSE."""
LONGEST_PAUSE: Final = timedelta(minutes=5)
LONGEST_TURN: Final = timedelta(seconds=5)
"""A message that would wait longer for its turn is offered to another provider, or later."""
REPORTS_DUE_AFTER: Final = timedelta(minutes=3)
"""A provider that reports deliveries is slow with a message that it accepted this long ago without such a report."""
MAX_SLOW_SHARE: Final = 0.5
"""A provider with at least this share of slow messages is used last."""


@dataclass(frozen=True, slots=True)
class ReportStatistics:
    """Messages that a provider accepted lately and whose report is due, and how many of them lack it."""

    due: int
    missing: int

    @property
    def is_slow(self) -> bool:
        """Whether so few reports come that another provider is better."""
        return self.due >= MIN_ATTEMPTS and self.missing >= MAX_SLOW_SHARE * self.due


class ProviderHealth:
    """A circuit breaker for one provider.

    The provider is set aside when too many attempts fail. After a pause one message tries it: success ends the pause,
    failure doubles the next one.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_slow = False
        self._attempts: deque[tuple[datetime, bool]] = deque(maxlen=50)
        self._paused_until: datetime | None = None
        self._pause = FIRST_PAUSE
        self._is_on_trial = False

    @property
    def is_paused(self) -> bool:
        """Whether the provider is set aside, or on trial."""
        return self._paused_until is not None

    def can_be_tried(self, now: datetime) -> bool:
        """Whether the provider takes messages: always while it works, once after each pause while it fails."""
        return self._paused_until is None or (now >= self._paused_until and not self._is_on_trial)

    def begin_attempt(self) -> None:
        """Notes that a message is handed over; while the provider is set aside, that is its trial."""
        self._is_on_trial = self.is_paused

    def record_outcome(self, outcome: Outcome, now: datetime) -> bool:
        """Records the outcome of an attempt; returns whether the provider was set aside or is used again by it."""
        match outcome:
            case Outcome.ACCEPTED | Outcome.REJECTED_PERMANENTLY:
                return self._record_success(now)
            case Outcome.REJECTED_TEMPORARILY | Outcome.UNKNOWN:
                return self._record_failure(now)
            case Outcome.NO_ADDRESS | Outcome.POSTPONED:
                return False

    def _record_success(self, now: datetime) -> bool:
        self._attempts.append((now, True))
        was_on_trial, self._is_on_trial = self._is_on_trial, False
        if not self.is_paused or not was_on_trial:
            return False
        self._paused_until, self._pause = None, FIRST_PAUSE
        self._attempts.clear()
        return True

    def _record_failure(self, now: datetime) -> bool:
        self._attempts.append((now, False))
        if self.is_paused:
            if self._is_on_trial:
                self._is_on_trial = False
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
                self._paused_until = now + self._pause
            return False
        recent = [succeeded for at, succeeded in self._attempts if now - at <= WINDOW]
        if len(recent) >= MIN_ATTEMPTS and recent.count(False) >= MAX_FAILING_SHARE * len(recent):
            self._paused_until = now + self._pause
            return True
        return False


class Pace:
    """Spreads the messages to a provider that takes only so many in a minute."""

    def __init__(self, max_per_minute: int | None) -> None:
        self._interval = timedelta(minutes=1) / max_per_minute if max_per_minute else timedelta()
        self._next_at: datetime | None = None

    def reserve(self, now: datetime) -> timedelta:
        """Returns how long the next message waits for its turn, which is taken unless it is too far away."""
        turn = max(now, self._next_at or now)
        if turn - now > LONGEST_TURN:
            return turn - now
        self._next_at = turn + self._interval
        return turn - now


def order_providers(healths: Sequence[ProviderHealth], now: datetime) -> list[ProviderHealth]:
    """Returns the providers in the order in which a message tries them.

    Those that work come first, in the city's order; then slow ones; one whose pause has ended comes first of all, for
    its trial. When all of them fail, all are tried: a message is never kept back because of what happened to others.
    """
    usable = [health for health in healths if health.can_be_tried(now)]
    if not usable:
        return list(healths)
    return sorted(usable, key=lambda health: (health.is_slow, not health.is_paused))
