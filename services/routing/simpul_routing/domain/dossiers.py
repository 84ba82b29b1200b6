"""Which releases of a dossier an agency must not receive again."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class DossierEvent:
    """A release or a withdrawal of sections, as intake sent it for one referral."""

    event_id: UUID
    subject: str
    """The dossier of one referral: releases and withdrawals share its sequence."""
    sequence: int
    sections: frozenset[str]
    is_withdrawal: bool


def find_withdrawn_releases(events: Iterable[DossierEvent]) -> set[UUID]:
    """Finds the releases of which every section was withdrawn later, by one event or by several together."""
    known = sorted(events, key=lambda event: event.sequence, reverse=True)
    later: dict[str, frozenset[str]] = {}
    withdrawn = set()
    for event in known:
        sections = later.get(event.subject, frozenset())
        if event.is_withdrawal:
            later[event.subject] = sections | event.sections
        elif event.sections <= sections:
            withdrawn.add(event.event_id)
    return withdrawn
