"""Transactions lock cases in one order, so that none waits for another in a circle."""

import asyncio
from uuid import UUID

from simpul_routing.errors import CaseChanged, CaseMerged
from simpul_routing.repository import CaseFiles
from tests.integration.routing.conftest import Room
from tests.support.actors import UPTD
from tests.support.agreements import CITY


async def wait_for_lock_waits(room: Room, count: int) -> None:
    """Waits until that many transactions wait for a lock."""
    query = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(60):
        while True:
            [found] = await room.rows(query)
            if found["n"] >= count:
                return
            await asyncio.sleep(0.05)


async def test_an_amendment_of_a_case_that_is_merged_meanwhile_keeps_no_lock_while_it_waits(room: Room) -> None:
    # The case that continues comes first in the order of the locks, so the amendment must begin again for it.
    case, duplicate = sorted([await room.report(), await room.report()])
    files = CaseFiles(room.versions, CITY, room.keys)

    async def lock_both() -> None:
        async with room.transaction() as transaction:
            await files.load_for_update(transaction, [duplicate, case])

    async with asyncio.TaskGroup() as tasks, room.transaction() as merging:
        found = await files.load_for_update(merging, [duplicate, case])
        found[duplicate].merge_into(found[case], "uptd-ppa", "the same child")
        await files.save(merging, found.values())
        tasks.create_task(room.amend(duplicate, safe_now="no"))
        await wait_for_lock_waits(room, 1)
        tasks.create_task(lock_both())
        await wait_for_lock_waits(room, 2)

    assert room.find_data("case.replanned.v1")[-1]["case_id"] == str(case)
    assert room.find_data("case.replanned.v1")[-1]["why"] == "facts_amended"


async def test_amendments_merges_and_replies_at_once_never_wait_in_a_circle(room: Room) -> None:
    async def merge(duplicate: UUID, case: UUID) -> None:
        try:
            version = await room.version(duplicate)
            await room.end.merge_cases(duplicate, version, case, by=UPTD, reason="the same child")
        except (CaseChanged, CaseMerged):
            return

    for _ in range(4):
        first, second = await room.report(safe_now="no"), await room.report(safe_now="no")
        offers = [room.find_offer(case, "case_management") for case in (first, second)]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(merge(first, second))
            tasks.create_task(merge(second, first))
            tasks.create_task(room.amend(first, injured="yes"))
            tasks.create_task(room.receive([room.build_reply("accepted", offer) for offer in reversed(offers)]))
