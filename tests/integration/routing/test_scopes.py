"""A list shows an agency only the cases in which it is involved."""

from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from tests.integration.routing.conftest import Room

SCHOOL = repository.Scope("klinik-pendidikan")


async def test_an_agency_is_shown_only_referrals_of_cases_in_which_it_is_involved(room: Room) -> None:
    own = await room.report(violence=["physical"], place="school", in_school="yes")
    other = await room.report(violence=["neglect"], excluded_agencies=["klinik-pendidikan"])
    addressed = {case: {one["agency"] for one in room.find_offers(case_id=str(case))} for case in (own, other)}

    async with room.engine.connect() as connection:
        everything = await repository.list_open_referrals(connection, "uptd-ppa", FIRST_PAGE, 50, repository.Scope())
        shown = await repository.list_open_referrals(connection, "uptd-ppa", FIRST_PAGE, 50, SCHOOL)
        counted = await repository.count_open_referrals(connection, "uptd-ppa", SCHOOL)

    assert ["klinik-pendidikan" in addressed[case] for case in (own, other)] == [True, False]
    assert {referral.case_id for referral in everything} == {own, other}
    assert {referral.case_id for referral in shown} == {own}
    assert counted == len(shown)
