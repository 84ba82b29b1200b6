"""The time for treatment and evidence runs from the event, else from the report, never from the decision."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_agreement.engine import Engine
from simpul_agreement.event_times import EventTime
from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.clocks import ReferralClock, clocks_for_service
from simpul_routing.domain.facts import CaseFacts, read_report
from simpul_routing.stored_facts import decode_facts, encode_facts
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import ReferralRole, Service
from tests.support.agreements import CITY, DAY, kediri, reported

CASE = UUID("00000000-0000-4000-8000-000000000001")
REPORTED = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)  # Thursday, 10:00 in Kediri


def case_facts(case: UUID = CASE, received_at: datetime = REPORTED, **changes: Any) -> CaseFacts:
    """Facts of one report of sexual violence."""
    facts = {"channel": "phone", "reporter": "other", "violence": ["sexual"], "place": "other"} | changes
    return CaseFacts({str(case): read_report(TriageFacts.model_validate(facts), CITY, kediri(), received_at)})


def health_window(facts: CaseFacts, decided_at: datetime, service: Service) -> ReferralClock | None:
    """The clock of the health window on a referral to the hospital that is offered at `decided_at`."""
    decision = Engine(kediri(), DAY).decide(facts.situation, facts.origin)
    clocks = clocks_for_service(
        decision.effective,
        service,
        ReferralRole.LEAD,
        decided_at,
        CITY.zone,
        kediri().calendar,
        window=facts.find_window_start(decided_at),
    )
    return next((clock for clock in clocks if clock.clock is ClockName.HEALTH_WINDOW), None)


@given(hours=st.integers(0, 100), by_day=st.booleans(), later=st.integers(0, 60))
def test_the_deadline_never_lies_more_than_72_hours_after_the_event(hours: int, by_day: bool, later: int) -> None:
    moment = REPORTED - timedelta(hours=hours)
    happened_at = moment.astimezone(CITY.zone).strftime("%Y-%m-%d" if by_day else "%Y-%m-%dT%H")
    event = EventTime.parse(happened_at, CITY.zone)
    assert event is not None
    facts = case_facts(happened_at=happened_at)

    for service in (Service.PEP_72H, Service.FORENSIC_EXAM):
        clock = health_window(facts, REPORTED + timedelta(hours=later), service)

        assert (clock is None) is (facts.situation["time_since_event"] == {"over_72h"})
        if clock:
            assert clock.started_at == event.earliest
            assert clock.due_at <= max(event.earliest + timedelta(hours=72), REPORTED)
            assert clock.due_at < event.latest + timedelta(hours=72)


@pytest.mark.parametrize(
    ("service", "facts", "due"),
    [
        (Service.PEP_72H, {"happened_at": "2026-11-25T20"}, datetime(2026, 11, 26, 13, 0, tzinfo=UTC)),
        (Service.PEP_72H, {"happened_at": "2026-11-24T20"}, datetime(2026, 11, 27, 13, 0, tzinfo=UTC)),
        (Service.FORENSIC_EXAM, {"happened_at": "2026-11-25T20"}, datetime(2026, 11, 28, 13, 0, tzinfo=UTC)),
        (Service.FORENSIC_EXAM, {}, REPORTED + timedelta(hours=72)),
        (Service.PEP_72H, {"sexual_under_72h": "yes"}, REPORTED + timedelta(hours=24)),
        # Of a day three days ago nobody knows how much time is left: none is assumed.
        (Service.PEP_72H, {"happened_at": "2026-11-23"}, REPORTED),
    ],
)
def test_it_runs_from_the_event_else_from_the_report(service: Service, facts: dict[str, Any], due: datetime) -> None:
    clock = health_window(case_facts(**facts), REPORTED + timedelta(hours=5), service)

    assert clock is not None
    assert clock.due_at == due


def test_nobody_is_reminded_of_a_half_that_had_passed_before_the_referral() -> None:
    early = health_window(case_facts(happened_at="2026-11-26T09"), REPORTED, Service.FORENSIC_EXAM)
    late = health_window(case_facts(happened_at="2026-11-24T09"), REPORTED, Service.FORENSIC_EXAM)

    assert early is not None
    assert late is not None
    assert (early.step, late.step) == (Step.HALF, Step.DUE)
    assert late.next_at == late.due_at


def test_of_two_reports_the_earliest_event_within_72_hours_starts_it() -> None:
    both = case_facts(happened_at="2026-11-25T20").merge_duplicate(
        case_facts(uuid4(), REPORTED + timedelta(hours=2), happened_at="2026-11-26T04")
    )
    unknown = case_facts().merge_duplicate(case_facts(uuid4(), REPORTED - timedelta(hours=6)))
    older = case_facts(happened_at="2026-11-01").merge_duplicate(case_facts(uuid4(), happened_at="2026-11-26T04"))

    assert both.find_window_start(REPORTED)[0] == datetime(2026, 11, 25, 13, 0, tzinfo=UTC)
    assert unknown.find_window_start(REPORTED)[0] == REPORTED - timedelta(hours=6)
    assert older.find_window_start(REPORTED)[0] == datetime(2026, 11, 25, 21, 0, tzinfo=UTC)
    assert older.situation["time_since_event"] == {"under_24h"}
    assert older.shared.happened_at == "2026-11-26T04"


def test_the_time_of_the_report_stays_when_its_facts_are_amended() -> None:
    later = REPORTED + timedelta(days=5)
    amended = case_facts().amend_report(CASE, case_facts(received_at=later, injured="yes").reports[str(CASE)])

    assert amended.find_received_at(CASE, later) == REPORTED


def test_agencies_learn_when_and_where_it_happened_and_who_the_suspect_is() -> None:
    shared = case_facts(
        happened_at="2026-11-25T20",
        place="school",
        event_kelurahan="outside",
        kelurahan="Bujel",
        perpetrator_relation="teacher",
        guardian_relation="parent",
        guardian_is_suspect="no",
        suspect_has_phone="yes",
    ).shared

    assert (shared.happened_at, shared.place, shared.event_kecamatan) == ("2026-11-25T20", "school", "outside")
    assert (shared.kecamatan, shared.perpetrator_relation) == ("Mojoroto", "teacher")
    assert (shared.guardian_relation, shared.guardian_is_suspect) == ("parent", "no")
    assert (shared.suspect_has_phone, shared.sexual_under_72h) == ("yes", "yes")


def stored_by_an_older_version(answer: str) -> bytes:
    """Facts as they were stored before there were a time and an area of the event."""
    found: dict[str, Any] = json.loads(encode_facts(case_facts(violence=["physical"])))
    report = found["reports"][str(CASE)]
    for name in ("received_at", "happened_at"):
        del report[name]
    for name in ("time_since_event", "event_area", "guardian_is_suspect"):
        del report["situation"][name]
    report["situation"]["sexual_under_72h"] = [answer]
    for name in (
        "happened_at",
        "place",
        "event_kecamatan",
        "perpetrator_relation",
        "perpetrator_is_child",
        "perpetrator_lives_with_child",
        "guardian_relation",
        "guardian_is_suspect",
        "suspect_has_phone",
    ):
        del report["shared"][name]
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    ("answer", "violence", "since"),
    [
        ("yes", "physical+sexual", "under_24h"),
        ("no", "physical", "unknown"),
        ("unknown", "physical", "unknown"),
    ],
)
def test_an_open_case_of_an_older_version_stays_readable(answer: str, violence: str, since: str) -> None:
    facts = decode_facts(stored_by_an_older_version(answer))

    assert facts.situation == reported(violence=violence, time_since_event=since)
    assert facts.shared.happened_at == ""
    assert facts.find_window_start(REPORTED) == (REPORTED, REPORTED)
    services = {one.service for one in Engine(kediri(), DAY).decide(facts.situation, facts.origin).assignments}
    assert (Service.PEP_72H in services) is (answer == "yes")


def test_facts_survive_being_stored() -> None:
    facts = case_facts(happened_at="2026-11-25T20", event_kelurahan="Bujel")

    assert decode_facts(encode_facts(facts)) == facts
