"""Groups entries of the history, which has one for each service, into lines of the timeline, one for each referral."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Final

from simpul_routing.domain.case_events import (
    CaseEvent,
    CaseEventKind,
    ChangedReferral,
    FoundFull,
    OfferedReferral,
    Replanned,
    TakenStep,
)
from simpul_routing.repository import StoredCaseEvent
from simpul_schema.vocabulary import DeclineReason, ReplanReason

_ABOUT_EXCLUSIONS: Final = frozenset({CaseEventKind.EXCLUSION_SUGGESTED, CaseEventKind.EXCLUSION_STEP_TAKEN})
_BECAUSE_OF_EXCLUSIONS: Final = frozenset({ReplanReason.AGENCY_EXCLUDED, ReplanReason.EXCLUSION_REJECTED})


def group_events(found: Sequence[StoredCaseEvent]) -> list[list[StoredCaseEvent]]:
    """Groups what happened to services of one referral at the same time, for the same cause and in the same way."""
    groups: dict[Hashable, list[StoredCaseEvent]] = {}
    for index, stored in enumerate(found):
        groups.setdefault(_way_of(stored) or index, []).append(stored)
    return list(groups.values())


def _way_of(stored: StoredCaseEvent) -> Hashable:
    """Returns what the entries of one line have in common; None for an entry that has a line of its own."""
    event = stored.event
    common = event.referral_id, stored.at, event.cause, event.actor, event.note
    match event.payload:
        case OfferedReferral():
            return (*common, "offered")
        case ChangedReferral() as change:
            return (*common, change.after, change.reason, change.next_agency, change.is_by_hand)
        case TakenStep(clock=clock, step=step):
            return (*common, clock, step)
        case _:
            return None


def leave_out_load(found: Sequence[StoredCaseEvent], may_know: Callable[[str], bool]) -> list[StoredCaseEvent]:
    """Returns the entries for somebody who may know the load of these agencies alone; the others are only full."""

    def is_hidden(event: CaseEvent) -> bool:
        return isinstance(event.payload, FoundFull) and not may_know(event.payload.agency)

    return [replace(one, event=_without_load(one.event)) if is_hidden(one.event) else one for one in found]


def leave_out_for_print(found: Sequence[StoredCaseEvent]) -> list[StoredCaseEvent]:
    """Returns the entries for a paper, which travels: without what people wrote, who is suspected, and any load."""
    return [replace(one, event=_shorten(one.event)) for one in found if not _is_about_exclusions(one.event)]


def _is_about_exclusions(event: CaseEvent) -> bool:
    because = event.payload.reason if isinstance(event.payload, Replanned) else None
    return event.kind in _ABOUT_EXCLUSIONS or because in _BECAUSE_OF_EXCLUSIONS


def _without_load(event: CaseEvent) -> CaseEvent:
    match event.payload:
        case FoundFull(agency=agency, service=service, chosen=chosen):
            return replace(event, payload=FoundFull(agency, service, chosen))
        case _:
            return event


def _shorten(event: CaseEvent) -> CaseEvent:
    event = _without_load(event)
    match event.payload:
        case ChangedReferral(decline_reason=DeclineReason.CONFLICT_OF_INTEREST) as change:
            event = replace(event, payload=replace(change, decline_reason=None))
        case ChangedReferral(replan_reason=reason) as change if reason in _BECAUSE_OF_EXCLUSIONS:
            event = replace(event, payload=replace(change, replan_reason=None))
    return replace(event, note="")
