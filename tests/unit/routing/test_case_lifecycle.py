"""The stages of a case as a table."""

import pytest

from simpul_routing.domain.case_lifecycle import (
    CASE_TRANSITIONS,
    OPEN,
    CaseAction,
    CaseState,
    state_after,
    states_before,
)


@pytest.mark.parametrize("action", CaseAction)
def test_every_action_leads_from_some_states_to_one(action: CaseAction) -> None:
    reached = {after for (_, done), after in CASE_TRANSITIONS.items() if done is action}

    assert reached == {state_after(action)}
    assert states_before(action)


def test_every_state_can_be_reached_and_every_open_case_can_end() -> None:
    assert set(CASE_TRANSITIONS.values()) | {CaseState.RECEIVED} == set(CaseState)
    for state in OPEN:
        assert {CaseAction.CLOSED, CaseAction.MERGED, CaseAction.VOIDED} <= {
            d for s, d in CASE_TRANSITIONS if s is state
        }


def test_a_merged_case_cannot_be_reopened() -> None:
    assert [action for state, action in CASE_TRANSITIONS if state is CaseState.MERGED] == []
