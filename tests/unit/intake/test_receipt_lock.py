"""Whoever guesses receipts is locked out, and nobody else."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from simpul_intake.errors import ReceiptLocked
from simpul_intake.receipt_lock import FREE_ATTEMPTS, MAX_ENTRIES, ReceiptLock

NOW = datetime(2026, 11, 26, tzinfo=UTC)
CASE, OTHER_CASE = uuid4(), uuid4()
GUESSER, REPORTER = "198.51.100.7", "203.0.113.9"


def guess(lock: ReceiptLock, times: int, address: str = GUESSER) -> None:
    for _ in range(times):
        lock.record_failure(CASE, address, NOW)


def test_a_client_that_guesses_is_locked_out_of_that_case_only() -> None:
    lock = ReceiptLock()

    guess(lock, FREE_ATTEMPTS - 1)
    lock.check(CASE, GUESSER, NOW)
    guess(lock, 1)

    with pytest.raises(ReceiptLocked):
        lock.check(CASE, GUESSER, NOW)
    lock.check(CASE, REPORTER, NOW)
    lock.check(OTHER_CASE, GUESSER, NOW)


def test_the_lock_grows_with_each_guess_up_to_a_day() -> None:
    lock = ReceiptLock()
    waits = []

    for _ in range(40):
        guess(lock, 1)
        try:
            lock.check(CASE, GUESSER, NOW)
        except ReceiptLocked as error:
            waits.append(error.wait)

    assert waits[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert waits[-1] == timedelta(hours=24)
    lock.check(CASE, GUESSER, NOW + timedelta(hours=24))


def test_the_right_receipt_clears_mistyped_ones() -> None:
    lock = ReceiptLock()
    guess(lock, FREE_ATTEMPTS - 1)

    lock.record_success(CASE, GUESSER)
    guess(lock, FREE_ATTEMPTS - 1)

    lock.check(CASE, GUESSER, NOW)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::2", True), ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:198.51.100.7", "198.51.100.7", True), ("unix", "unix", True),
    ],
)  # fmt: skip
def test_addresses_of_one_household_count_together(first: str, second: str, same: bool) -> None:
    lock = ReceiptLock()
    guess(lock, FREE_ATTEMPTS, first)

    if same:
        with pytest.raises(ReceiptLocked):
            lock.check(CASE, second, NOW)
    else:
        lock.check(CASE, second, NOW)


def test_a_flood_of_guesses_fills_no_memory() -> None:
    lock = ReceiptLock()

    for _ in range(MAX_ENTRIES + 50):
        lock.record_failure(uuid4(), GUESSER, NOW)

    assert len(lock._failures) == MAX_ENTRIES
