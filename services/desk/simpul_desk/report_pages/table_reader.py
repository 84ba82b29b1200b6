"""Reads a table of reports, such as the one that a kelurahan keeps in a spreadsheet."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from simpul_city import City
from simpul_desk.report_pages.fields import FIELDS, Field, Kind, Values, usual_values
from simpul_runtime.database import utc_now
from simpul_runtime.signing import Keys
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import OUTSIDE_CITY
from simpul_seal import sign

MAX_ROWS: Final = 500
MAX_COLUMNS: Final = 60
_DOMAIN: Final = "simpul-report-row-v1"
_IDENTIFYING: Final = ("child_name", "nik")
_ENCODINGS: Final = ("utf-8-sig", "cp1252")
"""What a spreadsheet writes."""
_DELIMITERS: Final = (";", ",", "\t")
_BETWEEN: Final = ";,/+|"
"""Any of these may stand between several values of one cell."""
_DAY: Final = re.compile(r"(\d{1,4})[-/. ](\d{1,2})[-/. ](\d{1,4})", re.ASCII)
_MAX_DAY, _LAST_HOUR, _DIGITS = 31, 23, 4
_UNREADABLE: Final = gettext_noop("The file cannot be read as a table. Save it as CSV and try again.")
_EMPTY: Final = gettext_noop("The table has no row below its header.")
_TOO_LONG: Final = gettext_noop("The table has more than {count} rows. Divide it.")
_UNKNOWN_COLUMN: Final = gettext_noop("No column is named {name}. The example shows the names.")
_COLUMN_TWICE: Final = gettext_noop("Two columns are named {name}.")
_NO_VIOLENCE: Final = gettext_noop("The column {name} is missing.")
_UNKNOWN_VALUE: Final = gettext_noop("{label}: {value} is not known. Possible: {known}.")
_UNKNOWN_WARD: Final = gettext_noop("{label}: {value} is not a kelurahan of the city; outside it write {outside}.")
_OUTSIDE: Final = gettext_noop("Outside the city")
_REQUIRED: Final = gettext_noop("{label}: it is empty.")
_NO_NUMBER: Final = gettext_noop("{label}: {value} is not a whole number.")
_NO_DAY: Final = gettext_noop("{label}: {value} is not a day up to today, such as 2026-11-24.")
_NO_HOUR: Final = gettext_noop("{label}: {value} is not an hour from 0 to 23.")
_TOO_MANY_CELLS: Final = gettext_noop("The row has more cells than the header.")


class TableUnreadable(Exception):
    """The file is not a table of reports; the argument is the sentence for the person, in their language."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    number: int
    """As the spreadsheet counts it."""
    values: Values = field(repr=False)
    problems: tuple[str, ...] = field(default=(), repr=False)
    """Why it cannot be a report, in the reader's language; may repeat what was typed."""
    occurrence: int = 0
    """Number of equal rows above it, which are other children."""

    @property
    def names_child(self) -> bool:
        """Whether the row says who the child is."""
        return any(self.values.get(name) for name in _IDENTIFYING)

    def make_id(self, centre: str, keys: Keys, now: datetime) -> str:
        """Returns the id of its report, which only the desk can compute.

        The same row sent again is the same report. A row that does not say who the child is, is the same report only
        within a month: later it is about another child.
        """
        written = json.dumps({name: list(given) for name, given in sorted(self.values.items())})
        month = "" if self.names_child else f"{now:%Y-%m}"
        body = "\n".join((centre, str(self.occurrence), month, written)).encode()
        # Ed25519 signs the same bytes alike each time.
        signature = sign(body, keys.choose_ring(now), domain=_DOMAIN)
        return str(UUID(bytes=sha256(signature.encode()).digest()[:16], version=4))


def read_table(content: bytes, centre: str, city: City, language: str) -> list[Row]:
    """Reads a CSV of reports; raises TableUnreadable."""
    return _Reader(centre, city, language).read(content)


def write_example(language: str) -> str:
    """Returns an example with all columns and one invented row, for a spreadsheet in the reader's language."""
    _ = load_translations("simpul_desk")[language].gettext
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(_(one.label) for one in FIELDS.values())
    invented = {
        "violence": next(term for term in FIELDS["violence"].terms if term == "physical").label(language),
        "happened_on": "2026-11-24",
        "child_name": "Wenthilora Paksibumi",
        "age": "9",
        "kelurahan": "Bandar Lor",
    }
    writer.writerow(invented.get(name, "") for name in FIELDS)
    # The mark leads a spreadsheet to read it as UTF-8.
    return "\ufeff" + text.getvalue()


class _Reader:
    def __init__(self, centre: str, city: City, language: str) -> None:
        self._usual = usual_values(centre, city)
        self._today = utc_now().astimezone(city.zone).date()
        self._wards = {name.casefold(): ward.code for ward in city.kelurahan for name in (ward.code, ward.name)}
        self._agencies = {
            name.casefold(): agency.code for agency in city.agencies for name in (agency.code, agency.name)
        }
        translations = load_translations("simpul_desk")
        self._language = language
        self._translate = translations[language].gettext
        self._columns = {
            name.casefold(): one
            for one in FIELDS.values()
            for name in (one.name, *(translations[known].gettext(one.label) for known in translations))
        }

    def read(self, content: bytes) -> list[Row]:
        lines = list(self._read_lines(content))
        if not lines:
            raise TableUnreadable(self._translate(_EMPTY))
        header = self._read_header(lines[0][1])
        rows = [self._read_row(number, header, cells) for number, cells in lines[1:]]
        if not rows:
            raise TableUnreadable(self._translate(_EMPTY))
        seen: Counter[str] = Counter()
        counted = []
        for row in rows:
            written = json.dumps(row.values, sort_keys=True)
            counted.append(replace(row, occurrence=seen[written]))
            seen[written] += 1
        return counted

    def _read_lines(self, content: bytes) -> Iterator[tuple[int, list[str]]]:
        """Yields the lines that say something, each with its number."""
        text = self._decode(content)
        first = text.partition("\n")[0]
        delimiter = max(_DELIMITERS, key=first.count)
        count = 0
        try:
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                count += 1
                if count > MAX_ROWS + 1:
                    raise TableUnreadable(self._translate(_TOO_LONG).format(count=MAX_ROWS))
                yield reader.line_num, cells
        except csv.Error as error:
            raise TableUnreadable(self._translate(_UNREADABLE)) from error

    def _decode(self, content: bytes) -> str:
        for encoding in _ENCODINGS:
            try:
                text = content.decode(encoding)
            except UnicodeDecodeError:
                continue
            if "\0" not in text:
                return text
        raise TableUnreadable(self._translate(_UNREADABLE))

    def _read_header(self, cells: Sequence[str]) -> list[Field | None]:
        """Returns the field of each column; None for one without a name."""
        header: list[Field | None] = []
        if len(cells) > MAX_COLUMNS:
            raise TableUnreadable(self._translate(_UNREADABLE))
        for cell in cells:
            name = cell.strip()
            found = self._columns.get(name.casefold())
            if name and found is None:
                raise TableUnreadable(self._translate(_UNKNOWN_COLUMN).format(name=name[:60]))
            if found is not None and found in header:
                raise TableUnreadable(self._translate(_COLUMN_TWICE).format(name=name))
            header.append(found)
        if FIELDS["violence"] not in header:
            name = self._translate(FIELDS["violence"].label)
            raise TableUnreadable(self._translate(_NO_VIOLENCE).format(name=name))
        return header

    def _read_row(self, number: int, header: Sequence[Field | None], cells: Sequence[str]) -> Row:
        values: dict[str, Sequence[str]] = dict(self._usual)
        problems: list[str] = []
        if any(cell.strip() for cell in cells[len(header) :]):
            problems.append(self._translate(_TOO_MANY_CELLS))
        for one, cell in zip(header, cells, strict=False):
            if one is not None and cell.strip():
                values[one.name] = self._read_cell(one, cell.strip(), problems)
        # A kind that is not known is a problem already.
        if not values.get("violence") and not problems:
            label = self._translate(FIELDS["violence"].label)
            problems.append(self._translate(_REQUIRED).format(label=label))
        return Row(number, values, tuple(problems))

    def _read_cell(self, one: Field, cell: str, problems: list[str]) -> list[str]:
        match one.kind:
            case Kind.CHOICE | Kind.MANY:
                return self._read_terms(one, [cell] if one.kind is Kind.CHOICE else _divide(cell), problems)
            case Kind.AGENCIES:
                codes = sorted(set(self._agencies.values()))
                return self._read_names(one, _divide(cell), self._agencies, problems, codes)
            case Kind.WARD:
                return self._read_ward(one, cell, problems)
            case Kind.NUMBER | Kind.DAY | Kind.HOUR:
                return self._read_checked(one, cell, problems)
        return [cell]

    def _read_checked(self, one: Field, cell: str, problems: list[str]) -> list[str]:
        """Reads a number, day or hour."""
        match one.kind:
            case Kind.DAY:
                read, text = _read_day(cell, self._today), _NO_DAY
            case Kind.HOUR:
                read, text = f"{int(cell):02}" if _is_number(cell) and int(cell) <= _LAST_HOUR else "", _NO_HOUR
            case _:
                read, text = cell if _is_number(cell) else "", _NO_NUMBER
        if not read:
            problems.append(self._translate(text).format(label=self._translate(one.label), value=cell[:40]))
        return [read]

    def _read_ward(self, one: Field, cell: str, problems: list[str]) -> list[str]:
        outside = self._translate(_OUTSIDE)
        if cell.casefold() in (OUTSIDE_CITY, outside.casefold()):
            return [OUTSIDE_CITY]
        code = self._wards.get(cell.casefold(), "")
        if not code:
            text = self._translate(_UNKNOWN_WARD)
            problems.append(text.format(label=self._translate(one.label), value=cell[:40], outside=outside))
        return [code]

    def _read_terms(self, one: Field, written: Sequence[str], problems: list[str]) -> list[str]:
        known = {name.casefold(): term.value for term in one.terms for name in (term, *map(term.label, ("id", "en")))}
        shown = [term.label(self._language) for term in one.terms]
        return self._read_names(one, written, known, problems, shown)

    def _read_names(
        self,
        one: Field,
        written: Sequence[str],
        known: Mapping[str, str],
        problems: list[str],
        shown: Sequence[str],
    ) -> list[str]:
        found = []
        for name in written:
            code = known.get(name.casefold())
            if code is None:
                text, label = self._translate(_UNKNOWN_VALUE), self._translate(one.label)
                problems.append(text.format(label=label, value=name[:40], known=", ".join(shown)))
            else:
                found.append(code)
        return found


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdigit() and len(cell) <= _DIGITS


def _read_day(cell: str, today: date) -> str:
    """Reads a day with the year first or last; empty for one that does not exist, or that has not come yet."""
    found = _DAY.fullmatch(cell)
    if found is None:
        return ""
    first, month, last = (int(part) for part in found.groups())
    year, day = (first, last) if first > _MAX_DAY else (last, first)
    try:
        read = date(year, month, day)
    except ValueError:
        return ""
    return read.isoformat() if read <= today else ""


def _divide(cell: str) -> list[str]:
    for mark in _BETWEEN:
        cell = cell.replace(mark, "\n")
    return [part.strip() for part in cell.split("\n") if part.strip()]
