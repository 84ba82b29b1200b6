"""Mistakes in an agreement, each with its position and a remedy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from simpul_agreement.model import Where


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake that keeps an agreement from being proven."""

    where: Where
    problem: str
    remedy: str
    clauses: tuple[str, ...] = ()
    """The text of every clause involved."""
    report: str = ""
    """An example report that shows the mistake, as YAML that `explain` and `scenarios.yaml` accept unchanged."""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.problem}", *(f"    | {text}" for text in self.clauses)]
        if self.report:
            lines += ["    a report that shows it:", *(f"      {line}" for line in self.report.splitlines())]
        return "\n".join([*lines, f"    -> {self.remedy}"])


class AgreementInvalid(Exception):
    """The agreement cannot be read or proven; `findings` holds every mistake, found in one run."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


def suggest_nearest(value: str, choices: Iterable[str]) -> str:
    """Advice that names the closest choice, or all choices when none is close."""
    known = sorted(choices)
    close = get_close_matches(value, known, n=1, cutoff=0.5)
    return f"write {close[0]}" if close else f"choose one of {', '.join(known)}"
