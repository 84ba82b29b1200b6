"""When an alert ends, how long it waits between attempts, and which contact methods follow a failure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest

from simpul_agreement.model import ClockName
from simpul_notify.domain.alerts import (
    MAX_RETRY_DELAY,
    Alert,
    AlertState,
    Amendment,
    ChannelHealth,
    KnownService,
    Occasion,
    Outcome,
    Progress,
    bundling_delay,
    find_new_demands,
    needed_until,
    retry_delay,
    state_after_attempt,
)
from simpul_notify.domain.responders import Recipient, Responder, Roster
from simpul_routing.domain.clocks import STOPPED_BY
from simpul_routing.domain.lifecycle import ReplyKind
from simpul_schema.vocabulary import AlertChannel, Urgency

SMS, MAIL = AlertChannel.SMS, AlertChannel.MAIL
NOW = datetime(2026, 11, 27, 15, tzinfo=UTC)
FIRST, SECOND = (
    Responder(name, "id", {SMS: "+6283400111001", MAIL: f"{name}@instansi.example"}) for name in ("first", "second")
)
ROSTER = Roster(
    {"ylpa": (FIRST, SECOND)},
    {Urgency.HIGH: (SMS, MAIL), Urgency.MEDIUM: (SMS, MAIL), Urgency.LOW: (MAIL,)},
    {"first": FIRST, "second": SECOND},
)
ALERT = Alert(
    UUID(int=1), UUID(int=9), UUID(int=2), UUID(int=3), (UUID(int=4),), "first", SMS, Urgency.HIGH, NOW, party="ylpa"
)
PERIOD = timedelta(minutes=1)


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
    remaining = list(ROSTER.remaining_recipients(ALERT.recipient, "ylpa", Urgency.HIGH))

    assert [(one.responder, one.channel) for one in remaining] == [("first", MAIL), ("second", SMS), ("second", MAIL)]


def test_a_responder_who_left_the_roster_is_replaced_by_those_on_duty() -> None:
    remaining = list(ROSTER.remaining_recipients(Recipient("gone", MAIL), "ylpa", Urgency.LOW))

    assert remaining == [Recipient("first", MAIL), Recipient("second", MAIL)]


@pytest.mark.parametrize(
    ("urgency", "channel", "occasion", "delay"),
    [
        (Urgency.HIGH, SMS, Occasion.OFFERED, timedelta()),
        (Urgency.HIGH, SMS, Occasion.AMENDED, timedelta()),
        (Urgency.HIGH, SMS, Occasion.OVERDUE, timedelta()),
        (Urgency.HIGH, MAIL, Occasion.OFFERED, PERIOD),
        (Urgency.HIGH, SMS, Occasion.REVOKED, PERIOD),
        (Urgency.MEDIUM, SMS, Occasion.OFFERED, PERIOD),
        (Urgency.LOW, MAIL, Occasion.OFFERED, PERIOD),
    ],
)
def test_only_the_first_channel_of_what_is_urgent_waits_for_nothing(
    urgency: Urgency, channel: AlertChannel, occasion: Occasion, delay: timedelta
) -> None:
    alert = replace(ALERT, urgency=urgency, channel=channel, occasion=occasion)

    assert bundling_delay(alert, ROSTER.channels[urgency], PERIOD) == delay


def test_the_first_channel_of_a_city_that_alerts_by_mail_first_is_mail() -> None:
    assert bundling_delay(replace(ALERT, channel=MAIL), (MAIL, SMS), PERIOD) == timedelta()
    assert bundling_delay(ALERT, (MAIL, SMS), PERIOD) == PERIOD


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [
        ((Urgency.MEDIUM, 60, Progress.OFFERED), (Urgency.MEDIUM, 60), False),
        ((Urgency.MEDIUM, 60, Progress.OFFERED), (Urgency.MEDIUM, 30), True),
        ((Urgency.MEDIUM, 60, Progress.OFFERED), (Urgency.MEDIUM, 90), False),
        ((Urgency.MEDIUM, 60, Progress.OFFERED), (Urgency.HIGH, 60), True),
        ((Urgency.HIGH, 60, Progress.OFFERED), (Urgency.LOW, 60), False),
        ((Urgency.MEDIUM, 60, Progress.ANSWERED), (Urgency.HIGH, 30), False),
        ((Urgency.MEDIUM, 60, Progress.ENDED), (Urgency.HIGH, 30), False),
    ],
)
def test_an_amendment_demands_what_is_due_earlier_or_more_urgent_and_unanswered(
    before: tuple[Urgency, int, Progress], after: tuple[Urgency, int], is_new: bool
) -> None:
    service = UUID(int=4)
    known = KnownService(service, before[0], NOW + timedelta(minutes=before[1]), before[2])
    amended = KnownService(service, after[0], NOW + timedelta(minutes=after[1]))

    [demands] = find_new_demands([Amendment((amended,), frozenset())], {service: known})

    assert bool(demands) is is_new


def test_an_amendment_demands_the_added_services_alone() -> None:
    kept, added, unknown = (KnownService(UUID(int=n), Urgency.MEDIUM, NOW) for n in (1, 2, 3))

    amendment = Amendment((kept, added, unknown), frozenset({added.service_id}))

    assert list(find_new_demands([amendment], {kept.service_id: kept})) == [[added]]


def test_each_amendment_of_a_batch_is_compared_with_the_one_before() -> None:
    service = UUID(int=4)
    stages = [KnownService(service, Urgency.MEDIUM, NOW + timedelta(minutes=minutes)) for minutes in (60, 30, 30, 20)]
    amendments = [Amendment((stage,), frozenset()) for stage in stages[1:]]

    assert [bool(demands) for demands in find_new_demands(amendments, {service: stages[0]})] == [True, False, True]


def test_an_outage_lasts_from_the_first_failure_to_the_next_answer_about_an_address() -> None:
    health = ChannelHealth()
    for minute, outcome in enumerate((Outcome.UNKNOWN, Outcome.REJECTED_TEMPORARILY)):
        health.record_outcome(SMS, outcome, NOW + timedelta(minutes=minute))
    health.record_outcome(MAIL, Outcome.REJECTED_TEMPORARILY, NOW)
    health.record_outcome(MAIL, Outcome.REJECTED_PERMANENTLY, NOW)

    assert health.outage_durations(NOW + timedelta(minutes=3)) == {SMS: timedelta(minutes=3)}

    health.record_outcome(SMS, Outcome.ACCEPTED, NOW)

    assert health.outage_durations(NOW) == {}
