"""What leads enter at the desk is merged over the roster of the city's folder; what leaves nobody is refused."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from simpul_notify.domain.duty import DutyPlan, Period, Shift
from simpul_notify.domain.numbers import mask_address
from simpul_notify.domain.roster_changes import (
    MAX_CHANGES,
    ChangeKind,
    ChangeProblem,
    RefusedChange,
    RosterChange,
    judge_changes,
    judge_removal,
    merge_duty,
)
from simpul_notify.roster import WatchedRoster
from tests.unit.notify.test_duty import ANI, BUDI, CITRA, HANDOVER, JAKARTA, WEEKLY, a_person, on_duty
from tests.unit.notify.test_roster import CITY, KEDIRI, LEVELS

DAY = timedelta(days=1)


def a_change(kind: str, responder: str, first_day: float = 0, last_day: float = 1) -> RosterChange:
    period = Period(HANDOVER + DAY * first_day, HANDOVER + DAY * last_day)
    return RosterChange(uuid4(), "ylpa", ChangeKind(kind), Shift(responder, period))


def judge(
    duty: DutyPlan, *added: RosterChange, present: Sequence[RosterChange] = (), now: datetime = HANDOVER - DAY
) -> list[RefusedChange]:
    return judge_changes(duty, present, added, now, JAKARTA)


def test_an_absence_and_who_takes_over_count_at_once() -> None:
    changes = [a_change("absence", "ani"), a_change("shift", "citra")]

    merged = merge_duty(WEEKLY, changes)

    assert judge(WEEKLY, *changes) == []
    assert on_duty(merged, HANDOVER) == ["citra", "budi"]
    assert on_duty(merged, HANDOVER + DAY) == ["ani", "budi", "citra"]


def test_the_shift_that_was_entered_last_comes_first_and_a_stranger_changes_nothing() -> None:
    changes = [a_change("shift", "budi"), a_change("shift", "citra"), a_change("absence", "who left the roster")]

    assert on_duty(merge_duty(WEEKLY, changes), HANDOVER) == ["citra", "budi", "ani"]


def test_an_absence_that_leaves_nobody_who_can_be_reached_is_refused_with_the_gap() -> None:
    duty = DutyPlan((ANI, a_person("dewi", is_verified=False), a_person("lead", is_lead=True)))
    absence = a_change("absence", "ani", 1, 3)

    assert judge(duty, absence) == [
        RefusedChange(0, ChangeProblem.LEAVES_GAP, Period(HANDOVER + DAY, HANDOVER + DAY * 3))
    ]
    # What is over already needs nobody.
    [refused] = judge(duty, absence, now=HANDOVER + DAY * 2)
    assert refused.gap == Period(HANDOVER + DAY * 2, HANDOVER + DAY * 3)


def test_of_two_absences_that_together_leave_nobody_the_second_is_refused() -> None:
    duty = DutyPlan((ANI, BUDI))
    first, second = a_change("absence", "ani"), a_change("absence", "budi", 0.5, 2)

    assert [(one.position, one.problem) for one in judge(duty, first, second)] == [(1, ChangeProblem.LEAVES_GAP)]
    assert [one.position for one in judge(duty, second, present=[first])] == [0]


def test_a_gap_that_was_there_before_refuses_nothing() -> None:
    duty = DutyPlan((ANI, BUDI), shifts=())

    assert judge(duty, a_change("absence", "ani")) == []


def test_a_shift_that_fills_a_gap_must_stay() -> None:
    duty = DutyPlan((ANI, BUDI), shifts=())
    shift = a_change("shift", "budi")

    refused = judge_removal(duty, [shift], shift, HANDOVER, JAKARTA)

    assert refused == RefusedChange(0, ChangeProblem.LEAVES_GAP, shift.shift.period)
    assert judge_removal(WEEKLY, [shift], shift, HANDOVER, JAKARTA) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (a_change("absence", "ani", 1, 1), ChangeProblem.PERIOD_REVERSED),
        (a_change("absence", "ani", 0, 400), ChangeProblem.TOO_LONG),
        (a_change("absence", "ani", -3, -2), ChangeProblem.OVER),
        (a_change("absence", "eko"), ChangeProblem.UNKNOWN_RESPONDER),
        (a_change("shift", "dewi"), ChangeProblem.UNREACHABLE),
        (a_change("shift", "lead"), ChangeProblem.IS_LEAD),
    ],
)
def test_an_entry_that_cannot_be_is_refused_with_its_reason(change: RosterChange, problem: ChangeProblem) -> None:
    people = (ANI, BUDI, CITRA, a_person("dewi", is_verified=False), a_person("lead", is_lead=True))

    assert judge(DutyPlan(people), change) == [RefusedChange(0, problem)]


def test_nobody_takes_a_shift_while_absent() -> None:
    shift, absence = a_change("shift", "budi", 0, 2), a_change("absence", "budi", 1, 4)

    assert [(one.position, one.problem) for one in judge(WEEKLY, shift, absence)] == [(0, ChangeProblem.AWAY)]


def test_a_roster_has_a_limit() -> None:
    present = [a_change("shift", "ani") for _ in range(MAX_CHANGES)]

    assert [one.problem for one in judge(WEEKLY, a_change("shift", "budi"), present=present)] == [
        ChangeProblem.TOO_MANY
    ]


@pytest.mark.parametrize(("address", "shown"), [("+6283400111003", "…003"), ("piket@ylpa.example", "p…@ylpa.example")])
def test_a_masked_address_is_recognised_and_of_no_use(address: str, shown: str) -> None:
    assert mask_address(address) == shown


def test_the_roster_in_use_has_what_was_entered_and_warns_of_a_gap_that_it_leaves(tmp_path: Path) -> None:
    now = datetime(2026, 11, 27, 9, tzinfo=JAKARTA)
    watched = WatchedRoster(KEDIRI / "roster.yaml", CITY, LEVELS, lambda: now)
    absence = RosterChange(
        UUID(int=1), "ylpa", ChangeKind.ABSENCE, Shift("ylpa-1", Period(now, now + timedelta(days=2)))
    )

    watched.use_changes([absence])

    assert not watched.current.on_duty["ylpa"]
    assert watched.current.away == {"ylpa-1"}
    assert watched.find_warnings() == ["roster: ylpa: nobody on duty from 27/11 09.00 WIB until 29/11 09.00 WIB"]
    watched.use_changes([])
    assert [person.reference for person in watched.current.on_duty["ylpa"]] == ["ylpa-1"]
    assert watched.find_warnings() == []
