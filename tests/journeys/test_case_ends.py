"""The end of a case reaches the vault, from which its retention counts."""

import asyncpg

from simpul_dev.local_city import LocalCity
from tests.journeys.test_cases_by_http import reported
from tests.support.ledger import eventually
from tests.support.routing_api import call


async def ends_in_vault(city: LocalCity, case_id: str) -> list[tuple[bool, bool]]:
    """Returns whether the vault knows the case as ended and as merged; empty while it knows no end of it."""
    connection = await asyncpg.connect(city.database_url("intake"))
    try:
        rows = await connection.fetch("SELECT ended_at, merged_into FROM case_end WHERE case_id = $1", case_id)
    finally:
        await connection.close()
    return [(row["ended_at"] is not None, row["merged_into"] is not None) for row in rows]


async def change_case(city: LocalCity, case_id: str, action: str, **body: str) -> None:
    """Changes a case; tries again when an agency's reply changed it meanwhile."""

    async def is_changed() -> bool:
        _, _, headers = await call(city, "GET", f"/cases/{case_id}")
        status, _, _ = await call(
            city,
            "POST",
            f"/cases/{case_id}/{action}",
            json={"reason": "moved away"} | body,
            headers={"If-Match": headers["ETag"]},
        )
        return status == 204

    await eventually(is_changed)


async def test_the_vault_learns_of_the_end_the_reopening_and_the_merge_of_a_case(city: LocalCity) -> None:
    case_id, duplicate = [str((await reported(city))["case_id"]) for _ in range(2)]

    async def has_ended() -> bool:
        return await ends_in_vault(city, case_id) == [(True, False)]

    async def is_open_again() -> bool:
        return await ends_in_vault(city, case_id) == [(False, False)]

    async def is_merged() -> bool:
        return await ends_in_vault(city, duplicate) == [(False, True)]

    await change_case(city, case_id, "close", end="closed")
    await eventually(has_ended)
    await change_case(city, case_id, "reopen")
    await eventually(is_open_again)
    await change_case(city, duplicate, "merge", into=case_id)
    await eventually(is_merged)
