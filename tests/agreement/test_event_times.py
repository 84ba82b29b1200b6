"""The time from the event to the report: its bands, and what the agreement makes of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_agreement.event_times import EventTime
from simpul_agreement.facts import FACTS, Situation, TimeSinceEvent
from simpul_agreement.reports import area_of, invented_year, read_72_hours, situation_from_report
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import Answer, Service
from tests.support.agreements import CITY, HOME, decide, kediri

REPORTED = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)  # Thursday, 10:00 in Kediri
_situations = st.fixed_dictionaries(
    {
        fact.name: st.frozensets(st.sampled_from(fact.values), min_size=1, max_size=8 if fact.holds_many else 1)
        for fact in FACTS
    }
)


def situation_of(**changes: object) -> Situation:
    """The situation of a report that comes in on Thursday at 10:00."""
    facts = {"channel": "phone", "reporter": "other", "violence": ["physical"], "place": "other"} | changes
    return situation_from_report(TriageFacts.model_validate(facts), CITY, kediri(), REPORTED)[0]


@pytest.mark.parametrize(
    ("happened_at", "band"),
    [
        ("2026-11-26T10", "under_24h"),
        ("2026-11-26", "under_24h"),
        ("2026-11-25T11", "under_24h"),
        ("2026-11-25T10", "from_24h_to_72h"),
        # Between 10 and 34 hours: under 24 hours is not certain.
        ("2026-11-25", "from_24h_to_72h"),
        ("2026-11-23T10", "from_24h_to_72h"),
        ("2026-11-23T09", "over_72h"),
        # Between 58 and 82 hours: treatment may still help.
        ("2026-11-23", "from_24h_to_72h"),
        ("2026-11-22", "over_72h"),
        ("2026-11-27T09", "under_24h"),
        ("", "unknown"),
        ("2026-02-31", "unknown"),
    ],
)
def test_a_day_or_an_hour_has_one_band(happened_at: str, band: str) -> None:
    assert situation_of(happened_at=happened_at)["time_since_event"] == {band}


@given(st.integers(0, 200), st.integers(0, 59), st.booleans())
def test_an_event_within_72_hours_is_never_called_older_and_an_older_one_never_recent(
    hours: int, minutes: int, by_day: bool
) -> None:
    moment = REPORTED - timedelta(hours=hours, minutes=minutes)
    event = EventTime.parse(moment.astimezone(CITY.zone).strftime("%Y-%m-%d" if by_day else "%Y-%m-%dT%H"), CITY.zone)
    assert event is not None

    band = event.before(REPORTED)

    assert event.earliest <= moment < event.latest
    assert band is not TimeSinceEvent.OVER_72H or REPORTED - moment > timedelta(hours=72)
    assert band is not TimeSinceEvent.UNDER_24H or REPORTED - moment < timedelta(hours=24)


@pytest.mark.parametrize(
    ("happened_at", "answer", "violence", "band"),
    [
        ("", "yes", {"physical", "sexual"}, "under_24h"),
        ("2026-11-24T10", "yes", {"physical", "sexual"}, "from_24h_to_72h"),
        # The answers contradict each other: the more dangerous one prevails.
        ("2026-11-02", "yes", {"physical", "sexual"}, "under_24h"),
        ("", "no", {"physical"}, "unknown"),
        ("2026-11-24T10", "no", {"physical"}, "from_24h_to_72h"),
    ],
)
def test_r1_sexual_violence_in_the_last_72_hours_counts_whatever_kind_is_named(
    happened_at: str, answer: str, violence: set[str], band: str
) -> None:
    situation = situation_of(happened_at=happened_at, sexual_under_72h=answer)

    assert situation["violence"] == violence
    assert situation["time_since_event"] == {band}


def test_sexual_violence_that_is_denied_for_the_last_72_hours_lies_before_them() -> None:
    sexual = frozenset({"sexual"})

    assert read_72_hours(Answer.NO, sexual, TimeSinceEvent.UNKNOWN) == (sexual, TimeSinceEvent.OVER_72H)
    assert read_72_hours(Answer.NO, sexual, TimeSinceEvent.UNDER_24H) == (sexual, TimeSinceEvent.UNDER_24H)


@pytest.mark.parametrize(
    ("kelurahan", "area"),
    [("Bujel", "kelurahan"), ("outside", "outside"), ("", "unknown"), ("Atlantis", "unknown")],
)
def test_a_kelurahan_that_the_city_does_not_know_is_unknown_and_not_outside(kelurahan: str, area: str) -> None:
    assert area_of(kelurahan, CITY) == area
    assert situation_of(event_kelurahan=kelurahan)["event_area"] == {area}
    assert situation_of(kelurahan=kelurahan)["residence"] == {area}


@given(_situations)
def test_no_volunteer_goes_to_a_home_only_because_nobody_knows_whether_the_child_is_safe(situation: Situation) -> None:
    facts = {name: "+".join(values) for name, values in situation.items() if name not in ("safe_now", "place")}
    facts["perpetrator_lives_with_child"] = "no"
    for place in ("school", "workplace", "public_facility", "online"):
        decided = decide(HOME, **facts, safe_now="unknown", place=place)

        assert Service.OUTREACH not in {assigned.service for assigned in decided.assignments}


@given(_situations)
def test_the_police_lead_the_report_alone(situation: Situation) -> None:
    facts = {name: "+".join(values) for name, values in situation.items() if name not in ("violence", "excluded")}
    decided = decide(HOME, **facts, violence="sexual", excluded="none")

    [report] = [assigned for assigned in decided.assignments if assigned.service is Service.POLICE_REPORT]
    assert (report.lead, report.support) == ("polres-ppa", ())


def test_an_invented_year_holds_every_band_and_area() -> None:
    situations = [report.situation(kediri())[0] for report in invented_year(CITY, 2026, 400, 1)]

    assert {next(iter(one["time_since_event"])) for one in situations} == set(TimeSinceEvent)
    assert {next(iter(one["event_area"])) for one in situations} == {"kelurahan", "outside", "unknown"}
