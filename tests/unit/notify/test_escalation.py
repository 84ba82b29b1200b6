"""The next contact method follows a missing report, the next person a missing acknowledgement."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from simpul_notify.domain.alerts import Occasion
from simpul_notify.domain.escalation import (
    LATENESS,
    Acknowledged,
    AlertNext,
    Delivery,
    Escalation,
    Exhausted,
    NextStep,
    Stage,
    TriedMethod,
    Wait,
    ladder_of,
    next_step,
    restarts_wait,
)
from simpul_notify.domain.escalation_policy import DEFAULT_POLICIES, EscalationPolicy, Methods
from simpul_notify.domain.responders import Recipient, Responder, Roster
from simpul_schema.vocabulary import AlertChannel, Urgency

SMS, MAIL = AlertChannel.SMS, AlertChannel.MAIL
START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
IN_TURN = EscalationPolicy(Methods.IN_TURN, timedelta(minutes=2), timedelta(minutes=5))
UNACKNOWLEDGED = EscalationPolicy(Methods.IN_TURN, timedelta(minutes=2), None)
FIRST, SECOND = (
    Stage(person, "ylpa", (Recipient(person, SMS), Recipient(person, MAIL))) for person in ("first", "second")
)
SECOND_NUMBER = Recipient("first", SMS, 2)
TWO_NUMBERS = Stage("first", "ylpa", (Recipient("first", SMS), Recipient("first", MAIL), SECOND_NUMBER), 2)
NIL = UUID(int=0)


def tried(
    responder: str, channel: AlertChannel, minute: int = 0, delivery: Delivery = Delivery.ACCEPTED
) -> TriedMethod:
    return TriedMethod(Recipient(responder, channel), START + timedelta(minutes=minute), delivery)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def step(
    minute: float,
    *attempts: TriedMethod,
    policy: EscalationPolicy = IN_TURN,
    waiting_since: datetime = START,
    ladder: tuple[Stage, ...] = (FIRST, SECOND),
) -> NextStep:
    return next_step(ladder, policy, attempts, waiting_since, at(minute))


def test_a_second_number_follows_when_the_first_phone_has_not_reported_although_a_mail_was_taken() -> None:
    both = (tried("first", SMS), tried("first", MAIL))

    assert step(1, *both, ladder=(TWO_NUMBERS, SECOND)) == Wait(at(2))
    assert step(2, *both, ladder=(TWO_NUMBERS, SECOND)) == AlertNext((SECOND_NUMBER,), "ylpa")


def test_a_second_number_follows_a_failed_first_one_at_once_and_then_the_next_person() -> None:
    failed = (tried("first", SMS, delivery=Delivery.FAILED), tried("first", MAIL))
    second = TriedMethod(SECOND_NUMBER, at(0), Delivery.ACCEPTED)

    assert step(0, *failed, ladder=(TWO_NUMBERS, SECOND)) == AlertNext((SECOND_NUMBER,), "ylpa")
    assert step(5, *failed, second, ladder=(TWO_NUMBERS, SECOND)) == AlertNext((Recipient("second", SMS),), "ylpa")


def test_a_second_number_is_left_alone_when_the_first_phone_has_reported() -> None:
    both = (tried("first", SMS, delivery=Delivery.ON_HANDSET), tried("first", MAIL))

    assert step(2, *both, ladder=(TWO_NUMBERS, SECOND)) == Wait(at(5))


@pytest.mark.parametrize("delivery", [Delivery.WAITING, Delivery.ACCEPTED])
def test_the_next_method_follows_when_the_handset_has_not_reported(delivery: Delivery) -> None:
    sms = tried("first", SMS, delivery=delivery)

    assert step(1.9, sms) == Wait(at(2))
    assert step(2, sms) == AlertNext((Recipient("first", MAIL),), "ylpa")


def test_a_message_on_the_handset_needs_no_other_method() -> None:
    assert step(3, tried("first", SMS, delivery=Delivery.ON_HANDSET)) == Wait(at(5))


def test_a_failed_method_is_followed_at_once() -> None:
    assert step(0, tried("first", SMS, delivery=Delivery.FAILED)) == AlertNext((Recipient("first", MAIL),), "ylpa")


def test_the_next_person_follows_when_nobody_has_acknowledged() -> None:
    both = (tried("first", SMS), tried("first", MAIL, 2))

    assert step(4.9, *both) == Wait(at(5))
    assert step(5, *both) == AlertNext((Recipient("second", SMS),), "ylpa")


def test_the_next_person_follows_at_once_when_every_method_has_failed() -> None:
    failed = [tried("first", channel, delivery=Delivery.FAILED) for channel in (SMS, MAIL)]

    assert step(0, *failed) == AlertNext((Recipient("second", SMS),), "ylpa")


def test_a_person_who_calls_for_others_is_followed_at_once() -> None:
    called = TriedMethod(Recipient("first", SMS), START, Delivery.ON_HANDSET, calls_others=True)

    assert step(0, called) == AlertNext((Recipient("second", SMS),), "ylpa")
    assert step(0, called, ladder=(FIRST,)) == Exhausted()


def test_after_the_last_person_it_is_exhausted() -> None:
    everybody = (tried("first", SMS), tried("first", MAIL, 2), tried("second", SMS, 5), tried("second", MAIL, 7))

    assert step(9.9, *everybody) == Wait(at(10))
    assert step(10, *everybody) == Exhausted()


def test_a_party_that_nobody_can_be_alerted_for_is_exhausted_at_once() -> None:
    assert step(0, ladder=()) == Exhausted()


def test_what_nobody_must_acknowledge_waits_for_nobody() -> None:
    assert step(600, tried("first", SMS), tried("first", MAIL, 2), policy=UNACKNOWLEDGED) == Wait(None)


def test_what_nobody_must_acknowledge_is_still_sent_another_way() -> None:
    assert step(2, tried("first", SMS), policy=UNACKNOWLEDGED) == AlertNext((Recipient("first", MAIL),), "ylpa")


def test_who_left_the_roster_is_followed_by_who_is_on_duty_now() -> None:
    assert step(1, tried("gone", SMS)) == AlertNext((Recipient("first", SMS),), "ylpa")


def test_who_came_to_the_roster_is_waited_for_although_others_were_alerted_before() -> None:
    newcomer = Stage("newcomer", "ylpa", (Recipient("newcomer", SMS),))
    attempts = (tried("first", SMS), tried("first", MAIL), tried("newcomer", SMS, 5))

    assert step(6, *attempts, ladder=(newcomer, FIRST)) == Wait(at(10))


def test_an_outage_of_ours_is_not_taken_for_silence() -> None:
    both = (tried("first", SMS), tried("first", MAIL))
    back = at(3 * 24 * 60)

    assert restarts_wait(both, at(5), START, back)
    assert next_step((FIRST, SECOND), IN_TURN, both, back, back) == Wait(back + timedelta(minutes=5))
    # The wait began again already, so a process that is always late moves on.
    assert not restarts_wait(both, back + timedelta(minutes=5), back, back + timedelta(days=1))
    assert not restarts_wait(both, at(5), START, at(5) + LATENESS)


def a_responder(reference: str, *channels: AlertChannel) -> Responder:
    return Responder(reference, "id", dict.fromkeys(channels, "somewhere"))


DUTY, LEAD, HUB = a_responder("duty", MAIL, SMS), a_responder("lead", SMS), a_responder("hub", SMS, MAIL)
ROSTER = Roster(
    {"ylpa": (DUTY,), "uptd-ppa": (HUB,)},
    dict.fromkeys(Urgency, (SMS, MAIL)),
    {},
    leads={"ylpa": (LEAD, DUTY)},
    coordinator="uptd-ppa",
)


def stages(party: str, policy: EscalationPolicy = IN_TURN, *excluded: str) -> list[tuple[str, str]]:
    return [
        (stage.responder, stage.party) for stage in ladder_of(ROSTER, party, Urgency.HIGH, policy, frozenset(excluded))
    ]


def test_the_lead_follows_those_on_duty_and_the_coordinator_is_last() -> None:
    assert stages("ylpa") == [("duty", "ylpa"), ("lead", "ylpa"), ("hub", "uptd-ppa")]
    assert stages("uptd-ppa") == [("hub", "uptd-ppa")]
    assert stages("city-board") == [("hub", "uptd-ppa")]


def test_an_excluded_party_is_never_in_the_ladder() -> None:
    assert stages("ylpa", IN_TURN, "ylpa") == [("hub", "uptd-ppa")]
    assert stages("ylpa", IN_TURN, "ylpa", "uptd-ppa") == []


def test_methods_follow_the_order_of_the_urgency_in_parallel_or_in_turn() -> None:
    parallel = ladder_of(ROSTER, "ylpa", Urgency.HIGH, DEFAULT_POLICIES[Urgency.HIGH])[0]
    in_turn = ladder_of(ROSTER, "ylpa", Urgency.HIGH, IN_TURN)[0]

    assert parallel.recipients() == (Recipient("duty", SMS), Recipient("duty", MAIL))
    assert in_turn.recipients() == (Recipient("duty", SMS),)


@pytest.mark.parametrize("occasion", Occasion)
def test_people_of_another_party_learn_that_this_one_has_not_reacted(occasion: Occasion) -> None:
    escalation = Escalation(NIL, NIL, "ylpa", NIL, NIL, (), "ylpa", Urgency.HIGH, START, occasion, "answer")

    assert escalation.alert_for(Recipient("duty", SMS), "ylpa").occasion is occasion
    assert escalation.alert_for(Recipient("hub", SMS), "uptd-ppa").occasion is Occasion.UNACKNOWLEDGED


@pytest.mark.parametrize(("clock", "deadline"), [("message_parked", at(300)), ("breach_notice", START)])
def test_a_repeated_alarm_names_a_time_to_come_and_the_law_is_not_moved(clock: str, deadline: datetime) -> None:
    alarm = Escalation(NIL, NIL, "ylpa", NIL, NIL, (), "ylpa", Urgency.HIGH, START, Occasion.ALARM, clock)

    assert alarm.again(at(240)).deadline == deadline


def postponed(responder: str, until: int) -> TriedMethod:
    return tried(responder, SMS, until, Delivery.POSTPONED)


def test_who_may_not_be_contacted_yet_is_followed_at_once_and_keeps_the_turn() -> None:
    assert step(0, postponed("first", 60)) == AlertNext((Recipient("second", SMS),), "ylpa")

    # Both have had their message: the second person's time has passed, and the first one's has only begun.
    second = (tried("second", SMS), tried("second", MAIL, 2))
    assert step(60, *second, tried("first", SMS, 60, Delivery.WAITING)) == Wait(at(62))
    assert step(62, *second, tried("first", SMS, 60)) == AlertNext((Recipient("first", MAIL),), "ylpa")
    assert step(65, *second, tried("first", SMS, 60), tried("first", MAIL, 62)) == Exhausted()


def test_what_is_exhausted_resumes_when_somebody_may_be_contacted() -> None:
    second = (tried("second", SMS), tried("second", MAIL, 2))

    assert step(4, *second, postponed("first", 60)) == Wait(at(5))
    assert step(5, *second, postponed("first", 60)) == Exhausted(resumes_at=at(60))
    assert step(5, *second, postponed("gone", 60), ladder=(SECOND,)) == Exhausted()


def test_what_nobody_must_acknowledge_waits_for_safe_hours() -> None:
    assert step(0, postponed("first", 60), policy=UNACKNOWLEDGED) == Wait(at(60))


@pytest.mark.parametrize(("resumes_at", "waits"), [(None, False), (at(59), True), (at(60), False)])
def test_safe_hours_are_waited_for_only_before_the_deadline(resumes_at: datetime | None, waits: bool) -> None:
    escalation = Escalation(NIL, NIL, "ylpa", NIL, NIL, (), "ylpa", Urgency.HIGH, at(60), Occasion.OFFERED, "answer")

    assert escalation.waits_until(resumes_at) is waits


def test_a_postponed_alert_is_no_sign_of_an_outage() -> None:
    assert not restarts_wait((tried("second", SMS), postponed("first", 600)), at(5), at(1), at(60))


def test_what_somebody_takes_care_of_for_another_party_ends_until_others_are_called() -> None:
    on_it = TriedMethod(Recipient("second", SMS), START, Delivery.ON_HANDSET, is_acknowledged=True)
    calling = TriedMethod(Recipient("first", SMS), START, Delivery.ON_HANDSET, calls_others=True)

    assert step(0, on_it) == Acknowledged()
    assert step(0, on_it, calling) == Wait(at(5))
