"""The kit notices what is missing and requests it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from simpul_agency import Agency, gap_monitor
from simpul_agency.records import DeliveryStatus
from tests.integration.agency.conftest import Town
from tests.support.ledger import eventually


async def read_status(agency: Agency) -> DeliveryStatus:
    [found] = await agency.store.compare_manifests()
    return found


async def wait_for_requests(town: Town, count: int) -> list[dict[str, Any]]:
    async def are_received() -> bool:
        return len(town.resend_requests()) >= count

    await eventually(are_received)
    return town.resend_requests()


async def test_a_complete_manifest_settles_and_requests_nothing(town: Town) -> None:
    agency, one, other = town.agency(gap_timeout=0.2), town.offer(), town.offer()
    await agency.start()
    await town.send(town.manifest(1, 2, {1: one, 2: other}), one, other)

    async def is_settled() -> bool:
        found = await agency.store.compare_manifests()
        return [(city.settled_number, city.first_missing) for city in found] == [(2, None)]

    await eventually(is_settled)
    await town.send(town.manifest(2, 2, {}))
    await town.expect_replies(other, "delivered")
    assert town.resend_requests() == []
    await agency.stop()


async def test_a_missing_event_is_requested_by_its_number_until_it_comes(town: Town) -> None:
    agency = town.agency(gap_timeout=0.2)
    first, lost, last = town.offer(), town.offer(), town.offer()
    await agency.start()
    await town.send(first, last, town.manifest(1, 3, {1: first, 2: lost, 3: last}))

    assert await wait_for_requests(town, 1) == [
        {"agency": "ylpa", "first_manifest_number": 2, "last_manifest_number": 2, "sealed": {}}
    ]
    assert (await read_status(agency)).first_missing == (2, 2)
    await town.send(lost, town.manifest(2, 3, {2: lost}))
    await town.expect_replies(lost, "delivered")

    async def is_settled() -> bool:
        return (await read_status(agency)).settled_number == 3

    await eventually(is_settled)
    await agency.stop()


async def test_a_lost_manifest_shows_in_the_next_one(town: Town) -> None:
    agency, lost, known = town.agency(gap_timeout=0.2), town.offer(), town.offer()
    await agency.start()
    await town.send(known, town.manifest(2, 4, {4: known}))

    assert [(w["first_manifest_number"], w["last_manifest_number"]) for w in await wait_for_requests(town, 1)] == [
        (1, 3)
    ]

    answer = town.manifest(3, 4, {1: lost, 2: town.offer(), 3: town.offer()})
    for event in answer["data"]["events"][1:]:
        event["is_withheld"] = True
    await town.send(lost, answer)

    async def is_settled() -> bool:
        return (await read_status(agency)).settled_number == 4

    await eventually(is_settled)
    await agency.stop()


async def test_a_silent_city_is_requested_until_it_sends_a_new_manifest(town: Town) -> None:
    agency = town.agency(gap_timeout=0.2)
    await agency.start()
    await town.send(town.manifest(1, 0, {}, seconds=0.5))

    assert [request["first_manifest_number"] for request in await wait_for_requests(town, 1)] == [1]
    found = await read_status(agency)
    assert found.is_silent(found.next_due_at + 1)

    # An old manifest that comes again does not end the silence.
    await town.send(town.manifest(1, 0, {}, seconds=1000))
    await town.send(town.manifest(2, 0, {}, seconds=100))

    async def hears_again() -> bool:
        later = await read_status(agency)
        return found.next_due_at < later.next_due_at < found.next_due_at + 500

    await eventually(hears_again)
    await agency.stop()


async def test_a_gap_in_a_referral_is_requested_by_time(town: Town) -> None:
    agency, offer = town.agency(gap_timeout=0.2), town.offer()
    later = town.cancel(offer) | {"sequence": "0000000003"}
    await agency.start()
    await town.send(offer, later)

    [request] = await wait_for_requests(town, 1)
    since, until = (datetime.fromisoformat(request[end]) for end in ("since", "until"))
    assert since < datetime.fromisoformat(offer["time"])
    assert datetime.fromisoformat(later["time"]) < until < since + timedelta(minutes=5)
    await agency.stop()


async def test_the_same_range_is_requested_again_after_a_delay(town: Town) -> None:
    agency = town.agency(gap_timeout=0.1)
    await agency.start()
    await town.send(town.manifest(1, 1, {1: {"id": str(uuid4())}}))
    await wait_for_requests(town, 1)
    offer = town.offer()
    await town.send(town.manifest(2, 1, {}), offer)
    await town.expect_replies(offer, "delivered")

    again = town.agency(gap_timeout=0.1)
    await agency.stop()
    await again.start()
    # A new process has requested nothing yet.
    assert len(await wait_for_requests(town, 2)) == 2
    await again.stop()


async def test_an_agency_without_gaps_sends_keepalive_requests(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap_monitor, "KEEPALIVE_INTERVAL", 0.5)
    agency = town.agency(gap_timeout=0.1)
    await agency.start()
    await town.send(town.manifest(1, 0, {}))

    assert [request["first_manifest_number"] for request in (await wait_for_requests(town, 2))[:2]] == [1, 1]
    await agency.stop()
