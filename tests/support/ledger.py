"""Compares what was promised with what arrived, outside the system."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import asyncpg

from simpul_dev.local_city import LocalCity
from tests.support.routing_api import call


async def eventually(holds: Callable[[], Awaitable[bool]], within: float = 90.0) -> None:
    """Waits for a condition; raises AssertionError when it does not hold in time."""
    deadline = asyncio.get_running_loop().time() + within
    while not await holds():
        assert asyncio.get_running_loop().time() < deadline, f"did not hold within {within} s"
        await asyncio.sleep(0.1)


async def post_until_accepted(
    session: aiohttp.ClientSession, city: LocalCity, report: Mapping[str, Any], within: float = 90.0
) -> str:
    """Sends a report with the same report_id until it is answered with 202; returns the case id."""
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
    """Reads the line that each run of an agency's handler wrote about an offer."""
    return [line for line in _read_ledger(city) if line["kind"] == "received"]


def received_services(city: LocalCity, case_id: str) -> set[tuple[str, str]]:
    """Returns each service of a case with the agency that received it, by an offer or an amendment."""
    lines = [line for line in _read_ledger(city) if line["case_id"] == case_id]
    return {(service, line["agency"]) for line in lines for service in line["services"]}


def _read_ledger(city: LocalCity) -> list[dict[str, Any]]:
    lines = city.ledger.read_text().splitlines() if city.ledger.exists() else []
    return [json.loads(line) for line in lines]


async def rows(city: LocalCity, service: str, query: str, *values: Any) -> list[Mapping[str, Any]]:
    """Queries a service's database."""
    connection = await asyncpg.connect(city.database_url(service))
    try:
        return [dict(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def confirm_plan(city: LocalCity, case_id: str) -> None:
    """Confirms the service plan of a case as it is; tries again when an agency's reply changed the case meanwhile."""
    path = f"/cases/{case_id}"

    async def is_confirmed() -> bool:
        _, _, headers = await call(city, "GET", path)
        confirmation, match = {"reason": "asked the child"}, {"If-Match": headers["ETag"]}
        status, _, _ = await call(city, "POST", f"{path}/service-plan/confirm", json=confirmation, headers=match)
        return status == 204

    await eventually(is_confirmed)
    await settle(city, {case_id})


async def settle(city: LocalCity, cases: set[str], within: float = 120.0) -> None:
    """Waits until every referral of the cases was delivered and alerted, and nothing is left to publish."""

    async def is_settled() -> bool:
        planned = await rows(
            city, "routing", "SELECT case_id::text FROM case_plan WHERE case_id = ANY($1::uuid[])", cases
        )
        open_referrals = await rows(
            city,
            "routing",
            "SELECT 1 FROM referral JOIN referral_service USING (referral_id)"
            " WHERE case_id = ANY($1::uuid[]) AND delivered_at IS NULL LIMIT 1",
            cases,
        )
        pending = await rows(
            city, "notify", "SELECT 1 FROM alert WHERE case_id = ANY($1::uuid[]) AND state = 'pending' LIMIT 1", cases
        )
        unalerted = await rows(
            city, "notify", "SELECT DISTINCT referral_id FROM alert WHERE case_id = ANY($1::uuid[])", cases
        )
        referred = await rows(
            city,
            "routing",
            "SELECT referral_id FROM referral WHERE case_id = ANY($1::uuid[]) UNION ALL"
            " SELECT referral_id FROM exclusion_review WHERE case_id = ANY($1::uuid[]) UNION ALL"
            " SELECT referral_id FROM service_plan WHERE case_id = ANY($1::uuid[])",
            cases,
        )
        return len(planned) == len(cases) and not open_referrals and not pending and len(unalerted) == len(referred)

    await eventually(is_settled, within)


async def assert_exactly_once(city: LocalCity, cases: set[str]) -> None:
    """Asserts that each case is planned once, each referral handled once by its agency, each alert stored once."""
    planned = await rows(
        city,
        "routing",
        "SELECT referral_id::text, case_id::text, agency, service FROM referral"
        " JOIN referral_service USING (referral_id) WHERE case_id = ANY($1::uuid[])",
        cases,
    )
    assert {row["case_id"] for row in planned} == cases
    offered = Counter((row["case_id"], row["agency"], row["service"]) for row in planned)
    assert [key for key, count in offered.items() if count > 1] == []
    handled = Counter(line["referral_id"] for line in received(city) if line["case_id"] in cases)
    assert handled == Counter({row["referral_id"] for row in planned})
    for service in ("intake", "routing", "notify"):
        assert await rows(city, service, "SELECT reason FROM parked") == []
