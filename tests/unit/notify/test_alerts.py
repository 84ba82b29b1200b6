"""When an alert ends, how long it waits between attempts, and which contact methods follow a failure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from simpul_agreement.model import ClockName
from simpul_notify.domain import (
    MAX_RETRY_DELAY,
    Alert,
    AlertState,
    Outcome,
    Progress,
    ProviderHealth,
    Responder,
    Roster,
    needed_until,
    remaining_contact_methods,
    retry_delay,
    state_after_attempt,
)
from simpul_routing.domain.clocks import STOPPED_BY
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_schema.vocabulary import AlertChannel, Urgency

SMS, MAIL = AlertChannel.SMS, AlertChannel.MAIL
NOW = datetime(2026, 11, 27, 15, tzinfo=UTC)
FIRST, SECOND = (
    Responder(name, "id", {SMS: "+62800111001", MAIL: f"{name}@instansi.example"}) for name in ("first", "second")
)
ROSTER = Roster(
    {"ylpa": (FIRST, SECOND)},
    {Urgency.HIGH: (SMS, MAIL), Urgency.MEDIUM: (SMS, MAIL), Urgency.LOW: (MAIL,)},
    {"first": FIRST, "second": SECOND},
)
ALERT = Alert(UUID(int=1), UUID(int=2), UUID(int=3), "first", SMS, Urgency.HIGH, NOW, party="ylpa")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.ACCEPTED, AlertState.SENT),
        (Outcome.REJECTED_PERMANENTLY, AlertState.FAILED),
        (Outcome.NO_ADDRESS, AlertState.FAILED),
        (Outcome.REJECTED_TEMPORARILY, AlertState.PENDING),
        (Outcome.UNKNOWN, AlertState.PENDING),
    ],
)
def test_an_alert_ends_when_it_is_accepted_or_permanently_rejected(outcome: Outcome, state: AlertState) -> None:
    assert state_after_attempt(outcome) is state


@pytest.mark.parametrize(
    ("clock", "progress"),
    [
        ("receipt", Progress.ANSWERED),
        ("answer", Progress.ANSWERED),
        ("police_report", Progress.ANSWERED),
        ("contact", Progress.STARTED),
        ("service", Progress.STARTED),
        ("health_window", Progress.STARTED),
        ("temporary_protection", Progress.STARTED),
        ("withdrawal", Progress.NEVER),
        ("restitution_papers", Progress.ENDED),
        ("a clock of tomorrow", Progress.ENDED),
    ],
)
def test_an_alert_is_needed_until_its_referral_has_progressed(clock: str, progress: Progress) -> None:
    assert needed_until(clock) is progress


@pytest.mark.parametrize("clock", list(ClockName))
def test_no_alert_ends_while_routing_runs_its_clock(clock: ClockName) -> None:
    stopped_by = STOPPED_BY.get(clock, frozenset())

    if needed_until(clock.value) is Progress.ANSWERED:
        assert ReplyKind.ACCEPTED in stopped_by
    if needed_until(clock.value) is Progress.STARTED:
        assert ReplyKind.STARTED in stopped_by
        assert ReplyKind.ACCEPTED not in stopped_by


@pytest.mark.parametrize("urgency", list(Urgency))
def test_retry_delays_grow_to_a_limit_that_depends_on_urgency(urgency: Urgency) -> None:
    waits = [retry_delay(attempts, timedelta(seconds=2), urgency) for attempts in range(1, 200)]

    assert waits[0] == timedelta(seconds=2)
    assert all(later >= earlier for earlier, later in pairwise(waits))
    assert waits[-1] == MAX_RETRY_DELAY[urgency] <= timedelta(minutes=10)


def test_a_failed_alert_is_followed_by_the_remaining_contact_methods() -> None:
    ways = [(responder.reference, channel) for responder, channel in remaining_contact_methods(ALERT, ROSTER)]

    assert ways == [("first", MAIL), ("second", SMS), ("second", MAIL)]


def test_a_responder_who_left_the_roster_is_replaced_by_those_on_duty() -> None:
    left = replace(ALERT, responder="gone", urgency=Urgency.LOW, channel=MAIL)

    ways = [(responder.reference, channel) for responder, channel in remaining_contact_methods(left, ROSTER)]

    assert ways == [("first", MAIL), ("second", MAIL)]


def test_an_outage_lasts_from_the_first_failure_to_the_next_answer_about_an_address() -> None:
    health = ProviderHealth()
    for minute, outcome in enumerate((Outcome.UNKNOWN, Outcome.REJECTED_TEMPORARILY)):
        health.record_outcome(SMS, outcome, NOW + timedelta(minutes=minute))
    health.record_outcome(MAIL, Outcome.REJECTED_TEMPORARILY, NOW)
    health.record_outcome(MAIL, Outcome.REJECTED_PERMANENTLY, NOW)

    assert health.outage_durations(NOW + timedelta(minutes=3)) == {SMS: timedelta(minutes=3)}

    health.record_outcome(SMS, Outcome.ACCEPTED, NOW)

    assert health.outage_durations(NOW) == {}
