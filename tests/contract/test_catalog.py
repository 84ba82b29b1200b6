"""The catalogue names the services that have a handler for an event, and no others."""

import pytest

from simpul_schema.catalog import ANY_AGENCY, ANY_SERVICE, CATALOG, SERVICES, as_markdown
from tests.support.handlers import HANDLERS


@pytest.mark.parametrize("service", SERVICES)
def test_the_catalogue_names_exactly_the_services_that_handle_an_event(service: str) -> None:
    named = {row.wire_name for row in CATALOG if service in row.consumers}

    assert named == {message.WIRE_NAME for message in HANDLERS.get(service, {})}


def test_every_consumer_and_publisher_is_a_service_or_an_agency() -> None:
    parties = {*SERVICES, ANY_AGENCY, ANY_SERVICE}

    assert {party for row in CATALOG for party in (row.publisher, *row.consumers)} <= parties


def test_an_event_that_nothing_handles_says_so_in_the_table() -> None:
    assert "| `case.replanned.v1` | routing | simpul.events | none yet |" in as_markdown()
