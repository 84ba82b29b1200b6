"""Mistakes in an agreement, each with its position and a remedy, in the reader's language."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from simpul_agreement.languages import Described, Message
from simpul_agreement.languages import Message as _
from simpul_agreement.model import Where
from simpul_schema.translations import SOURCE_LANGUAGE

MAX_OF_A_KIND: Final = 20
"""Findings of one kind that are shown; a longer list hides the other kinds."""
SHORTEST_BEGINNING: Final = 3
"""Characters from which on the beginning of a choice stands for it."""
_REPORT_HEADING: Final = _("a report that shows it:")


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake that keeps an agreement from being proven."""

    where: Where
    problem: Message
    remedy: Message
    clauses: tuple[Described, ...] = ()
    """The text of every clause involved."""
    report: str = ""
    """An example report that shows the mistake, as YAML that `explain` and `scenarios.yaml` accept unchanged."""

    def __str__(self) -> str:
        return self.in_language(SOURCE_LANGUAGE)

    def in_language(self, language: str) -> str:
        """The finding as lines of text."""
        lines = [f"{self.where}: {self.problem.in_language(language)}"]
        lines += [f"    | {clause.in_language(language)}" for clause in self.clauses]
        if self.report:
            lines += [
                f"    {_REPORT_HEADING.in_language(language)}",
                *(f"      {line}" for line in self.report.splitlines()),
            ]
        return "\n".join([*lines, f"    -> {self.remedy.in_language(language)}"])


def describe_findings(findings: Sequence[Finding], language: str) -> Iterator[str]:
    """The findings in order, at most MAX_OF_A_KIND of each kind, and how many more there are."""
    shown: Counter[str] = Counter()
    for finding in findings:
        shown[finding.problem.message] += 1
        if shown[finding.problem.message] <= MAX_OF_A_KIND:
            yield finding.in_language(language)
    for message, count in shown.items():
        if count > MAX_OF_A_KIND:
            example = next(finding.problem for finding in findings if finding.problem.message == message)
            more = _("... and {count} more of this kind: {example}", count=count - MAX_OF_A_KIND, example=example)
            yield more.in_language(language)


class AgreementInvalid(Exception):
    """The agreement cannot be read or proven; `findings` holds every mistake, found in one run."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


def suggest_nearest(value: str, choices: Iterable[str]) -> Message:
    """Advice that names the closest choice, or all choices when none is close."""
    known = sorted(choices)
    begun = [choice for choice in known if len(value) >= SHORTEST_BEGINNING and choice.startswith(value)]
    close = begun or get_close_matches(value, known, n=1)
    return _("write {choice}", choice=close[0]) if close else _("choose one of {choices}", choices=", ".join(known))
