"""The state diagrams of docs/lifecycle.md show the tables of the code."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from simpul_routing.domain.case_lifecycle import CASE_TRANSITIONS, OPEN, CaseState
from simpul_routing.domain.lifecycle import TERMINAL, TRANSITIONS, ServiceState
from simpul_schema.vocabulary import Term

State = TypeVar("State", bound=Term)
Action = TypeVar("Action", bound=StrEnum)
DOCUMENT = (Path(__file__).parents[3] / "docs" / "lifecycle.md").read_text()


def draw_states(
    transitions: Mapping[tuple[State, Action], State],
    initial: State,
    terminal: Iterable[State],
    by_routing: Iterable[str] = (),
) -> str:
    """Draws a Mermaid diagram; `by_routing` are arrows that the table of transitions does not have."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, action), after in transitions.items():
        arrows.setdefault((before.value, after.value), []).append(action.value)
    lines = [
        "stateDiagram-v2",
        f"[*] --> {initial.value}",
        *(f"{before} --> {after}: {', '.join(actions)}" for (before, after), actions in arrows.items()),
        *by_routing,
        *(f"{state.value} --> [*]" for state in terminal),
    ]
    return "\n    ".join(lines) + "\n"


def test_diagram_of_a_service_shows_the_table() -> None:
    drawn = draw_states(
        TRANSITIONS,
        ServiceState.OFFERED,
        [state for state in ServiceState if state in TERMINAL],
        by_routing=(
            "declined --> rerouted: at once, by routing",
            "offered --> cancelled: with its case or by the case manager, from any state",
            "offered --> revoked: no longer needed after new facts, from any state",
            "offered --> entered_in_error: by the case manager, from any state",
        ),
    )

    assert drawn in DOCUMENT


def test_diagram_of_a_case_shows_the_table() -> None:
    ended = set(CaseState) - set(OPEN) - {CaseState.RECEIVED}

    drawn = draw_states(CASE_TRANSITIONS, CaseState.RECEIVED, [state for state in CaseState if state in ended])

    assert drawn in DOCUMENT
