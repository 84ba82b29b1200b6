"""The lifecycle of a service of a referral: replies, reroutes and clocks."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_agreement.deadlines import Within
from simpul_agreement.engine import Origin
from simpul_agreement.facts import TimeBand
from simpul_agreement.model import ClockName, ClockRuns, Step
from simpul_routing.domain.clocks import STOPPED_BY, Addressee, ReferralClock, clocks_for_service, escalation_targets
from simpul_routing.domain.lifecycle import (
    TERMINAL,
    TRANSITIONS,
    ReplyKind,
    ServiceState,
    Standing,
    Unchanged,
    judge_reply,
)
from simpul_routing.domain.reroute import MAX_REROUTES, find_next_agency
from simpul_schema.vocabulary import DeclineReason, ReferralRole, ReplyRefusal, Service, Urgency
from tests.support.agreements import CITY, HOME, a_clause, decide, kediri

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
S = ServiceState


def standing(state: ServiceState, urgency: Urgency = Urgency.MEDIUM, *, first_aid: bool = False) -> Standing:
    return Standing(state, urgency, first_aid)


def at_local(text: str) -> datetime:
    """The moment of a month, day and time in Kediri."""
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=CITY.zone)


def judged(state: ServiceState, kind: ReplyKind) -> ServiceState | Unchanged | ReplyRefusal:
    return judge_reply(standing(state), kind)


@pytest.mark.parametrize(
    ("state", "kind", "outcome"),
    [
        (S.OFFERED, ReplyKind.DELIVERED, S.DELIVERED),
        (S.DELIVERED, ReplyKind.SEEN, S.SEEN),
        (S.OFFERED, ReplyKind.ACCEPTED, S.ACCEPTED),
        (S.ACCEPTED, ReplyKind.STARTED, S.IN_PROGRESS),
        (S.IN_PROGRESS, ReplyKind.COMPLETED, S.COMPLETED),
        (S.ACCEPTED, ReplyKind.SCHEDULED, S.SCHEDULED),
        (S.SCHEDULED, ReplyKind.SCHEDULED, S.SCHEDULED),
        (S.SCHEDULED, ReplyKind.UNATTENDED, S.UNATTENDED),
        (S.IN_PROGRESS, ReplyKind.DECLINED, S.DECLINED),
        (S.ACCEPTED, ReplyKind.DELIVERED, Unchanged.LATE_OR_REPEATED),
        (S.COMPLETED, ReplyKind.SEEN, Unchanged.LATE_OR_REPEATED),
        (S.ACCEPTED, ReplyKind.ACCEPTED, Unchanged.LATE_OR_REPEATED),
        (S.IN_PROGRESS, ReplyKind.ACCEPTED, Unchanged.LATE_OR_REPEATED),
        (S.OFFERED, ReplyKind.COMPLETED, ReplyRefusal.NOT_YET_ACCEPTED),
        (S.SEEN, ReplyKind.STARTED, ReplyRefusal.NOT_YET_ACCEPTED),
        (S.REROUTED, ReplyKind.ACCEPTED, ReplyRefusal.REROUTED),
        (S.COMPLETED, ReplyKind.DECLINED, ReplyRefusal.ALREADY_ENDED),
        (S.ACCEPTED, ReplyKind.UNATTENDED, ReplyRefusal.NOT_NOW),
        (S.DECLINED, ReplyKind.COMPLETED, ReplyRefusal.NOT_NOW),
        (S.DECLINED, ReplyKind.ACCEPTED, ReplyRefusal.NOT_NOW),
    ],
)
def test_a_reply_is_judged_by_where_the_service_stands(
    state: ServiceState, kind: ReplyKind, outcome: ServiceState | Unchanged | ReplyRefusal
) -> None:
    assert judged(state, kind) is outcome


@pytest.mark.parametrize(
    ("reason", "urgency", "first_aid", "outcome"),
    [
        (DeclineReason.OUTSIDE_AREA, Urgency.HIGH, False, ReplyRefusal.FIRST_AID_FIRST),
        (DeclineReason.OUTSIDE_MANDATE, Urgency.HIGH, False, ReplyRefusal.FIRST_AID_FIRST),
        (DeclineReason.OTHER, Urgency.HIGH, False, ReplyRefusal.FIRST_AID_FIRST),
        (DeclineReason.OUTSIDE_MANDATE, Urgency.HIGH, True, S.DECLINED),
        (DeclineReason.OTHER, Urgency.HIGH, True, S.DECLINED),
        (DeclineReason.OTHER, Urgency.MEDIUM, False, S.DECLINED),
        (DeclineReason.OUTSIDE_MANDATE, Urgency.MEDIUM, False, S.DECLINED),
        (DeclineReason.NO_CAPACITY, Urgency.HIGH, False, S.DECLINED),
    ],
)
def test_a_child_in_danger_is_declined_before_first_aid_only_for_a_sufficient_reason(
    reason: DeclineReason, urgency: Urgency, first_aid: bool, outcome: ServiceState | ReplyRefusal
) -> None:
    about = standing(S.ACCEPTED, urgency, first_aid=first_aid)

    assert judge_reply(about, ReplyKind.DECLINED, reason) is outcome


def test_every_state_and_reply_has_an_outcome_and_a_terminal_state_never_moves() -> None:
    for state, kind in product(ServiceState, ReplyKind):
        outcome = judged(state, kind)
        assert isinstance(outcome, ServiceState | Unchanged | ReplyRefusal)
        assert state not in TERMINAL or not isinstance(outcome, ServiceState)


def test_every_state_can_be_reached_and_left_unless_it_is_terminal() -> None:
    reached = set(TRANSITIONS.values()) | {S.OFFERED, S.REROUTED, S.CANCELLED, S.REVOKED, S.ENTERED_IN_ERROR}
    left = {state for state, _ in TRANSITIONS} | {S.DECLINED}

    assert reached == set(ServiceState)
    assert left == set(ServiceState) - TERMINAL


def next_after(*tried: str, service: Service = Service.SHELTER, reroute_count: int = 0, origin: Origin = HOME) -> str:
    clauses = {Service.SHELTER: ["SHE-1"], Service.OUTREACH: ["OUT-1"]}[service]
    found = find_next_agency(
        kediri(),
        clauses,
        service,
        ReferralRole.LEAD,
        origin,
        tried=tried,
        declined_triage=(),
        reroute_count=reroute_count,
    )
    return found.agency if found else ""


def test_the_next_in_the_clause_follows() -> None:
    assert next_after("dinsos-peksos") == "uptd-ppa"
    assert next_after(HOME.satgas, service=Service.OUTREACH) == HOME.kecamatan


def test_after_the_clause_any_other_with_the_mandate_follows() -> None:
    tried = (HOME.satgas, HOME.kecamatan, "uptd-ppa")

    assert next_after(*tried, service=Service.OUTREACH) == "ylpa"


def test_who_is_excluded_is_never_handed_anything() -> None:
    origin = Origin(HOME.satgas, HOME.kecamatan, excluded=frozenset({HOME.kecamatan}))

    assert next_after(HOME.satgas, service=Service.OUTREACH, origin=origin) == "uptd-ppa"


def test_a_hub_that_declined_is_not_offered_the_service_again() -> None:
    chain: list[str] = []
    while len(chain) < 60:
        found = find_next_agency(
            kediri(),
            ["TRI-1"],
            Service.MANUAL_TRIAGE,
            ReferralRole.LEAD,
            HOME,
            tried=chain,
            declined_triage=chain,
            reroute_count=len(chain),
        )
        if found is None:
            break
        chain.append(found.agency)

    assert chain[:2] == ["uptd-ppa", "ylpa"]
    assert len(chain) == len(set(chain)) < 60


def test_the_third_reroute_escalates_to_the_hub() -> None:
    raised = find_next_agency(
        kediri(),
        ["SHE-1"],
        Service.SHELTER,
        ReferralRole.LEAD,
        HOME,
        tried=["dinsos-peksos"],
        declined_triage=(),
        reroute_count=MAX_REROUTES,
    )

    assert raised is not None
    assert (raised.agency, raised.service, raised.is_escalated_to_hub) == ("uptd-ppa", Service.MANUAL_TRIAGE, True)


@given(
    st.sampled_from([Service.SHELTER, Service.OUTREACH]),
    st.integers(0, 5),
    st.frozensets(st.sampled_from(sorted(CITY.agency_codes)), max_size=8),
    st.frozensets(st.sampled_from(sorted(CITY.agency_codes)), max_size=20),
)
def test_r6_a_reroute_always_finds_an_agency_that_is_not_excluded(
    service: Service, reroute_count: int, tried: frozenset[str], excluded: frozenset[str]
) -> None:
    origin = Origin(HOME.satgas, HOME.kecamatan, excluded=excluded)

    agency = next_after(*tried, service=service, reroute_count=reroute_count, origin=origin)

    assert agency
    assert agency not in excluded


def clocks(
    role: ReferralRole = ReferralRole.LEAD, service: Service = Service.PEP_72H
) -> dict[ClockName, ReferralClock]:
    effective = decide(violence="sexual", time_since_event="under_24h").effective
    found = clocks_for_service(effective, service, role, NOW, CITY.zone, kediri().calendar)
    return {clock.clock: clock for clock in found}


def test_a_service_has_several_clocks_at_once() -> None:
    found = clocks()

    assert {clock: running.due_at - NOW for clock, running in found.items()} == {
        ClockName.RECEIPT: timedelta(minutes=5),
        ClockName.ANSWER: timedelta(minutes=15),
        ClockName.CONTACT: timedelta(hours=1),
        ClockName.SERVICE: timedelta(hours=1),
        ClockName.HEALTH_WINDOW: timedelta(hours=24),
    }
    assert set(clocks(ReferralRole.SUPPORT)) == {ClockName.RECEIPT, ClockName.ANSWER}


def test_steps_fall_due_at_half_whole_and_twice_the_time() -> None:
    clock = clocks()[ClockName.ANSWER]
    moments = []
    while clock.step:
        moments.append((clock.step, clock.moment_of(clock.step) - NOW))
        clock = clock.after_step(clock.step)

    assert moments == [
        (Step.HALF, timedelta(minutes=7.5)),
        (Step.DUE, timedelta(minutes=15)),
        (Step.TWICE, timedelta(minutes=30)),
    ]
    assert clock.next_at is None


@pytest.mark.parametrize(
    ("within", "start", "half", "due", "twice"),
    [
        # Friday, 22:00, and six office hours: half of them are over on Monday, not on Sunday morning.
        (Within(office_hours=6), "11-27 22:00", "11-30 10:00", "11-30 13:00", "12-01 10:30"),
        # Three working days from then: half of them after one day and twelve hours.
        (Within(working_days=3), "11-27 22:00", "12-01 10:00", "12-02 22:00", "12-08 07:00"),
        # One working day from a Friday morning: half of it falls into the night, so it ends when offices open.
        (Within(working_days=1), "11-27 08:00", "11-30 07:00", "11-30 08:00", "12-01 08:00"),
        (Within(timedelta(hours=6)), "11-27 22:00", "11-28 01:00", "11-28 04:00", "11-28 10:00"),
    ],
)
def test_half_and_twice_the_time_are_counted_like_the_time_itself(
    within: Within, start: str, half: str, due: str, twice: str
) -> None:
    clock = ReferralClock.start(ClockName.ANSWER, within, at_local(start), CITY.zone, kediri().calendar)

    assert [clock.moment_of(step) for step in Step] == [at_local(half), at_local(due), at_local(twice)]


@given(hours=st.integers(1, 60), minutes=st.integers(0, 60 * 24 * 21))
def test_a_reminder_in_office_hours_never_comes_at_night_or_after_the_deadline(hours: int, minutes: int) -> None:
    start, calendar = NOW + timedelta(minutes=minutes), kediri().calendar
    clock = ReferralClock.start(ClockName.ANSWER, Within(office_hours=hours), start, CITY.zone, calendar)

    for step in (Step.HALF, Step.TWICE):
        assert kediri().band_at(clock.moment_of(step), CITY.zone) is TimeBand.OFFICE_HOURS
    assert start <= clock.moment_of(Step.HALF) < clock.due_at < clock.moment_of(Step.TWICE)


def test_two_clauses_on_one_clock_start_it_once_with_the_earlier_deadline() -> None:
    effective = decide(violence="sexual+trafficking").effective
    later = a_clause("LATER", ClockRuns(ClockName.POLICE_REPORT, Within(timedelta(days=7))))

    both = clocks_for_service(
        [later, *effective],
        Service.POLICE_REPORT,
        ReferralRole.LEAD,
        NOW,
        CITY.zone,
        kediri().calendar,
        police_since=NOW,
    )

    assert len({clock.clock for clock in both}) == len(both)
    assert {clock.due_at for clock in both if clock.clock is ClockName.POLICE_REPORT} == {NOW + timedelta(days=3)}


def test_every_clock_of_a_service_is_stopped_by_its_completion() -> None:
    assert all(ReplyKind.COMPLETED in stops for stops in STOPPED_BY.values())


def targets(step: Step, agency: str, origin: Origin = HOME) -> tuple[str, ...]:
    effective = decide(violence="sexual").effective
    addressee = Addressee(agency, CITY.kinds[agency], CITY.kecamatan_of.get(agency, ""))
    return escalation_targets(step, effective, kediri(), addressee, origin)


def test_the_escalation_policy_notifies_the_agency_then_the_level_above_then_the_top() -> None:
    assert targets(Step.HALF, HOME.satgas) == (HOME.satgas,)
    assert targets(Step.DUE, HOME.satgas) == (HOME.kecamatan,)
    assert targets(Step.DUE, "rs-rujukan") == ("uptd-ppa",)
    assert targets(Step.DUE, "uptd-ppa") == ("uptd-ppa-head",)
    assert targets(Step.TWICE, "rs-rujukan") == ("uptd-ppa-head", "city-board")


def test_r6_an_excluded_escalation_level_is_skipped() -> None:
    origin = Origin(HOME.satgas, HOME.kecamatan, excluded=frozenset({HOME.kecamatan}))

    assert targets(Step.DUE, HOME.satgas, origin) == ("uptd-ppa-head",)


def test_r6_parts_of_an_excluded_agency_are_not_notified() -> None:
    origin = Origin(HOME.satgas, HOME.kecamatan, excluded=frozenset({"uptd-ppa"}))

    assert targets(Step.DUE, "rs-rujukan", origin) == ("city-board",)
    assert targets(Step.TWICE, "rs-rujukan", origin) == ("city-board",)


def test_the_level_above_depends_on_the_agency_and_not_on_where_the_child_lives() -> None:
    assert targets(Step.DUE, "satgas-kel-semampir", Origin()) == ("satgas-kec-kota",)
