"""Reads absences and shifts from a table, such as the monthly list of an office."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from simpul_city import City
from simpul_schema.translations import gettext_noop, load_translations

MAX_ROWS: Final = 200
COLUMNS: Final[Mapping[str, str]] = {
    "kind": gettext_noop("Kind"),
    "responder": gettext_noop("Name in the roster"),
    "starts_at": gettext_noop("From"),
    "ends_at": gettext_noop("Until"),
}
"""Column -> its name."""
_KINDS: Final[Mapping[str, str]] = {"absence": gettext_noop("away"), "shift": gettext_noop("on duty")}
_DELIMITERS: Final = (";", ",", "\t")
_ENCODINGS: Final = ("utf-8-sig", "cp1252")
"""What a spreadsheet writes."""
_MOMENT: Final = re.compile(r"(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})(?:[ T]+(\d{1,2})[.:](\d{2})(?::00)?)?", re.ASCII)
_MAX_DAY: Final = 31
_UNREADABLE: Final = gettext_noop("The file cannot be read as a table. Save it as CSV and try again.")
_EMPTY: Final = gettext_noop("The table has no row below its header.")
_TOO_LONG: Final = gettext_noop("The table has more than {count} rows. Divide it.")
_MISSING: Final = gettext_noop("The column {name} is missing.")
_NO_KIND: Final = gettext_noop("{column}: write {known}.")
_NO_PERSON: Final = gettext_noop("{column}: it is empty.")
_NO_MOMENT: Final = gettext_noop(
    "{column}: write a day such as 2026-12-01, or a day and a time such as 2026-12-01 08.00."
)


class TableUnreadable(Exception):
    """The file is not such a table; the argument is the sentence for the person, in their language."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An absence or a shift."""

    number: int
    """The row, as the spreadsheet counts it."""
    kind: str
    responder: str
    starts_at: datetime
    ends_at: datetime
    problem: str = ""
    """Why it cannot be entered, in the reader's language."""

    def as_json(self) -> dict[str, str]:
        """Returns the entry as notify takes it."""
        moments = {"starts_at": self.starts_at.isoformat(), "ends_at": self.ends_at.isoformat()}
        return {"kind": self.kind, "responder": self.responder, **moments}

    def with_problem(self, problem: str) -> "Entry":
        """Returns the entry with what notify refuses."""
        return replace(self, problem=problem)


def read_table(content: bytes, city: City, language: str) -> list[Entry]:
    """Reads the rows; times are those of the city, and a day without a time is the whole day.

    Columns are named in any language of the desk. Raises TableUnreadable.
    """
    _ = load_translations("simpul_desk")[language].gettext
    lines = list(_read_lines(content, language))
    header = [_find_column(cell) for cell in lines[0][1]] if lines else []
    for name, shown in COLUMNS.items():
        if lines and name not in header:
            raise TableUnreadable(_(_MISSING).format(name=_(shown)))
    if len(lines) < 2:
        raise TableUnreadable(_(_EMPTY))
    if len(lines) > MAX_ROWS + 1:
        raise TableUnreadable(_(_TOO_LONG).format(count=MAX_ROWS))
    return [_read_row(number, dict(zip(header, cells, strict=False)), city, language) for number, cells in lines[1:]]


def _read_lines(content: bytes, language: str) -> Iterator[tuple[int, list[str]]]:
    for encoding in _ENCODINGS:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        text = "\0"
    try:
        delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if "".join(cells).strip()]
    except csv.Error:
        lines = []
        text = "\0"
    if "\0" in text:
        raise TableUnreadable(load_translations("simpul_desk")[language].gettext(_UNREADABLE))
    yield from lines


def _find_column(cell: str) -> str:
    known = load_translations("simpul_desk")
    return next(
        (
            name
            for name, shown in COLUMNS.items()
            if cell.casefold() in {name, *(one.gettext(shown).casefold() for one in known.values())}
        ),
        "",
    )


def _find_kind(cell: str) -> str:
    known = load_translations("simpul_desk")
    return next(
        (
            kind
            for kind, shown in _KINDS.items()
            if cell.casefold() in {kind, *(one.gettext(shown).casefold() for one in known.values())}
        ),
        "",
    )


def _read_row(number: int, cells: Mapping[str, str], city: City, language: str) -> Entry:
    _ = load_translations("simpul_desk")[language].gettext
    kind, responder = _find_kind(cells.get("kind", "")), cells.get("responder", "")[:80]
    moments = {
        name: read_moment(cells.get(name, ""), city, is_end=name == "ends_at") for name in ("starts_at", "ends_at")
    }
    problems = [_(_NO_MOMENT).format(column=_(COLUMNS[name])) for name, moment in moments.items() if moment is None]
    if not responder:
        problems.insert(0, _(_NO_PERSON).format(column=_(COLUMNS["responder"])))
    if not kind:
        known = ", ".join(map(_, _KINDS.values()))
        problems.insert(0, _(_NO_KIND).format(column=_(COLUMNS["kind"]), known=known))
    never = datetime.min.replace(tzinfo=city.zone)
    return Entry(
        number, kind, responder, moments["starts_at"] or never, moments["ends_at"] or never, " ".join(problems)
    )


def read_moment(written: str, city: City, *, is_end: bool) -> datetime | None:
    """Reads a day with the year first or last, perhaps with a time; None for anything else.

    A day alone is meant as a whole: it ends with the midnight after it.
    """
    found = _MOMENT.fullmatch(written)
    if found is None:
        return None
    first, month, last = (int(part) for part in found.groups()[:3])
    year, day = (first, last) if first > _MAX_DAY else (last, first)
    try:
        read = date(year, month, day)
        if found[4] is None:
            return datetime.combine(read + timedelta(days=is_end), time(), city.zone)
        return datetime.combine(read, time(int(found[4]), int(found[5])), city.zone)
    except (ValueError, OverflowError):
        return None


def write_example(people: Sequence[str], language: str, now: datetime) -> str:
    """Returns an example with the people of the roster, for a spreadsheet in the reader's language."""
    _ = load_translations("simpul_desk")[language].gettext
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(map(_, COLUMNS.values()))
    first = now.date() + timedelta(days=7)
    for number, (person, kind) in enumerate(zip(people[:2], ("absence", "shift"), strict=False)):
        day = first + timedelta(days=number)
        writer.writerow((_(_KINDS[kind]), person, day.isoformat(), (day + timedelta(days=1)).isoformat()))
    # The mark leads a spreadsheet to read it as UTF-8.
    return "\ufeff" + text.getvalue()


def pack(rows: Sequence[Entry]) -> str:
    """Writes the rows that can be entered into a hidden field of the next form."""
    return json.dumps([[row.number, row.as_json()] for row in rows if not row.problem])


def unpack(text: str) -> list[Entry]:
    """Reads rows from a hidden field; a field that is not ours holds none."""
    try:
        return [_unpack_row(number, row) for number, row in json.loads(text)[:MAX_ROWS]]
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        return []


def _unpack_row(number: Any, row: Mapping[str, str]) -> Entry:
    start, end = (datetime.fromisoformat(row[name]) for name in ("starts_at", "ends_at"))
    if row["kind"] not in _KINDS or start.tzinfo is None or end.tzinfo is None:
        raise ValueError
    return Entry(int(number), row["kind"], str(row["responder"])[:80], start, end)
