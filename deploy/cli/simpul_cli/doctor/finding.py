"""What the doctor finds: a fault with its cause and the command that mends it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from simpul_cli.languages import Message


class Severity(IntEnum):
    """How urgent a fault is; the value is the exit code, as monitoring plugins use it."""

    WARNING = 1
    """Nothing is lost yet; mend it in the next days."""
    CRITICAL = 2
    """Reports, referrals or alerts are stopped or in danger; mend it now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault."""

    code: str
    """Stable, for programs and runbooks."""
    severity: Severity
    cause: Message
    remedy: str
    """The command that mends it, or that shows what to do next."""


def warning(code: str, cause: Message, remedy: str) -> Finding:
    """Makes a finding that can wait for days."""
    return Finding(code, Severity.WARNING, cause, remedy)


def critical(code: str, cause: Message, remedy: str) -> Finding:
    """Makes a finding that cannot wait."""
    return Finding(code, Severity.CRITICAL, cause, remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """Returns 0 without findings, otherwise the highest severity."""
    return max((finding.severity.value for finding in findings), default=0)


def sort_findings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yields the critical findings first, in their order otherwise."""
    yield from sorted(findings, key=lambda finding: -finding.severity)
