"""The board is one page in the reader's language."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from simpul_desk.pages import MAX_LINES, render_board
from simpul_desk.repository import BoardCounts, BoardLine
from tests.support.agreements import CITY

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
LATE = BoardLine(
    UUID(int=1), UUID(int=2), "ylpa", "medical_care", "high", NOW - timedelta(hours=1), None, alerts_sent=2,
    alerts_failed=1, late_since=NOW - timedelta(hours=1), late_step=200,
)  # fmt: skip


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("id", ("1 terlambat", "terlambat sejak 27/11 21.00 WIB, dua kali batas", "2 terkirim", "1 gagal",
                "Perawatan medis", "Jawab sebelum")),
        ("en", ("1 late", "late since 27/11 21.00 WIB, escalated", "2 sent", "1 failed", "Medical care", "Answer by")),
    ],
)  # fmt: skip
def test_a_late_referral_is_shown_in_one_language(language: str, texts: tuple[str, ...]) -> None:
    page = render_board(language, [LATE], BoardCounts(late=1, unanswered=1), CITY, NOW)

    assert f'<html lang="{language}">' in page
    assert [text for text in texts if text not in page] == []
    assert ("terlambat" in page) == (language == "id")


def test_a_board_at_its_limit_says_so() -> None:
    page = render_board("en", [LATE] * MAX_LINES, BoardCounts(late=900, unanswered=0), CITY, NOW)

    assert "900 late" in page
    assert "Only the first 200 referrals are shown." in page


def test_an_empty_board_says_so() -> None:
    assert "Belum ada rujukan." in render_board("id", [], BoardCounts(late=0, unanswered=0), CITY, NOW)
