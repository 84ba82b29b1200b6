"""The status page says whether the city is up and whether the agency's queue is drained."""

from dataclasses import replace

import pytest

from simpul_agency.records import DeliveryStatus
from simpul_agency.status_page import AgencyStatus, render_status

NOW = 1_796_000_000.0
CITY = DeliveryStatus("/kediri/routing", 12, 12, NOW - 60, NOW - 61, NOW + 240, ())
WELL = AgencyStatus(
    is_connected=True, waiting=0, pending_events=0, unpublished_replies=0, parked_messages=0, cities=[CITY]
)
SILENT = replace(CITY, next_due_at=NOW - 1)
MISSING = replace(CITY, settled_number=9, missing_ranges=((10, 12),))


def test_a_drained_queue_of_a_city_that_delivers() -> None:
    page = render_status("ylpa", WELL, "en", NOW)

    assert "The city delivers." in page
    assert "Everything that the city has sent is received and handled." in page
    assert 'class="problem"' not in page


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (replace(WELL, is_connected=False, waiting=None), "There is no connection to the city."),
        (replace(WELL, cities=[SILENT]), "sign of life has not come"),
        (replace(WELL, cities=[]), "No sign of life has come yet."),
        (replace(WELL, waiting=3), "Something still waits or is missing."),
        (replace(WELL, pending_events=1), "Something still waits or is missing."),
        (replace(WELL, cities=[MISSING]), "10 - 12"),
    ],
)
def test_what_is_wrong_is_a_sentence(status: AgencyStatus, sentence: str) -> None:
    page = render_status("ylpa", status, "en", NOW)

    assert sentence in page.replace("&#39;", "'")
    assert 'class="problem"' in page


def test_a_reader_without_a_known_language_reads_indonesian() -> None:
    assert "Kota mengirim." in render_status("ylpa", WELL, "", NOW)
    assert '<html lang="id">' in render_status("ylpa", WELL, "fr", NOW)
