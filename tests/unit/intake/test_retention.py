"""What of a case has been kept long enough."""

from datetime import UTC, datetime

import pytest

from simpul_intake.erasure import is_reference
from simpul_intake.retention import add_years, find_expired
from simpul_intake.use_cases.execute_retention import retention_years
from tests.support.agreements import kediri

YEARS = {"identity": 5, "narrative": 5, "medical": 10, "school": 3, "logistics": 1}
ENDED = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sections", "years_later", "expired", "is_whole_case"),
    [
        ({"triage", "identity", "narrative"}, 4, set(), False),
        ({"triage", "identity", "narrative"}, 5, {"identity", "narrative"}, True),
        ({"triage", "identity", "school", "logistics"}, 3, {"school", "logistics"}, False),
        ({"triage", "identity", "medical"}, 6, {"identity"}, False),
        ({"triage", "medical"}, 10, {"medical"}, True),
        ({"triage", "legal"}, 90, set(), False),
        ({"triage"}, 9, set(), False),
        ({"triage"}, 10, set(), True),
    ],
)
def test_a_section_expires_after_its_years_and_the_facts_with_the_last(
    sections: set[str], years_later: int, expired: set[str], is_whole_case: bool
) -> None:
    found = find_expired(sections, YEARS, ENDED, add_years(ENDED, years_later))

    assert (set(found.sections), found.is_whole_case) == (expired, is_whole_case)


def test_nothing_expires_a_moment_early_or_without_periods() -> None:
    before = add_years(ENDED, 5).replace(minute=29)

    assert not find_expired({"triage", "identity"}, YEARS, ENDED, before).sections
    assert not find_expired({"triage"}, {}, ENDED, add_years(ENDED, 90)).is_whole_case


def test_a_case_that_ended_on_a_leap_day_is_kept_a_day_longer() -> None:
    assert add_years(datetime(2028, 2, 29, tzinfo=UTC), 5) == datetime(2033, 3, 1, tzinfo=UTC)
    assert add_years(datetime(2028, 2, 29, tzinfo=UTC), 4) == datetime(2032, 2, 29, tzinfo=UTC)


def test_periods_come_from_the_agreement() -> None:
    assert retention_years(kediri()) == {
        "identity": 5,
        "narrative": 5,
        "medical": 10,
        "legal": 10,
        "school": 3,
        "logistics": 1,
    }


@pytest.mark.parametrize(
    ("text", "accepted"),
    [("LP/B/12/XI/2026", True), ("12-2026", True), ("", False), ("Wenthilora Paksibumi", False), ("x" * 61, False)],
)
def test_a_reference_is_a_number_and_cannot_be_a_name_with_spaces(text: str, accepted: bool) -> None:
    assert is_reference(text) is accepted
