"""Who is on duty: rotations, overrides, absences, calendars, and the gaps that they leave."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from simpul_notify.domain.duty import HORIZON, WEEK, DutyPlan, Period, Rotation, Shift
from simpul_notify.domain.responders import Responder
from simpul_notify.roster.calendars import read_shifts, write_calendar
from simpul_schema.vocabulary import AlertChannel

JAKARTA = ZoneInfo("Asia/Jakarta")
HANDOVER = datetime(2026, 11, 23, 8, 0, tzinfo=JAKARTA)
"""A Monday."""


def a_person(reference: str, *, is_lead: bool = False, is_verified: bool = True) -> Responder:
    methods = {AlertChannel.SMS: "somewhere"} if is_verified else {}
    return Responder(reference, "id", methods, is_lead)


ANI, BUDI, CITRA = (a_person(name) for name in ("ani", "budi", "citra"))
WEEKLY = DutyPlan((ANI, BUDI, CITRA), Rotation(HANDOVER, ("ani", "budi", "citra")))


def on_duty(plan: DutyPlan, moment: datetime) -> list[str]:
    return [person.reference for person in plan.on_duty_at(moment, JAKARTA)]


@pytest.mark.parametrize(
    ("weeks", "expected"),
    [(0, "ani budi citra"), (0.99, "ani budi citra"), (1, "budi citra ani"), (2, "citra ani budi"),
     (3, "ani budi citra"), (-1, "citra ani budi")],
)  # fmt: skip
def test_each_week_another_person_is_first_and_the_others_stand_by(weeks: float, expected: str) -> None:
    assert on_duty(WEEKLY, HANDOVER + WEEK * weeks) == expected.split()


def test_a_handover_keeps_its_hour_where_the_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    rotation = Rotation(datetime(2027, 3, 22, 8, 0, tzinfo=berlin), ("ani", "budi"))
    summer = datetime(2027, 3, 29, 8, 0, tzinfo=berlin)

    assert rotation.order_at(summer - timedelta(seconds=1), berlin)[0] == "ani"
    assert rotation.order_at(summer, berlin)[0] == "budi"
    assert list(rotation.handovers(Period(summer - WEEK, summer + WEEK), berlin)) == [summer - WEEK, summer]


def test_an_override_comes_first_and_who_is_away_is_left_out() -> None:
    day = Period(HANDOVER, HANDOVER + timedelta(days=1))
    plan = DutyPlan(
        (ANI, BUDI, CITRA), WEEKLY.rotation, overrides=(Shift("citra", day),), absences=(Shift("ani", day),)
    )

    assert on_duty(plan, HANDOVER) == ["citra", "budi"]
    assert on_duty(plan, day.end) == ["ani", "budi", "citra"]


def test_without_a_rotation_everybody_is_on_duty_in_the_order_of_the_list_and_leads_are_not() -> None:
    lead = a_person("lead", is_lead=True)
    plan = DutyPlan((lead, BUDI, ANI), absences=(Shift("lead", Period(HANDOVER, HANDOVER + WEEK)),))

    assert on_duty(plan, HANDOVER) == ["budi", "ani"]
    assert plan.leads_at(HANDOVER) == ()
    assert plan.leads_at(HANDOVER + WEEK) == (lead,)


def test_a_gap_is_found_from_its_first_to_its_last_moment() -> None:
    first, second = (HANDOVER + timedelta(days=days) for days in (2, 3))
    plan = DutyPlan(
        (ANI, BUDI),
        absences=(
            Shift("ani", Period(first, second)), Shift("budi", Period(first, second)),
            Shift("ani", Period(second, second + timedelta(hours=5))),
            Shift("budi", Period(second, second + timedelta(hours=1))),
        ),
    )  # fmt: skip

    assert plan.find_gaps(Period(HANDOVER, HANDOVER + HORIZON), JAKARTA) == [Period(first, second + timedelta(hours=1))]


def test_somebody_without_a_verified_contact_method_leaves_a_gap() -> None:
    period = Period(HANDOVER, HANDOVER + HORIZON)

    assert DutyPlan((a_person("dewi", is_verified=False),)).find_gaps(period, JAKARTA) == [period]
    assert DutyPlan((ANI,)).find_gaps(period, JAKARTA) == []


CALENDAR = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//office//EN
BEGIN:VEVENT
UID:1
SUMMARY:ani
DTSTART:20261123T080000
DTEND:20261123T200000
RRULE:FREQ=DAILY
EXDATE:20261125T080000
END:VEVENT
BEGIN:VEVENT
UID:2
SUMMARY:budi
DTSTART:20261123T130000Z
DTEND:20261124T010000Z
RRULE:FREQ=DAILY
END:VEVENT
END:VCALENDAR
"""


def test_the_calendar_of_an_office_is_read_with_its_repetitions_and_exceptions(tmp_path: Path) -> None:
    path = tmp_path / "duty.ics"
    path.write_text(CALENDAR.replace("\n", "\r\n"))
    period = Period(HANDOVER, HANDOVER + timedelta(days=4))
    plan = DutyPlan((ANI, BUDI), shifts=read_shifts(path, period, JAKARTA))

    assert on_duty(plan, HANDOVER + timedelta(hours=1)) == ["ani"]
    assert on_duty(plan, HANDOVER + timedelta(hours=13)) == ["budi"]
    gap = HANDOVER + timedelta(days=2)
    assert plan.find_gaps(period, JAKARTA) == [Period(gap, gap + timedelta(hours=12))]


def test_a_written_calendar_is_read_again(tmp_path: Path) -> None:
    period = Period(HANDOVER, HANDOVER + 3 * WEEK)
    shifts = WEEKLY.list_shifts(period, JAKARTA)
    path = tmp_path / "duty.ics"
    path.write_bytes(write_calendar("ylpa", shifts, datetime(2026, 11, 20, tzinfo=UTC)))

    assert [shift.responder for shift in shifts] == ["ani", "budi", "citra"]
    assert read_shifts(path, period, JAKARTA) == tuple(shifts)
    assert b"somewhere" not in path.read_bytes()
