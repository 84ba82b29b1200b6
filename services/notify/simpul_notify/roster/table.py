"""The people of the roster as a table that an office fills in: CSV with one person in each row."""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from simpul_city import City
from simpul_notify.domain.safe_hours import SafeHours
from simpul_notify.errors import NumberInvalid
from simpul_notify.roster.numbers import normalize_mobile_number

COLUMNS: Final = ("party", "responder", "language", "sms", "mail", "unverified", "lead", "absences", "safe_hours")
REQUIRED: Final = COLUMNS[:5]
_BETWEEN_DAYS: Final = ".."
_BETWEEN_METHODS: Final = "/"
"""Separates several numbers or addresses of one person; the first is tried first."""
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_METHOD: Final = re.compile(r"(sms|mail)(/[2-9])?")
_YES: Final = frozenset({"yes", "ya", "true", "1", "x"})
_NO: Final = frozenset({"", "no", "tidak", "false", "0"})


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong in a cell; the message does not repeat numbers and addresses."""

    row: int
    """As a spreadsheet counts: the heading is row 1."""
    column: str
    problem: str

    def __str__(self) -> str:
        return f"row {self.row}, {self.column}: {self.problem}"


def read_table(
    text: str, country: str, city: City, levels: Collection[str]
) -> tuple[dict[str, list[dict[str, Any]]], list[RowError]]:
    """Reads people by party, as in `roster.yaml`, and everything that is wrong, row by row.

    Columns may be separated by commas or, as spreadsheets in Indonesia write them, by semicolons.
    """
    heading = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if heading.count(";") > heading.count(",") else ",")
    missing = [column for column in REQUIRED if column not in (rows.fieldnames or ())]
    if missing:
        return {}, [RowError(1, column, "the column is missing") for column in missing]
    parties = city.agency_codes | set(levels)
    people: dict[str, list[dict[str, Any]]] = {}
    errors: list[RowError] = []
    first_rows: dict[str, int] = {}
    for number, cells in enumerate(rows, 2):
        row = {column: (cells.get(column) or "").strip() for column in COLUMNS}
        if not any(row.values()):
            continue
        found = list(_find_errors(number, row, country, parties, first_rows))
        errors += found
        first_rows.setdefault(row["responder"], number)
        if not found:
            people.setdefault(row["party"], []).append(_entry_of(row))
    if not errors:
        errors = [RowError(1, "party", f"nobody is listed for {party}") for party in sorted(parties - people.keys())]
    return people, errors


def _find_errors(
    number: int, row: Mapping[str, str], country: str, parties: Collection[str], first_rows: Mapping[str, int]
) -> Iterator[RowError]:
    if row["party"] not in parties:
        yield RowError(number, "party", f"the city has no agency or level {row['party'] or '(empty)'}")
    if not row["responder"]:
        yield RowError(number, "responder", "write a reference, such as ylpa-1, and no name")
    elif row["responder"] in first_rows:
        yield RowError(number, "responder", f"row {first_rows[row['responder']]} has the same reference")
    if not _LANGUAGE.fullmatch(row["language"]):
        yield RowError(number, "language", "write id, jv or en")
    yield from _find_contact_errors(number, row, country)
    if row["lead"].lower() not in _YES | _NO:
        yield RowError(number, "lead", "write yes, or leave it empty")
    try:
        _absences(row["absences"])
    except ValueError:
        yield RowError(number, "absences", "write 2026-12-01..2026-12-05, several separated by spaces")


def _find_contact_errors(number: int, row: Mapping[str, str], country: str) -> Iterator[RowError]:
    for written in _several(row["sms"]):
        try:
            normalize_mobile_number(written, country)
        except NumberInvalid as problem:
            yield RowError(number, "sms", str(problem))
    if not all("@" in written for written in _several(row["mail"])):
        yield RowError(number, "mail", "write a mail address; several are separated by /")
    if not _exist(_split(row["unverified"]), row):
        yield RowError(
            number, "unverified", "write sms, mail, or sms/2 for a second number; leave it empty when all were tried"
        )
    try:
        if row["safe_hours"]:
            SafeHours.read(row["safe_hours"])
    except ValueError:
        yield RowError(number, "safe_hours", "write 06.00-21.00, or leave it empty")


def _entry_of(row: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {column: row[column] for column in REQUIRED if column != "party"}
    for column in ("sms", "mail"):
        if len(several := _several(row[column])) > 1:
            entry[column] = several
    if row["unverified"]:
        entry["unverified"] = _split(row["unverified"])
    if row["lead"].lower() in _YES:
        entry["lead"] = True
    if row["absences"]:
        entry["absences"] = _absences(row["absences"])
    if row["safe_hours"]:
        entry["safe_hours"] = row["safe_hours"]
    return entry


def _several(cell: str) -> list[str]:
    return [written.strip() for written in cell.split(_BETWEEN_METHODS)]


def _exist(methods: Sequence[str], row: Mapping[str, str]) -> bool:
    """Whether the row has as many numbers and addresses as its unverified contact methods say."""
    return all(
        _METHOD.fullmatch(method) and int(method.partition(_BETWEEN_METHODS)[2] or "1") <= len(_several(row[channel]))
        for method, channel in ((method, method.partition(_BETWEEN_METHODS)[0]) for method in methods)
    )


def _split(cell: str) -> list[str]:
    return cell.replace(";", " ").replace(",", " ").lower().split()


def _absences(cell: str) -> list[dict[str, str]]:
    absences = []
    for written in cell.replace(";", " ").replace(",", " ").split():
        first, _, last = written.partition(_BETWEEN_DAYS)
        start, end = date.fromisoformat(first), date.fromisoformat(last or first)
        if end < start:
            raise ValueError
        absences.append({"from": start.isoformat(), "until": end.isoformat()})
    return absences


def write_table(described: Mapping[str, Any]) -> str:
    """Writes the people of a `roster.yaml` as a table."""
    written = io.StringIO()
    table = csv.DictWriter(written, COLUMNS)
    table.writeheader()
    for party, entries in {**described["on_duty"], **described.get("levels", {})}.items():
        for entry in entries or ():
            absences = (f"{one['from']}{_BETWEEN_DAYS}{one['until']}" for one in entry.get("absences", ()))
            table.writerow(
                {column: _cell_of(entry.get(column, "")) for column in REQUIRED}
                | {"party": party, "unverified": " ".join(entry.get("unverified", ()))}
                | {"lead": "yes" if entry.get("lead") else "", "absences": " ".join(absences)}
                | {"safe_hours": entry.get("safe_hours", "")}
            )
    return written.getvalue()


def _cell_of(written: Any) -> str:
    return f" {_BETWEEN_METHODS} ".join(map(str, written)) if isinstance(written, list) else str(written)


def write_people(path: Path, target: Path, people: Mapping[str, list[dict[str, Any]]], levels: Collection[str]) -> None:
    """Writes the roster of `path` with the people of a table; everything else in it, comments too, stays."""
    yaml = YAML()
    yaml.width = 200
    described = yaml.load(path.read_text(encoding="utf-8"))
    described["on_duty"] = {party: entries for party, entries in people.items() if party not in levels}
    described["levels"] = {party: entries for party, entries in people.items() if party in levels}
    with target.open("w", encoding="utf-8") as file:
        yaml.dump(described, file)
