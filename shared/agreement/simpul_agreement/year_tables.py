"""Shows a simulated year as tables and as CSV: by agency, by case and by night."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from statistics import mean, median
from typing import Final

from simpul_agreement.languages import format_count, format_decimal, translator
from simpul_agreement.simulate import Load, Year
from simpul_schema.vocabulary import Urgency

NIGHTS_OF_A_YEAR: Final = 365
MINUTES_OF_TWO_HOURS: Final = 120
"""From here on a time is written in hours."""


def describe_year(year: Year, language: str, width: int) -> Iterator[str]:
    """The lines of the tables; a table that is too wide is written as one block for each agency."""
    _ = translator(language)
    yield from _layout(_header(language), [_agency_row(code, load, language) for code, load in year.rows()], width)
    yield ""
    shares = ", ".join(f"{urgency.label(language).lower()} {year.urgency[urgency]}" for urgency in Urgency)
    count = format_count(year.reports, language)
    yield _("{count} invented reports: {urgencies}").format(count=count, urgencies=shares)
    yield _cases_line(year, language)
    yield _nights_line(year, language)


def _header(language: str) -> tuple[str, ...]:
    _ = translator(language)
    return (
        _("agency"),
        _("referrals"),
        _("services"),
        _("led"),
        _("messages"),
        _("at night"),
        _("median"),
        _("9 of 10"),
        _("in time"),
        "50 %",
        "100 %",
        "200 %",
    )


def _agency_row(code: str, load: Load, language: str) -> tuple[str, ...]:
    return (
        code,
        str(load.referrals),
        str(load.services),
        str(load.led),
        str(load.messages),
        str(load.night_messages),
        _time(load.median_minutes, language),
        _time(load.slow_minutes, language),
        f"{load.met_share:.0%}",
        str(load.reminded),
        str(load.escalated),
        str(load.twice_overdue),
    )


def _time(minutes: float, language: str) -> str:
    _ = translator(language)
    if minutes < MINUTES_OF_TWO_HOURS:
        return _("{count} min").format(count=f"{minutes:.0f}")
    return _("{count} h").format(count=f"{minutes / 60:.0f}")


def _layout(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    if sum(widths) + 2 * len(widths) > width:
        for name, *values in rows:
            yield name
            yield from (f"  {label}: {value}" for label, value in zip(header[1:], values, strict=True))
        return
    for row in (header, *rows):
        first, *others = (text.rjust(size) for text, size in zip(row, widths, strict=True))
        yield "  ".join([first.strip().ljust(widths[0]), *others])


def _cases_line(year: Year, language: str) -> str:
    _ = translator(language)
    at_once, messages = ([case.at_once for case in year.cases], [case.messages for case in year.cases])
    return _(
        "per case: {at_once} referrals at once in the median, at most {most_at_once}; {referrals} in all, with "
        "{services} services; {messages} messages in the median, at most {most_messages}"
    ).format(
        at_once=format_decimal(median(at_once), language),
        most_at_once=max(at_once),
        referrals=format_decimal(median(case.referrals for case in year.cases), language),
        services=format_decimal(median(case.services for case in year.cases), language),
        messages=format_decimal(median(messages), language),
        most_messages=max(messages),
    )


def _nights_line(year: Year, language: str) -> str:
    _ = translator(language)
    total = sum(case.messages for case in year.cases)
    at_night = sum(year.nights.values())
    return _(
        "per night, 22:00 to 07:00: {mean} messages on average, at most {most}; {share} of all {total} messages"
    ).format(
        mean=format_decimal(at_night / NIGHTS_OF_A_YEAR, language),
        most=max(year.nights.values(), default=0),
        share=f"{at_night / total:.0%}" if total else "-",
        total=format_count(total, language),
    )


def year_as_csv(year: Year) -> str:
    """The year as CSV with one figure in each line: subject, name, measure, value."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("subject", "name", "measure", "value"))
    for code, load in sorted(year.loads.items()):
        figures = {
            "referrals": load.referrals,
            "services": load.services,
            "led": load.led,
            "messages": load.messages,
            "night_messages": load.night_messages,
            "median_minutes": round(load.median_minutes),
            "slow_minutes": round(load.slow_minutes),
            "met_share": round(load.met_share, 3),
            "reminded": load.reminded,
            "escalated": load.escalated,
            "twice_overdue": load.twice_overdue,
        }
        writer.writerows(("agency", code, measure, value) for measure, value in figures.items())
    for measure in ("referrals", "at_once", "services", "messages"):
        values = [getattr(case, measure) for case in year.cases]
        figures = {"mean": round(mean(values), 2), "median": median(values), "largest": max(values)}
        writer.writerows(("case", name, measure, value) for name, value in figures.items())
    writer.writerows(("night", day.isoformat(), "messages", count) for day, count in sorted(year.nights.items()))
    writer.writerows(("urgency", urgency.value, "cases", count) for urgency, count in year.urgency.items())
    return out.getvalue()
