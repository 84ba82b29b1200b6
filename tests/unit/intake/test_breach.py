"""Whose data a breach reached, computed from the audit."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from simpul_intake.breach import BreachScope, RecordedAction, find_reachable_cases

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
END = START + timedelta(days=2)
CASE = UUID(int=7)
THIEF = "9d3c6a1e-0000-4000-8000-000000000001"


def recorded(action: str, detail: str, actor: str = THIEF, at: datetime = START, subject: str = "") -> RecordedAction:
    return RecordedAction(at, actor, action, subject or f"case/{CASE}", detail)


def reached(entry: RecordedAction, **scope: object) -> frozenset[str]:
    limits = BreachScope(START, END, **scope)  # type: ignore[arg-type]  # each test names one way in
    return dict(find_reachable_cases([entry], limits)).get(CASE, frozenset())


@pytest.mark.parametrize(
    ("entry", "sections"),
    [
        (recorded("api.read_case", "ylpa"), {"triage"}),
        (recorded("api.read_timeline", "ylpa"), {"triage"}),
        (recorded("vault.read", "breach:identity,narrative"), {"identity", "narrative"}),
        (recorded("api.read_case", "ylpa:refused"), set()),
        (recorded("api.list_cases", "ylpa", subject="x"), set()),
        (recorded("report.stored", "walk_in"), set()),
        (recorded("api.read_case", "ylpa", actor="somebody-else"), set()),
        (recorded("api.read_case", "ylpa", at=START - timedelta(seconds=1)), set()),
        (recorded("api.read_case", "ylpa", at=END - timedelta(seconds=1)), {"triage"}),
        (recorded("api.read_case", "ylpa", at=END), set()),
    ],
)
def test_what_an_account_read_in_the_period_was_reachable(entry: RecordedAction, sections: set[str]) -> None:
    assert reached(entry, accounts=frozenset({THIEF})) == sections


@pytest.mark.parametrize(
    ("entry", "is_reachable"),
    [
        (recorded("case.referral_offered", f"referral/{CASE},agency:ylpa,service:legal_aid", "routing"), True),
        (recorded("case.referral_offered", "agency:ylpa", "routing", START - timedelta(days=400)), True),
        (recorded("case.referral_offered", "agency:ylpa", "routing", END), False),
        (recorded("case.referral_offered", "agency:ylpa-lain", "routing"), False),
        (recorded("case.referral_offered", "agency:uptd-ppa", "routing"), False),
        (recorded("api.read_case", "ylpa", "anybody"), True),
        (recorded("api.read_case", "uptd-ppa", "anybody"), False),
        (recorded("api.read_case", "ylpa:refused", "anybody"), False),
    ],
)
def test_an_agency_reaches_what_it_was_offered_at_any_time_before_and_what_its_people_read(
    entry: RecordedAction, is_reachable: bool
) -> None:
    assert bool(reached(entry, agencies=frozenset({"ylpa"}))) is is_reachable


def test_sections_of_several_entries_are_joined() -> None:
    other = uuid4()
    entries = [
        recorded("api.read_case", "ylpa"),
        recorded("vault.read", "x:identity"),
        recorded("api.read_case", "ylpa", subject=f"case/{other}"),
    ]

    found = find_reachable_cases(entries, BreachScope(START, END, frozenset({THIEF})))

    assert found == {CASE: {"triage", "identity"}, other: {"triage"}}
