"""The stages of a case as a table."""

from pathlib import Path

import pytest

from simpul_routing.domain.case_lifecycle import (
    CASE_TRANSITIONS,
    OPEN,
    CaseAction,
    CaseState,
    as_mermaid,
    state_after,
    states_before,
)


def test_the_diagram_of_the_readme_is_made_from_the_table() -> None:
    assert as_mermaid() in (Path(__file__).parents[3] / "README.md").read_text()


@pytest.mark.parametrize("deed", CaseAction)
def test_every_deed_leads_to_one_state_and_out_of_some(deed: CaseAction) -> None:
    reached = {after for (_, done), after in CASE_TRANSITIONS.items() if done is deed}

    assert reached == {state_after(deed)}
    assert states_before(deed)


def test_every_state_can_be_reached_and_every_open_case_can_end() -> None:
    assert set(CASE_TRANSITIONS.values()) | {CaseState.RECEIVED} == set(CaseState)
    for state in OPEN:
        assert {CaseAction.CLOSED, CaseAction.MERGED, CaseAction.VOIDED} <= {
            d for s, d in CASE_TRANSITIONS if s is state
        }


def test_what_was_merged_is_not_opened_again_beside_the_other_case() -> None:
    assert [deed for state, deed in CASE_TRANSITIONS if state is CaseState.MERGED] == []
