"""Who guesses waits longer and longer; nobody waits for long because of others."""

from datetime import UTC, datetime, timedelta

import pytest

from simpul_desk.access.client import describe_browser
from simpul_desk.access.login_limits import (
    FORGET_AFTER,
    PER_ACCOUNT,
    PER_NETWORK,
    PER_PAIR,
    Failures,
    LimitPolicy,
    network_of,
    subjects_of,
)

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)


def fail(policy: LimitPolicy, times: int) -> Failures:
    failures = Failures(0, NOW)
    for _ in range(times):
        failures = failures.add(policy, NOW)
    return failures


@pytest.mark.parametrize("policy", [PER_PAIR, PER_NETWORK, PER_ACCOUNT])
def test_waiting_begins_after_some_failures_doubles_and_has_an_end(policy: LimitPolicy) -> None:
    assert fail(policy, policy.free - 1).wait(NOW) == timedelta()
    assert fail(policy, policy.free).wait(NOW) == policy.first_wait
    assert fail(policy, policy.free + 1).wait(NOW) == 2 * policy.first_wait
    assert fail(policy, policy.free + 1000).wait(NOW) == policy.longest_wait


def test_a_wait_passes() -> None:
    failures = fail(PER_PAIR, PER_PAIR.free)

    assert failures.wait(NOW + PER_PAIR.first_wait) == timedelta()


def test_after_an_hour_without_failures_counting_begins_at_zero() -> None:
    later = NOW + FORGET_AFTER

    assert fail(PER_PAIR, 20).add(PER_PAIR, later) == Failures(1, later)


def test_strangers_never_make_an_account_wait_for_more_than_a_minute() -> None:
    assert PER_ACCOUNT.longest_wait <= timedelta(minutes=1)


def test_an_attempt_that_succeeds_is_taken_back() -> None:
    assert fail(PER_NETWORK, 3).remove() == Failures(2, NOW)
    assert Failures(0, NOW).remove() == Failures(0, NOW)


def test_a_known_browser_is_counted_apart_from_strangers() -> None:
    strange = {subject.digest for subject in subjects_of("wiji", "203.0.113.7")}
    known = {subject.digest for subject in subjects_of("wiji", "203.0.113.7", b"device")}

    assert (len(strange), len(known)) == (3, 1)
    assert strange.isdisjoint(known)


def test_two_attempts_lock_their_rows_in_one_order() -> None:
    digests = [subject.digest for subject in subjects_of("wiji", "203.0.113.7")]

    assert digests == sorted(digests)


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("203.0.113.7", "203.0.113.8", False), ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False), ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("unknown", "unknown", True),
    ],
)  # fmt: skip
def test_a_household_has_one_network(one: str, other: str, is_one: bool) -> None:
    assert (network_of(one) == network_of(other)) == is_one


@pytest.mark.parametrize(
    ("user_agent", "described"),
    [
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Safari/604.1", "Safari, iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox, Windows"),
        ("curl/8.5.0", ""),
    ],
)  # fmt: skip
def test_a_browser_is_described_briefly(user_agent: str, described: str) -> None:
    assert describe_browser(user_agent) == described
