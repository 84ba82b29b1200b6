"""What was promised and what arrived, kept outside the system."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import asyncpg

from simpul_dev.local_city import LocalCity


async def eventually(holds: Callable[[], Awaitable[bool]], within: float = 30.0) -> None:
    """Return once it holds; AssertionError when it does not in time."""
    deadline = asyncio.get_running_loop().time() + within
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline, f"did not hold within {within} s"
        await asyncio.sleep(0.1)


async def post_until_accepted(
    session: aiohttp.ClientSession, city: LocalCity, report: Mapping[str, Any], within: float = 40.0
) -> str:
    """Send like a careful client: the same report_id until there is a 202; returns the case id."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        try:
            async with session.post(f"{city.url('intake')}/reports", json=dict(report)) as answer:
                if answer.status == 202:
                    return str((await answer.json())["case_id"])
        except aiohttp.ClientError:
            pass
        assert asyncio.get_running_loop().time() < deadline, "intake did not accept in time"
        await asyncio.sleep(0.1)


def received(city: LocalCity) -> list[dict[str, Any]]:
    """Every time an agency's handler ran."""
    lines = city.ledger.read_text().splitlines() if city.ledger.exists() else []
    return [json.loads(line) for line in lines]


async def rows(city: LocalCity, service: str, query: str, *values: Any) -> list[Mapping[str, Any]]:
    """Look into a service's database."""
    connection = await asyncpg.connect(city.database_url(service))
    try:
        return [dict(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def settle(city: LocalCity, cases: set[str], within: float = 60.0) -> None:
    """Wait until every referral of the cases was delivered and told, and nothing is left to publish."""

    async def is_settled() -> bool:
        planned = await rows(
            city, "routing", "SELECT case_id::text FROM case_plan WHERE case_id = ANY($1::uuid[])", cases
        )
        open_referrals = await rows(
            city, "routing",
            "SELECT 1 FROM referral WHERE case_id = ANY($1::uuid[]) AND delivered_at IS NULL LIMIT 1", cases,
        )  # fmt: skip
        pending = await rows(
            city, "notify", "SELECT 1 FROM alert WHERE case_id = ANY($1::uuid[]) AND state = 'pending' LIMIT 1", cases
        )
        untold = await rows(
            city, "notify", "SELECT DISTINCT referral_id FROM alert WHERE case_id = ANY($1::uuid[])", cases
        )
        referred = await rows(
            city, "routing", "SELECT referral_id FROM referral WHERE case_id = ANY($1::uuid[]) UNION ALL"
            " SELECT referral_id FROM exclusion_review WHERE case_id = ANY($1::uuid[])", cases,
        )  # fmt: skip
        return len(planned) == len(cases) and not open_referrals and not pending and len(untold) == len(referred)

    await eventually(is_settled, within)


async def assert_exactly_once(city: LocalCity, cases: set[str]) -> None:
    """Lost 0, doubled 0: each case planned once, each referral handled once by its agency, each alert one row."""
    planned = await rows(
        city, "routing", "SELECT referral_id::text, case_id::text, agency, service FROM referral"
        " WHERE case_id = ANY($1::uuid[])", cases,
    )  # fmt: skip
    assert {row["case_id"] for row in planned} == cases
    asked = Counter((row["case_id"], row["agency"], row["service"]) for row in planned)
    assert [key for key, count in asked.items() if count > 1] == []
    handled = Counter(line["referral_id"] for line in received(city) if line["case_id"] in cases)
    assert handled == Counter(row["referral_id"] for row in planned)
    for service in ("intake", "routing", "notify"):
        assert await rows(city, service, "SELECT reason FROM parked") == []
