"""Every message passes the contact rules: addresses that are never used, safe hours, and limits."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from simpul_notify.domain.contact_rules import ContactRules, Hindrance, find_hindrance
from simpul_notify.domain.deliveries import Problem
from simpul_notify.domain.safe_hours import SafeHours
from simpul_notify.errors import NeverContactInvalid
from simpul_notify.never_contact import WatchedNeverContact, read_never_contact
from simpul_schema.vocabulary import Urgency

ZONE = ZoneInfo("Asia/Jakarta")
NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
"""22.00 in Kediri."""
NUMBER = "+6283400111006"


def hindrance(
    rules: ContactRules | None = None,
    *,
    address: str = NUMBER,
    urgency: Urgency = Urgency.HIGH,
    safe_hours: SafeHours | None = None,
    recent: tuple[datetime, ...] = (),
) -> Hindrance | None:
    rules = rules or ContactRules(ZONE)
    return find_hindrance(rules, address, urgency, safe_hours=safe_hours, recent=recent, now=NOW)


@pytest.mark.parametrize("line", ["0834 0011 1006", "62834-0011-1006", "+6283400111006 # an invented phone"])
def test_a_number_of_the_list_is_never_used_however_it_is_written(tmp_path: Path, line: str) -> None:
    path = tmp_path / "never-contact.txt"
    path.write_text(f"# never\n\n{line}\nKepala@Kota.example\n")

    rules = ContactRules(ZONE, read_never_contact(path))

    assert hindrance(rules) == Hindrance(Problem.NEVER_CONTACT, None)
    assert hindrance(rules, address="kepala@kota.example") == Hindrance(Problem.NEVER_CONTACT, None)
    assert hindrance(rules, address="+6283400111007") is None


def test_a_line_that_is_neither_number_nor_address_is_named_and_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "never-contact.txt"
    path.write_text("083400111006\nBapak Budi 0834\n")

    with pytest.raises(NeverContactInvalid, match=r"never-contact.txt:2: neither") as refused:
        read_never_contact(path)

    assert "Budi" not in str(refused.value)


def test_a_refused_change_keeps_the_last_list_and_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "never-contact.txt"
    listed = WatchedNeverContact(path)
    path.write_text("083400111006\n")
    listed.read_again()
    path.write_text("x\n")
    listed.read_again()

    assert listed.current == {"083400111006"}
    assert listed.find_warnings() == [f"{path}:1: neither a phone number nor a mail address"]
    path.unlink()
    listed.read_again()
    assert (listed.current, listed.find_warnings()) == (frozenset(), [])


@pytest.mark.parametrize(
    ("start", "end", "opens"),
    [
        (time(8), time(16), datetime(2026, 11, 28, 1, tzinfo=UTC)),
        (time(23), time(6), datetime(2026, 11, 27, 16, tzinfo=UTC)),
        (time(20), time(6), None),
        (time(8), time(23), None),
    ],
)
def test_outside_safe_hours_a_message_waits_for_their_start(start: time, end: time, opens: datetime | None) -> None:
    found = hindrance(safe_hours=SafeHours(start, end))

    assert (found and found.until) == opens


def test_what_exceeds_the_hour_waits_until_an_older_message_is_an_hour_old() -> None:
    rules = ContactRules(ZONE, per_hour=2, urgent_per_hour=3)
    minutes = tuple(NOW - timedelta(minutes=number) for number in (70, 50, 20))

    assert hindrance(rules, urgency=Urgency.LOW, recent=minutes[:2]) is None
    assert hindrance(rules, urgency=Urgency.LOW, recent=minutes) == Hindrance(
        Problem.TOO_MANY, NOW + timedelta(minutes=10)
    )
    assert hindrance(rules, recent=minutes) is None


@pytest.mark.parametrize("written", ["06.00-21.00", "06:00 - 21:00"])
def test_safe_hours_are_read(written: str) -> None:
    assert SafeHours.read(written) == SafeHours(time(6), time(21))


@pytest.mark.parametrize("written", ["siang", "6-21", "06.00", "25.00-26.00", ""])
def test_other_hours_are_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"not written|hour must"):
        SafeHours.read(written)
