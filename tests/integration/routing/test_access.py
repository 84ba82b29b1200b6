"""People of an excluded agency read and change nothing of a case, whatever their role, and no list reveals it."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from simpul_routing.domain.actors import Actor
from simpul_routing.domain.service_plan import PlanChanges
from simpul_routing.errors import CaseUnknown
from simpul_schema.references import read_code, referral_code
from simpul_schema.vocabulary import ActorRole, Right, Urgency
from tests.integration.routing.conftest import Room
from tests.support.actors import BOARD, UPTD, acting


async def listed(room: Room, by: Actor) -> tuple[set[UUID], int]:
    """Returns the cases that a person's list shows, and its total."""
    async with room.engine.connect() as connection:
        scope = await room.see.find_scope(connection, by)
        rows = await repository.list_cases(connection, FIRST_PAGE, 50, scope, is_open=None, urgency=None)
        return {row["case_id"] for row in rows}, await repository.count_cases(
            connection, scope, is_open=None, urgency=None
        )


async def read(room: Room, case: UUID, by: Actor) -> UUID:
    async with room.engine.connect() as connection:
        return (await room.see.find_case(connection, case, by)).case_id


async def test_what_a_program_keeps_from_its_reader_is_not_counted(room: Room) -> None:
    case, hidden = await room.report(), await room.report()

    async with room.engine.connect() as connection:
        scope = await room.see.find_scope(connection, BOARD, [hidden])
        rows = await repository.list_cases(connection, FIRST_PAGE, 50, scope, is_open=None, urgency=None)
        total = await repository.count_cases(connection, scope, is_open=None, urgency=None)

    assert ([row["case_id"] for row in rows], total) == ([case], 1)


@pytest.mark.parametrize("role", list(ActorRole))
async def test_an_excluded_agency_loses_the_case_at_once(room: Room, role: ActorRole) -> None:
    case, other = await room.report(safe_now="no"), await room.report()
    person = acting("uptd-ppa", role)
    assert await listed(room, person) == ({case, other}, 2)

    await room.triage.exclude_agency(case, await room.version(case), "uptd-ppa", by=BOARD, reason="a relative")

    assert await listed(room, person) == ({other}, 1)
    assert await listed(room, BOARD) == ({case, other}, 2)
    for unknown in (case, uuid4()):
        with pytest.raises(CaseUnknown):
            await read(room, unknown, person)
        with pytest.raises(CaseUnknown):
            await room.triage.change_urgency(unknown, 1, Urgency.HIGH, by=person, reason="")
    assert await read(room, case, BOARD) == case


async def test_named_cases_are_listed_with_their_rights_to_those_who_may_know_of_them(room: Room) -> None:
    case, hidden, _ = await room.report(), await room.report(), await room.report()
    await room.triage.exclude_agency(hidden, await room.version(hidden), "uptd-ppa", by=BOARD, reason="a relative")

    async with room.engine.connect() as connection:
        scope = await room.see.find_scope(connection, UPTD)
        named: dict[str, Any] = {"is_open": None, "urgency": None, "ids": [case, hidden]}
        rows = await repository.list_cases(connection, FIRST_PAGE, 50, scope, **named)
        total = await repository.count_cases(connection, scope, **named)
    assert ([row["case_id"] for row in rows], total) == ([case], 1)
    assert set(rows[0]["rights"]) == set(Right)


async def test_a_case_that_was_merged_hides_with_the_case_that_continues(room: Room) -> None:
    case, duplicate = await room.report(), await room.report()
    await room.end.merge_cases(duplicate, await room.version(duplicate), case, by=BOARD, reason="the same child")
    await room.triage.exclude_agency(case, await room.version(case), "uptd-ppa", by=BOARD, reason="a relative")

    assert await listed(room, UPTD) == (set(), 0)
    with pytest.raises(CaseUnknown):
        await read(room, duplicate, UPTD)


async def test_a_responder_sees_the_cases_of_the_own_agency(room: Room) -> None:
    medical, calm = await room.report(injured="yes"), await room.report(violence=["psychological"], injured="no")
    nurse = acting("rs-rujukan", ActorRole.RESPONDER)

    assert await listed(room, nurse) == ({medical}, 1)
    assert await read(room, medical, nurse) == medical
    with pytest.raises(CaseUnknown):
        await read(room, calm, nurse)


async def test_an_agency_without_a_referral_that_decides_about_the_plan_sees_the_case(planning_room: Room) -> None:
    room = planning_room
    case = await room.report(violence=["psychological"], safe_now="yes", excluded_agencies=["uptd-ppa"])
    [plan] = await room.rows("SELECT agency, referral_id FROM service_plan WHERE closed_at IS NULL")
    deciding = acting(plan["agency"], ActorRole.CASE_MANAGER)
    await room.rows("DELETE FROM clock")
    await room.rows(
        "WITH gone AS (DELETE FROM referral_service s USING referral r"
        " WHERE r.referral_id = s.referral_id AND r.agency = $1) DELETE FROM referral WHERE agency = $1",
        plan["agency"],
    )

    assert await listed(room, deciding) == ({case}, 1)
    assert await read(room, case, deciding) == case
    code = referral_code(plan["referral_id"])
    async with room.engine.connect() as connection:
        found = read_code(code)
        assert found is not None
        assert await repository.find_cases_by_code(connection, found) == [case]
    await room.plans.confirm_plan(case, await room.version(case), PlanChanges(), by=deciding, reason="asked her")
    assert room.find_data("referral.plan_decided.v1")[-1]["end"] == "confirmed"
