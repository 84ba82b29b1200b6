"""When an alert ends, how long it waits between attempts, and who else is alerted when one fails."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from simpul_agreement.model import ClockName
from simpul_notify.domain import (
    LONGEST_WAIT,
    Alert,
    AlertState,
    Contact,
    Outcome,
    Progress,
    ProviderHealth,
    Roster,
    fate_of,
    needed_until,
    other_ways,
    wait_after,
)
from simpul_routing.domain.clocks import STOPPED_BY
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_schema.vocabulary import AlertChannel, Urgency

SMS, MAIL = AlertChannel.SMS, AlertChannel.MAIL
NOW = datetime(2026, 11, 27, 15, tzinfo=UTC)
FIRST, SECOND = (
    Contact(name, "id", {SMS: "+62800111001", MAIL: f"{name}@instansi.example"}) for name in ("first", "second")
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
        (Outcome.REJECTED_FOR_NOW, AlertState.PENDING),
        (Outcome.UNKNOWN, AlertState.PENDING),
    ],
)
def test_an_alert_ends_when_it_is_taken_or_its_address_is_refused_for_good(outcome: Outcome, state: AlertState) -> None:
    assert fate_of(outcome) is state


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
def test_an_alert_is_needed_until_its_referral_has_come_so_far(clock: str, progress: Progress) -> None:
    assert needed_until(clock) is progress


@pytest.mark.parametrize("clock", list(ClockName))
def test_no_alert_ends_while_routing_still_runs_its_clock(clock: ClockName) -> None:
    stopped_by = STOPPED_BY.get(clock, frozenset())

    if needed_until(clock.value) is Progress.ANSWERED:
        assert ReplyKind.ACCEPTED in stopped_by
    if needed_until(clock.value) is Progress.STARTED:
        assert ReplyKind.STARTED in stopped_by
        assert ReplyKind.ACCEPTED not in stopped_by


@pytest.mark.parametrize("urgency", list(Urgency))
def test_waits_grow_to_a_limit_that_is_shorter_the_more_urgent_it_is(urgency: Urgency) -> None:
    waits = [wait_after(attempts, timedelta(seconds=2), urgency) for attempts in range(1, 200)]

    assert waits[0] == timedelta(seconds=2)
    assert all(later >= earlier for earlier, later in pairwise(waits))
    assert waits[-1] == LONGEST_WAIT[urgency] <= timedelta(minutes=10)


def test_a_failed_alert_goes_on_by_the_other_channels_and_people_of_the_same_party() -> None:
    ways = [(contact.reference, channel) for contact, channel in other_ways(ALERT, ROSTER)]

    assert ways == [("first", MAIL), ("second", SMS), ("second", MAIL)]


def test_the_alert_of_somebody_who_left_the_roster_goes_to_those_who_are_there_now() -> None:
    left = replace(ALERT, contact="gone", urgency=Urgency.LOW, channel=MAIL)

    ways = [(contact.reference, channel) for contact, channel in other_ways(left, ROSTER)]

    assert ways == [("first", MAIL), ("second", MAIL)]


def test_a_provider_refuses_from_its_first_refusal_to_its_next_word_about_an_address() -> None:
    health = ProviderHealth()
    for minute, outcome in enumerate((Outcome.UNKNOWN, Outcome.REJECTED_FOR_NOW)):
        health.note(SMS, outcome, NOW + timedelta(minutes=minute))
    health.note(MAIL, Outcome.REJECTED_FOR_NOW, NOW)
    health.note(MAIL, Outcome.REJECTED_PERMANENTLY, NOW)

    assert health.refusing(NOW + timedelta(minutes=3)) == {SMS: timedelta(minutes=3)}

    health.note(SMS, Outcome.ACCEPTED, NOW)

    assert health.refusing(NOW) == {}
