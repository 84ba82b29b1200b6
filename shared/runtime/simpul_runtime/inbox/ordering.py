"""Orders the new events of a batch: no event is handled before its predecessor in the stream."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from simpul_runtime.inbox.verification import AcceptedEvent

Position: TypeAlias = tuple[tuple[str, str], int]
"""Stream and sequence of an event."""


def group_in_order(
    events: Sequence[AcceptedEvent], done: Iterable[Position]
) -> tuple[list[list[AcceptedEvent]], list[AcceptedEvent]]:
    """Divides events into groups to handle one after the other, and events whose predecessor is missing.

    Each group holds events of one type and at most one event of a stream. `done` has the predecessors that were handled
    earlier.
    """
    handled = set(done)
    groups: list[list[AcceptedEvent]] = []
    pending = sorted(events, key=lambda entry: entry.event.position)
    while pending:
        ready, rest, streams = [], [], set()
        for entry in pending:
            predecessor = (entry.stream, entry.event.position - 1)
            if entry.stream not in streams and (entry.event.position == 1 or predecessor in handled):
                ready.append(entry)
                streams.add(entry.stream)
            else:
                rest.append(entry)
        if not ready:
            return groups, rest
        handled |= {(entry.stream, entry.event.position) for entry in ready}
        groups += _group_by_type(ready)
        pending = rest
    return groups, []


def _group_by_type(entries: Iterable[AcceptedEvent]) -> list[list[AcceptedEvent]]:
    groups: dict[str, list[AcceptedEvent]] = {}
    for entry in entries:
        groups.setdefault(entry.event.type, []).append(entry)
    return list(groups.values())
