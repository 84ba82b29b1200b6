"""The coordinator sees cases that may be about the same child, until they are merged or the suspicion is dismissed."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from simpul_routing.errors import OverlapUnknown, ReasonMissing
from simpul_schema.messages import OverlapSuspectedV1
from tests.integration.routing.conftest import Room
from tests.support.actors import UPTD


async def suspect(room: Room, case: UUID, other: UUID, overlap: UUID | None = None, *, is_likely: bool = True) -> UUID:
    overlap = overlap or uuid4()
    event = OverlapSuspectedV1.model_validate(
        {
            "id": uuid4(),
            "source": "/kediri/intake",
            "subject": f"overlap/{overlap}",
            "time": room.now,
            "sequence": "0000000001",
            "correlationid": case,
            "data": {"case_id": case, "other_case_id": other, "is_likely": is_likely, "suspected_at": room.now},
        }
    )
    await room.receive([event])
    return overlap


async def open_overlaps(room: Room) -> list[UUID]:
    async with room.engine.connect() as connection:
        return [
            row["overlap_id"]
            for row in await repository.list_open_overlaps(connection, FIRST_PAGE, 50, repository.Scope())
        ]


async def overlaps_of(room: Room, case: UUID) -> list[Any]:
    async with room.engine.connect() as connection:
        return await repository.list_overlaps_of_case(connection, case, repository.Scope())


async def test_both_cases_show_each_other_and_the_list_shows_the_pair(room: Room) -> None:
    case, other = await room.report(), await room.report()

    overlap = await suspect(room, case, other, is_likely=False)
    await suspect(room, case, other, overlap)

    assert await open_overlaps(room) == [overlap]
    shown = {one: [(row["case_id"], row["is_likely"]) for row in await overlaps_of(room, one)] for one in (case, other)}
    assert shown == {case: [(other, True)], other: [(case, True)]}


async def test_an_overlap_that_arrives_before_its_case_is_kept(room: Room) -> None:
    overlap = await suspect(room, uuid4(), uuid4())

    assert await open_overlaps(room) == [overlap]


async def test_merging_settles_an_overlap(room: Room) -> None:
    case, other = await room.report(), await room.report()
    await suspect(room, case, other)

    await room.end.merge_cases(case, await room.version(case), other, by=UPTD, reason="anak yang sama")

    assert await open_overlaps(room) == []
    assert [row["is_open"] for row in await overlaps_of(room, other)] == [False]


async def test_a_dismissed_overlap_stays_dismissed_and_is_announced(room: Room) -> None:
    case, other = await room.report(), await room.report()
    overlap = await suspect(room, case, other, is_likely=False)

    with pytest.raises(ReasonMissing):
        await room.overlaps.dismiss_overlap(case, overlap, by=UPTD, reason="")
    await room.overlaps.dismiss_overlap(other, overlap, by=UPTD, reason="saudara kembar")
    await suspect(room, case, other, overlap)

    assert await open_overlaps(room) == []
    [data] = room.find_data("overlap.dismissed.v1")
    assert (data["case_id"], data["other_case_id"]) == (str(case), str(other))
    [row] = await overlaps_of(room, case)
    assert (row["dismissed_by"], row["is_open"]) == (UPTD.code, False)
    assert b"kembar" not in row["note"]
    with pytest.raises(OverlapUnknown):
        await room.overlaps.dismiss_overlap(case, overlap, by=UPTD, reason="saudara kembar")


async def test_an_overlap_of_other_cases_cannot_be_dismissed(room: Room) -> None:
    overlap = await suspect(room, await room.report(), await room.report())

    with pytest.raises(OverlapUnknown):
        await room.overlaps.dismiss_overlap(await room.report(), overlap, by=UPTD, reason="bukan")

    assert await open_overlaps(room) == [overlap]
