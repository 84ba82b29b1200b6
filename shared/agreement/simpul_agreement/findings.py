"""What is wrong with an agreement, where, and what would be right."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from simpul_agreement.model import Where


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that keeps an agreement from being proven."""

    where: Where
    problem: str
    remedy: str
    clauses: tuple[str, ...] = ()
    """The words of every clause involved."""
    report: str = ""
    """One example report that shows it, as YAML that `explain` and `scenarios.yaml` take as it stands."""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.problem}", *(f"    | {words}" for words in self.clauses)]
        if self.report:
            lines += ["    a report that shows it:", *(f"      {line}" for line in self.report.splitlines())]
        return "\n".join([*lines, f"    -> {self.remedy}"])


class AgreementInvalid(Exception):
    """The agreement cannot be read or proven; `findings` has every reason, found in one run."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


def nearest(word: str, choices: Iterable[str]) -> str:
    """What was probably meant."""
    known = sorted(choices)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"write {close[0]}" if close else f"choose one of {', '.join(known)}"
