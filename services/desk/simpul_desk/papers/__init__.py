"""Printed papers: PDF in official form, each with a code by which anybody finds that it is genuine."""

from simpul_desk.papers.contents import (
    Figures,
    Letter,
    LetterDeadline,
    LetterService,
    Recap,
    write_figures,
    write_letter,
    write_recap,
)
from simpul_desk.papers.printing import PAPER, Printer
from simpul_desk.papers.register import PrintedPaper, find_paper, normalize_code
from simpul_desk.papers.typesetting import Paper, Section

__all__ = [
    "PAPER",
    "Figures",
    "Letter",
    "LetterDeadline",
    "LetterService",
    "Paper",
    "PrintedPaper",
    "Printer",
    "Recap",
    "Section",
    "find_paper",
    "normalize_code",
    "write_figures",
    "write_letter",
    "write_recap",
]
