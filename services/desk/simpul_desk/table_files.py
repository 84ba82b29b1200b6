"""Tables as files for a spreadsheet: CSV and XLSX, in which nothing that a person wrote becomes a formula."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Response
from xlsxwriter import Workbook

CSV: Final = "text/csv; charset=utf-8"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet begins a formula when it opens a CSV (OWASP, CSV injection)."""
_MAX_NAME: Final = 31
"""Letters of the name of a sheet."""
_WIDTHS: Final = (8, 40)
"""Letters of the narrowest and the widest column."""

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table; an empty cell is None."""

    name: str
    rows: Sequence[Sequence[Cell]]
    """The heading first."""


def neutralize(cell: Cell) -> Cell:
    """Returns a text as a spreadsheet shows it: one that would be a formula gets an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def write_csv(rows: Sequence[Sequence[Cell]]) -> bytes:
    """Writes a table; the mark at its beginning leads a spreadsheet to read it as UTF-8."""
    content = io.StringIO()
    csv.writer(content, lineterminator="\r\n").writerows([neutralize(cell) for cell in row] for row in rows)
    return b"\xef\xbb\xbf" + content.getvalue().encode()


def write_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """Writes a workbook; texts are stored as texts, whatever they begin with."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(content, options) as workbook:
        heading = workbook.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        for sheet in sheets:
            _write_sheet(workbook, sheet, heading)
    return content.getvalue()


def _write_sheet(workbook: Workbook, sheet: Sheet, heading: object) -> None:
    written = workbook.add_worksheet("".join(one for one in sheet.name if one not in "[]:*?/\\")[:_MAX_NAME])
    for number, row in enumerate(sheet.rows):
        for column, cell in enumerate(row):
            if isinstance(cell, str):
                written.write_string(number, column, cell, None if number else heading)
            elif cell is not None:
                written.write_number(number, column, cell)
    written.freeze_panes(1, 0)
    for column, cells in enumerate(zip(*sheet.rows, strict=False)):
        longest = max(len(str(cell)) for cell in cells if cell is not None) if any(cells) else 0
        written.set_column(column, column, min(max(longest + 1, _WIDTHS[0]), _WIDTHS[1]))


def as_file(content: bytes, media_type: str, name: str) -> Response:
    """Answers with a file to be saved."""
    return Response(content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})
