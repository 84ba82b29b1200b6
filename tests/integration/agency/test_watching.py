"""The kit notices what is missing, asks for it, and can prove that nothing is."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from simpul_agency import Agency, watching
from simpul_agency.records import Standing
from tests.integration.agency.conftest import Town
from tests.support.ledger import eventually


async def standing(agency: Agency) -> Standing:
    [found] = await agency.store.settle()
    return found


async def asks(town: Town, count: int) -> list[dict[str, Any]]:
    async def has_asked() -> bool:
        return len(town.windows()) >= count

    await eventually(has_asked, 20)
    return town.windows()


async def test_an_account_whose_events_are_all_here_settles_and_asks_for_nothing(town: Town) -> None:
    agency, one, other = town.agency(ask_after=0.2), town.offer(), town.offer()
    await agency.start()
    await town.send(town.heartbeat(1, 2, {1: one, 2: other}), one, other)

    async def is_settled() -> bool:
        found = await agency.store.settle()
        return [(city.settled, city.hole) for city in found] == [(2, None)]

    await eventually(is_settled)
    await town.send(town.heartbeat(2, 2, {}))
    await town.hears(other, "delivered")
    assert town.windows() == []
    await agency.stop()


async def test_an_event_that_never_came_is_asked_for_by_its_number_until_it_comes(town: Town) -> None:
    agency = town.agency(ask_after=0.2)
    first, lost, last = town.offer(), town.offer(), town.offer()
    await agency.start()
    await town.send(first, last, town.heartbeat(1, 3, {1: first, 2: lost, 3: last}))

    assert await asks(town, 1) == [{"agency": "ylpa", "first_number": 2, "last_number": 2, "sealed": {}}]
    assert (await standing(agency)).hole == (2, 2)
    await town.send(lost, town.heartbeat(2, 3, {2: lost}))
    await town.hears(lost, "delivered")

    async def is_settled() -> bool:
        return (await standing(agency)).settled == 3

    await eventually(is_settled)
    await agency.stop()


async def test_a_lost_account_shows_in_the_next_one(town: Town) -> None:
    agency, lost, known = town.agency(ask_after=0.2), town.offer(), town.offer()
    await agency.start()
    await town.send(known, town.heartbeat(2, 4, {4: known}))

    assert [(w["first_number"], w["last_number"]) for w in await asks(town, 1)] == [(1, 3)]

    answer = town.heartbeat(3, 4, {1: lost, 2: town.offer(), 3: town.offer()})
    for event in answer["data"]["events"][1:]:
        event["is_withheld"] = True
    await town.send(lost, answer)

    async def is_settled() -> bool:
        return (await standing(agency)).settled == 4

    await eventually(is_settled)
    await agency.stop()


async def test_a_city_that_falls_silent_is_asked_and_is_silent_no_more_when_it_answers(town: Town) -> None:
    agency = town.agency(ask_after=0.2)
    await agency.start()
    await town.send(town.heartbeat(1, 0, {}, seconds=0.5))

    assert [window["first_number"] for window in await asks(town, 1)] == [1]
    found = await standing(agency)
    assert found.is_silent(found.next_due_at + 1)

    # An account that was overheard and comes again is no sign of life.
    await town.send(town.heartbeat(1, 0, {}, seconds=1000))
    await town.send(town.heartbeat(2, 0, {}, seconds=100))

    async def hears_again() -> bool:
        later = await standing(agency)
        return found.next_due_at < later.next_due_at < found.next_due_at + 500

    await eventually(hears_again)
    await agency.stop()


async def test_a_gap_in_a_referral_is_asked_for_by_time(town: Town) -> None:
    agency, offer = town.agency(ask_after=0.2), town.offer()
    later = town.cancel(offer) | {"sequence": "0000000003"}
    await agency.start()
    await town.send(offer, later)

    [window] = await asks(town, 1)
    since, until = (datetime.fromisoformat(window[end]) for end in ("since", "until"))
    assert since < datetime.fromisoformat(offer["time"])
    assert datetime.fromisoformat(later["time"]) < until < since + timedelta(minutes=5)
    await agency.stop()


async def test_the_same_question_waits_before_it_is_asked_again(town: Town) -> None:
    agency = town.agency(ask_after=0.1)
    await agency.start()
    await town.send(town.heartbeat(1, 1, {1: {"id": str(uuid4())}}))
    await asks(town, 1)
    offer = town.offer()
    await town.send(town.heartbeat(2, 1, {}), offer)
    await town.hears(offer, "delivered")

    again = town.agency(ask_after=0.1)
    await agency.stop()
    await again.start()
    # A new process has asked nothing yet.
    assert len(await asks(town, 2)) == 2
    await again.stop()


async def test_an_agency_with_nothing_to_say_shows_that_it_is_there(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ALIVE", 0.5)
    agency = town.agency(ask_after=0.1)
    await agency.start()
    await town.send(town.heartbeat(1, 0, {}))

    assert [window["first_number"] for window in (await asks(town, 2))[:2]] == [1, 1]
    await agency.stop()
