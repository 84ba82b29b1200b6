"""Every state of routing has a text at the desk, which imports nothing of routing."""

from simpul_desk.city_pages import texts as city
from simpul_desk.work_pages import texts as work
from simpul_routing.domain.case_lifecycle import CaseState
from simpul_routing.domain.lifecycle import ServiceState


def test_every_state_of_a_case_has_a_text() -> None:
    assert set(city.CASE_STATES) == {state.value for state in CaseState}


def test_every_state_of_a_service_has_a_text() -> None:
    states = {state.value for state in ServiceState}

    assert set(city.SERVICE_STATES) == states
    assert set(work.CASE_STATES) == states
