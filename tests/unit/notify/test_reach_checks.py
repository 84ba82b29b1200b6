"""The weekly test leaves at its local time, and its message fits into one SMS."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from simpul_notify.domain.links import ALPHABET, LINK_LANGUAGES, TOKEN_LENGTH
from simpul_notify.domain.notifications import EXAMPLE_URL, fits_one_sms
from simpul_notify.domain.reach_checks import WeeklyTime, check_text
from simpul_notify.settings import NotifySettings
from simpul_schema.vocabulary import AlertChannel

ZONE = ZoneInfo("Asia/Jakarta")
MONDAY = WeeklyTime.read("mon 09.00")


@pytest.mark.parametrize(
    ("now", "day"),
    [("2026-11-23 08:59", 16), ("2026-11-23 09:00", 23), ("2026-11-29 23:59", 23), ("2026-11-30 09:01", 30)],
)
def test_the_last_test_is_the_latest_weekly_time_that_has_passed(now: str, day: int) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=ZONE)

    assert MONDAY.last_before(moment, ZONE) == datetime(2026, 11, day, 9, 0, tzinfo=ZONE)


def test_a_weekly_time_is_read_from_the_settings_and_refused_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(written: str) -> WeeklyTime | None:
        return NotifySettings.model_validate(
            {
                "city_dir": "/city",
                "public_url": "https://x.example",
                "reach_check": written,
                "database_url": "postgresql://x",
                "amqp_url": "amqp://x",
                "key_file": "/k",
                "directory_file": "/d",
            }
        ).reach_check

    assert read("Fri 16:30") == WeeklyTime(4, time(16, 30))
    assert read(" ") is None
    with pytest.raises(ValidationError, match=r"not written as mon 09\.00"):
        read("monday")


@pytest.mark.parametrize("language", LINK_LANGUAGES)
def test_the_message_is_one_sms_in_every_language(language: str) -> None:
    token = ALPHABET[-1] * TOKEN_LENGTH

    text = check_text(AlertChannel.SMS, language, EXAMPLE_URL, token)

    assert fits_one_sms(text.body)
    assert token in text.body
    assert token in check_text(AlertChannel.MAIL, language, EXAMPLE_URL, token).body
