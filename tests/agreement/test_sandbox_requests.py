"""The sandbox asks an agency only for what the agreement lets it do, as urgently as the agreement does."""

import pytest

from simpul_agency.sandbox.events import EventFactory, utc_now
from simpul_agency.sandbox.requests import MAX_URGENCY, PROVIDED, requests_to
from simpul_agency.sandbox.scenarios import SCENARIOS
from simpul_agreement.model import Phase, ServiceNeeded
from simpul_schema.vocabulary import Urgency
from simpul_seal import Directory
from tests.support.agreements import CITY, kediri

ORDER = list(Urgency)
NEEDS = [clause.effect for clause in kediri().clauses if isinstance(clause.effect, ServiceNeeded)]


@pytest.mark.parametrize("scenario", range(1, len(SCENARIOS) + 1))
def test_only_services_of_the_agency_are_requested(scenario: int) -> None:
    for code in CITY.agency_codes:
        provided = {service.value for service in kediri().of_kind[CITY.kinds[code]].services}
        requested = [one["service"] for one in requests_to(code, scenario)]

        assert set(requested) <= provided, code
        assert len(requested) == len(set(requested)) > 0


def test_every_kind_of_agency_is_known() -> None:
    assert all(any(code.startswith(known) for known in PROVIDED) for code in CITY.agency_codes)


def test_what_a_plan_brings_is_never_more_urgent_than_in_the_agreement() -> None:
    planned = [need for need in NEEDS if need.phase is Phase.PLANNED]
    highest = {need.service.value: need.max_urgency for need in planned}

    # A psychologist comes at once, and urgently, where there are signs of suicidal thoughts.
    assert {service: urgency.value for service, urgency in highest.items() if urgency} == MAX_URGENCY
    assert all(need.max_urgency is highest[need.service.value] for need in planned)


def test_what_is_less_urgent_has_more_time() -> None:
    factory = EventFactory("ylpa", Directory([]))
    times = [factory.create_service("legal_aid", urgency=urgency.value)["answer_by"] for urgency in ORDER]

    assert times == sorted(times)
    assert times[0] > utc_now().isoformat()
