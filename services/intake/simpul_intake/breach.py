"""Breaches of personal data: the clock of the law, and whose data were reachable according to the audit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

NOTICE_PERIOD: Final = timedelta(hours=3 * 24)
"""Time from finding a breach to the written notice (UU 27/2022 art. 46 (1))."""
WARN_BEFORE: Final = timedelta(hours=24)
"""Time before the deadline from which operators are warned."""
SECTIONS: Final = ("identity", "narrative", "triage")
_TRIAGE: Final = frozenset({"triage"})
_READS: Final = frozenset({"api.read_case", "api.read_timeline"})


@dataclass(frozen=True, slots=True)
class RecordedAction:
    """What the audit says of one action."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class BreachScope:
    """Through whom, and when, data could be reached."""

    since: datetime
    until: datetime
    accounts: frozenset[str] = frozenset()
    """Actors whose accounts were used or stolen."""
    agencies: frozenset[str] = frozenset()
    """Agencies whose system or people are concerned."""
    whole_vault: bool = False
    """Whether the vault was reachable together with its master key."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach whose clock runs."""

    breach_id: UUID
    found_at: datetime
    due_at: datetime
    opened_by: str
    scope: BreachScope
    cases: int
    notified: int
    """Cases whose notice was given."""


@dataclass(frozen=True, slots=True)
class AnnouncedBreach:
    """What the others learn of a breach."""

    breach_id: UUID
    found_at: datetime
    due_at: datetime
    is_due: bool
    """Whether a notice is still to be given."""


@dataclass(frozen=True, slots=True)
class BreachNotice:
    """The notice to the child of one case, and the only way in which it may be given."""

    case_id: UUID
    safe_contact: str
    """With the hours at which it is safe, in brackets; empty when none is known: then a person gives the notice in
    private."""
    text: str


def find_reachable_cases(entries: Iterable[RecordedAction], scope: BreachScope) -> Mapping[UUID, frozenset[str]]:
    """Finds the cases of which data were reachable, with the sections.

    What an account read counts in the period. What an agency was offered before counts too, because it still had it.
    """
    found: dict[UUID, frozenset[str]] = {}
    for entry in entries:
        sections = _find_reachable_sections(entry, scope)
        case_id = _case_of(entry.subject)
        if sections and case_id:
            found[case_id] = found.get(case_id, frozenset()) | sections
    return found


def _find_reachable_sections(entry: RecordedAction, scope: BreachScope) -> frozenset[str]:
    if entry.at >= scope.until:
        return frozenset()
    parts = entry.detail.split(",")
    if entry.action == "case.referral_offered":
        is_offered = any(f"agency:{agency}" in parts for agency in scope.agencies)
        return _TRIAGE if is_offered else frozenset()
    is_concerned = entry.actor in scope.accounts or entry.actor in scope.agencies or parts[0] in scope.agencies
    if entry.at < scope.since or not is_concerned:
        return frozenset()
    if entry.action == "vault.read":
        return frozenset(entry.detail.partition(":")[2].split(","))
    # A refused read has `<agency>:refused` as its detail, which names no agency.
    return _TRIAGE if entry.action in _READS and not entry.detail.endswith(":refused") else frozenset()


def _case_of(subject: str) -> UUID | None:
    kind, _, value = subject.partition("/")
    return UUID(value) if kind == "case" and value else None
