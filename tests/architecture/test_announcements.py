"""For every event of the contract it is decided who must know it, and notify does what was decided."""

import pytest

from simpul_notify.domain.alerts import Occasion
from simpul_notify.domain.announcements import ANNOUNCEMENTS, Audience
from simpul_notify.texts import KINDS
from simpul_schema.catalog import CATALOG, row_of
from tests.support.handlers import HANDLERS

HANDLED = {message.WIRE_NAME for message in HANDLERS["notify"]}


def test_no_event_is_left_undecided() -> None:
    assert set(ANNOUNCEMENTS) == {row.wire_name for row in CATALOG}


@pytest.mark.parametrize("wire_name", ANNOUNCEMENTS)
def test_a_decision_names_either_a_text_or_a_reason(wire_name: str) -> None:
    announcement = ANNOUNCEMENTS[wire_name]
    is_alerted = announcement.audience is not Audience.NOBODY

    assert bool(announcement.reason) is not is_alerted
    assert (announcement.occasion is not None) is is_alerted
    if announcement.occasion is not None:
        assert announcement.occasion.name.lower() in KINDS
        assert wire_name in HANDLED
        assert "notify" in row_of(wire_name).consumers


def test_every_occasion_is_announced_by_some_event_or_by_a_missing_acknowledgement() -> None:
    announced = {announcement.occasion for announcement in ANNOUNCEMENTS.values()}

    assert set(Occasion) - announced == {Occasion.UNACKNOWLEDGED}
