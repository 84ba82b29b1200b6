"""A referral has one receipt and one answer clock, whatever the number of its services."""

from datetime import UTC, datetime, timedelta

from simpul_agreement.model import ClockName
from simpul_routing.domain.clocks import ReferralClock, find_referral_clocks

START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)


def clock(name: ClockName, minutes: int, *, met_after: int | None = None) -> ReferralClock:
    stopped_at = None if met_after is None else START + timedelta(minutes=met_after)
    return ReferralClock(name, START, START + timedelta(minutes=minutes), stopped_at=stopped_at)


def test_the_clock_that_runs_out_first_is_that_of_the_referral() -> None:
    urgent, usual = clock(ClockName.ANSWER, 15), clock(ClockName.ANSWER, 360)
    receipt = clock(ClockName.RECEIPT, 5)

    assert find_referral_clocks([usual, clock(ClockName.CONTACT, 60), urgent, receipt, receipt]) == [receipt, urgent]


def test_a_service_that_waits_counts_before_one_that_was_answered() -> None:
    waiting = clock(ClockName.ANSWER, 360)

    assert find_referral_clocks([clock(ClockName.ANSWER, 15, met_after=3), waiting]) == [waiting]


def test_when_all_are_answered_the_latest_against_its_deadline_counts() -> None:
    late = clock(ClockName.ANSWER, 15, met_after=40)

    assert find_referral_clocks([clock(ClockName.ANSWER, 360, met_after=100), late]) == [late]


def test_a_referral_without_such_clocks_has_none() -> None:
    assert find_referral_clocks([clock(ClockName.SERVICE, 60)]) == []
