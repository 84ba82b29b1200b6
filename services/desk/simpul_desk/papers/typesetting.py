"""Lays out a paper as a tagged PDF, which screen readers can read aloud."""

import asyncio
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Final

import segno

from simpul_schema.translations import gettext_noop, load_translations

_TEMPLATE: Final = files("simpul_desk") / "papers" / "paper.typ"
_PDF_STANDARD: Final = "ua-1"
_TEXTS: Final = {
    "number_label": gettext_noop("Number"),
    "code_label": gettext_noop("Code"),
    "page": gettext_noop("page"),
    "check": gettext_noop("Whether this paper is genuine is shown at the address below, under this code:"),
    "picture_text": gettext_noop("Square code with the address at which this paper can be checked"),
}

_BEYOND_LATIN: Final = frozenset(
    "\N{EN DASH}\N{EM DASH}\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}“”…•→\n"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a paper: a sentence, a table, or lines of label and text."""

    heading: str
    text: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Paper:
    """The contents of a paper, in the reader's language."""

    title: str
    number: str
    """By which people quote it, such as R-7K3Q2M."""
    issuer: str
    city: str
    opening: Sequence[str]
    sections: Sequence[Section]
    signature: Sequence[str] = ()
    """Place and day, who signs, and what stands below the line; empty for a paper that nobody signs."""


async def typeset(paper: Paper, *, code: str, address: str, language: str) -> bytes:
    """Returns the PDF; `address` is where the code can be checked."""
    translate = load_translations("simpul_desk")[language].gettext
    content = {
        **{name: _keep_printable(value) for name, value in asdict(paper).items()},
        **{name: translate(text) for name, text in _TEXTS.items()},
        "language": language,
        "code": code,
        "address": address.partition("?")[0],
        "picture": _draw(address),
    }
    return await asyncio.to_thread(_compile, json.dumps(content))


def _keep_printable(value: Any) -> Any:
    """Replaces the characters that the font lacks, such as emoji; a tagged PDF must not have any."""
    if isinstance(value, str):
        return "".join(
            one if one in _BEYOND_LATIN or (one.isprintable() and ord(one) < 0x250) else "?" for one in value
        )
    if isinstance(value, Mapping):
        return {name: _keep_printable(one) for name, one in value.items()}
    return [_keep_printable(one) for one in value]


def _draw(address: str) -> str:
    drawn = io.BytesIO()
    segno.make(address, error="m").save(drawn, kind="svg", border=2)
    return drawn.getvalue().decode()


def _compile(content: str) -> bytes:
    import typst  # noqa: PLC0415 - large, and most desks print few papers

    compiled = typst.compile(
        _TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs={"content": content},
        ignore_system_fonts=True,
        pdf_standards=[_PDF_STANDARD],
    )
    return bytes(compiled)
