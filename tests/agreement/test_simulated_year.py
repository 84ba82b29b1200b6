"""What Kediri's agreement sends out in a simulated year, so that nobody is sent more without a decision."""

from collections.abc import Sequence
from statistics import mean, median

import pytest

from simpul_agreement.reports import invented_year
from simpul_agreement.simulate import CaseLoad, Year, simulate
from tests.support.agreements import CITY, kediri

REPORTS = 400
MESSAGES_PER_CASE = 10.5
"""9.8 for 1,000 reports on 2026-11-26, with one reminder for each agency and wave; 11.4 with one for each deadline."""
SHARE_AT_NIGHT = 0.1
"""0.085 on 2026-11-26; 0.13 while half of the office hours was half of the calendar time."""


@pytest.fixture(scope="module")
def year() -> Year:
    return simulate(kediri(), CITY, list(invented_year(CITY, 2027, REPORTS, 1)), 1)


def messages(cases: Sequence[CaseLoad]) -> list[int]:
    return [case.messages for case in cases]


def test_a_case_sends_no_more_messages_than_before(year: Year) -> None:
    assert mean(messages(year.cases)) <= MESSAGES_PER_CASE
    assert median(case.at_once for case in year.cases) <= 4


def test_few_messages_disturb_the_night(year: Year) -> None:
    assert sum(year.nights.values()) <= SHARE_AT_NIGHT * sum(messages(year.cases))


def test_every_agency_has_its_share_of_the_messages(year: Year) -> None:
    assert sum(load.messages for load in year.loads.values()) == sum(messages(year.cases))
