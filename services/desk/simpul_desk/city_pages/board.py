"""The city board: the cases that press most, with the ledger of their rights, in the order of their clocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from simpul_desk.repository import BoardLine
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import Right, RightState

RIGHT_NAMES: Final[Mapping[Right, str]] = {
    Right.PROMPT_RESPONSE: gettext_noop("Prompt"),
    Right.PHYSICAL_REHABILITATION: gettext_noop("Physical"),
    Right.PSYCHOLOGICAL_REHABILITATION: gettext_noop("Psychological"),
    Right.SOCIAL_REHABILITATION: gettext_noop("Social"),
    Right.SOCIAL_AID: gettext_noop("Aid"),
    Right.EDUCATION: gettext_noop("School"),
    Right.ACCOMPANIMENT: gettext_noop("Accompaniment"),
    Right.RESTITUTION: gettext_noop("Restitution"),
}
"""Short names of the rights, for a row of a table."""

RIGHT_MARKS: Final[Mapping[RightState, tuple[str, str]]] = {
    RightState.UNANSWERED: ("!", "unanswered"),
    RightState.OFFERED: ("…", "open"),
    RightState.REFUSED_BY_VICTIM: ("-", ""),
    RightState.PLANNED: ("…", "open"),
    RightState.REFERRED: ("→", "open"),
    RightState.IN_PROGRESS: ("→", "open"),
    RightState.FULFILLED: ("✓", "fulfilled"),
    RightState.NOT_APPLICABLE: ("-", ""),
}
"""Sign and style of the state of a right; the state itself is read by a screen reader."""


@dataclass(frozen=True, slots=True)
class BoardCase:
    """One case on the board."""

    case_id: UUID
    due_at: datetime
    """The earliest missed deadline, or the next answer that is due."""
    is_late: bool
    has_overlap: bool
    lines: tuple[BoardLine, ...]
    """Its open referrals."""
    shown: Mapping[str, Any] = field(default_factory=dict)
    """The case as routing shows it to the person."""


def group_by_case(lines: Sequence[BoardLine], limit: int) -> list[BoardCase]:
    """Groups referrals by case in their order: late ones first, then those that wait for an answer."""
    groups: dict[UUID, list[BoardLine]] = {}
    for line in lines:
        groups.setdefault(line.case_id, []).append(line)
    return [_build_case(case_id, found) for case_id, found in list(groups.items())[:limit]]


def _build_case(case_id: UUID, lines: Sequence[BoardLine]) -> BoardCase:
    late = [line.late_since for line in lines if line.late_since]
    waiting = [line.answer_by for line in lines if line.accepted_at is None]
    due = min(late or waiting or [line.answer_by for line in lines])
    has_overlap = any(line.has_overlap for line in lines)
    return BoardCase(case_id, due, is_late=bool(late), has_overlap=has_overlap, lines=tuple(lines))
