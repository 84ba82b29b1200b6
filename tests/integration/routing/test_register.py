"""The register of a month lists each case once, with its services, and none that was merged or never was."""

from datetime import timedelta

from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from tests.integration.routing.conftest import START, Room
from tests.support.actors import UPTD


async def test_the_register_has_the_cases_of_its_period_with_what_came_of_their_services(room: Room) -> None:
    served, error = [await room.report(violence=["neglect"], safe_now="yes") for _ in range(2)]
    aid = room.find_offer(served, "social_aid")
    await room.reply("accepted", aid)
    await room.reply("completed", aid, outcome="served")
    await room.end.void_case(error, await room.version(error), by=UPTD, reason="typed twice")
    period = START - timedelta(days=1), START + timedelta(days=1)

    async with room.engine.connect() as connection:
        [listed] = await repository.list_registered_cases(connection, *period, repository.Scope(), FIRST_PAGE, 10)
        without = repository.Scope(hidden=[served])
        hidden = await repository.list_registered_cases(connection, *period, without, FIRST_PAGE, 10)
        earlier = await repository.list_registered_cases(
            connection, period[0] - timedelta(days=30), period[0], repository.Scope(), FIRST_PAGE, 10
        )

    assert listed["case_id"] == served
    assert ("social_aid", "completed", "served") in {
        (one["service"], one["state"], one["outcome"]) for one in listed["services"]
    }
    assert (hidden, earlier) == ([], [])


async def test_a_register_of_many_cases_goes_to_its_end_page_by_page(room: Room) -> None:
    cases = [await room.report(violence=["neglect"]) for _ in range(5)]
    period = START - timedelta(days=1), START + timedelta(days=1)
    listed, position = [], FIRST_PAGE

    async with room.engine.connect() as connection:
        while page := await repository.list_registered_cases(connection, *period, repository.Scope(), position, 2):
            listed += [one["case_id"] for one in page]
            position = page[-1]["decided_at"], page[-1]["case_id"]

    assert listed == sorted(cases)
