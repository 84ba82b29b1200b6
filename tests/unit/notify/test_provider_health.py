"""A provider that fails or reports late is used last, and first again when it has recovered."""

from datetime import UTC, datetime, timedelta

import pytest

from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.provider_health import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LONGEST_TURN,
    MIN_ATTEMPTS,
    WINDOW,
    Pace,
    ProviderHealth,
    ReportStatistics,
    order_providers,
)

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def failing(name: str = "first", at: datetime = NOW) -> ProviderHealth:
    health = ProviderHealth(name)
    for _ in range(MIN_ATTEMPTS):
        health.begin_attempt()
        health.record_outcome(Outcome.UNKNOWN, at)
    return health


def names(*healths: ProviderHealth, at: datetime = NOW) -> list[str]:
    return [health.name for health in order_providers(healths, at)]


def test_a_failing_provider_is_followed_by_the_next() -> None:
    second = ProviderHealth("second")

    assert names(ProviderHealth("first"), second) == ["first", "second"]
    assert names(failing(), second) == ["second"]


def test_a_few_failures_or_old_ones_set_nothing_aside() -> None:
    health = ProviderHealth("first")

    for number in range(MIN_ATTEMPTS * 2):
        health.record_outcome(Outcome.REJECTED_TEMPORARILY, NOW + number * WINDOW / (MIN_ATTEMPTS - 2))

    assert not health.is_paused


def test_a_refused_number_counts_as_working() -> None:
    health = ProviderHealth("first")

    for _ in range(20):
        health.record_outcome(Outcome.REJECTED_PERMANENTLY, NOW)

    assert not health.is_paused


def test_after_a_pause_one_message_tries_the_provider_and_its_success_ends_the_pause() -> None:
    first, second = failing(), ProviderHealth("second")
    trial = NOW + FIRST_PAUSE

    assert names(first, second, at=trial - SECOND) == ["second"]
    assert names(first, second, at=trial) == ["first", "second"]
    first.begin_attempt()
    assert names(first, second, at=trial) == ["second"]
    assert first.record_outcome(Outcome.ACCEPTED, trial)
    assert names(first, second, at=trial) == ["first", "second"]


def test_each_failed_trial_doubles_the_pause_up_to_a_limit() -> None:
    health, now, pauses = failing(), NOW + FIRST_PAUSE, []

    for _ in range(6):
        health.begin_attempt()
        health.record_outcome(Outcome.UNKNOWN, now)
        pauses.append(next(s for s in range(1, 1000) if health.can_be_tried(now + s * SECOND)))
        now += timedelta(seconds=pauses[-1])

    assert pauses == [60, 120, 240, LONGEST_PAUSE.seconds, LONGEST_PAUSE.seconds, LONGEST_PAUSE.seconds]


def test_an_answer_from_before_the_pause_does_not_end_it() -> None:
    health = failing()

    assert not health.record_outcome(Outcome.ACCEPTED, NOW + SECOND)
    assert health.is_paused


def test_when_all_fail_all_are_tried() -> None:
    assert names(failing("first"), failing("second")) == ["first", "second"]


def test_a_provider_with_late_reports_is_used_last_until_they_come_again() -> None:
    first, second = ProviderHealth("first"), ProviderHealth("second")

    first.is_slow = True
    assert names(first, second) == ["second", "first"]
    first.is_slow = False
    assert names(first, second) == ["first", "second"]


@pytest.mark.parametrize(("due", "missing", "slow"), [(3, 3, False), (4, 1, False), (4, 2, True), (100, 50, True)])
def test_half_of_the_due_reports_missing_is_slow(due: int, missing: int, slow: bool) -> None:
    assert ReportStatistics(due, missing).is_slow is slow


def test_messages_are_spread_over_the_minute_and_refused_when_their_turn_is_far() -> None:
    pace = Pace(30)

    turns = [pace.reserve(NOW) for _ in range(6)]

    assert turns[:3] == [timedelta(), 2 * SECOND, 4 * SECOND]
    assert all(turn > LONGEST_TURN for turn in turns[3:])
    assert pace.reserve(NOW + 6 * SECOND) == timedelta()
    assert [Pace(None).reserve(NOW) for _ in range(2)] == [timedelta(), timedelta()]
