"""Checks that the list of holidays reaches to the end of the agreement's validity."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from simpul_agreement.findings import Finding
from simpul_agreement.languages import Message as _
from simpul_agreement.loading import load
from simpul_agreement.model import Agreement, Where
from simpul_agreement.reading import AGREEMENT_FILE

MAX_SHIFT: Final = timedelta(days=31)
"""The ministers' decree may move or drop an expected holiday; a calendar that ends earlier than this is incomplete."""
_COUNTRY: Final = "ID"


def calendar_findings(agreement: Agreement, where: Where) -> Iterator[Finding]:
    """A validity that ends before it begins, and years of it for which the holidays are missing.

    The listed holidays always take precedence; the package `holidays` only says how many are to be expected.
    """
    first, last = agreement.active_from.date(), agreement.valid_until
    if last is None:
        return
    if last <= first:
        problem = _("the agreement is valid until {last}, before it begins", last=last)
        yield Finding(where, problem, _("write a day after {first}", first=first))
        return
    for year in range(first.year, last.year + 1):
        expected = _expected(max(first, date(year, 1, 1)), min(last, date(year, 12, 31)))
        listed = sorted(day for day in agreement.holidays if first <= day <= last and day.year == year)
        ends_early = expected and (not listed or listed[-1] < expected[-1] - MAX_SHIFT)
        if ends_early or len(listed) * 2 < len(expected):
            yield Finding(
                where,
                _(
                    "the calendar of {year} is incomplete: {listed} of about {expected} holidays",
                    year=year,
                    listed=len(listed),
                    expected=len(expected),
                ),
                _("add the holidays of the ministers' decree, such as {days}", days=", ".join(map(str, expected))),
            )


def calendar_position(folder: Path) -> Where:
    """Where the holidays are written."""
    written = load(folder / AGREEMENT_FILE, AGREEMENT_FILE, [], with_positions=True)
    return written.where("holidays") if written else Where(AGREEMENT_FILE)


def _expected(first: date, last: date) -> list[date]:
    """The national holidays that are expected in a period."""
    # Installed with the extra `prove` alone.
    from holidays import country_holidays  # noqa: PLC0415

    return sorted(
        day for day in country_holidays(_COUNTRY, years=range(first.year, last.year + 1)) if first <= day <= last
    )
