"""Keys expire while the city runs; nothing has to be restarted."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from simpul_cli.keys import directory_file, rotate_keys
from simpul_runtime.database import utc_now
from simpul_seal import Directory
from tests.faults.conftest import BreakableCity
from tests.support.ledger import assert_exactly_once, eventually, post_until_accepted, received, rows, settle
from tests.support.reports import a_report

LATE = "satgas-kel-bandar-lor"


def set_end(city: BreakableCity, party: str, end: datetime) -> None:
    path = directory_file(city.keys)
    entries = Directory.read(path).entries
    Directory([replace(e, not_after=end) if e.party == party else e for e in entries]).write(path)


async def ready(city: BreakableCity, service: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"{city.url(service)}/health/ready") as answer:
        return answer.status, await answer.json()


async def report(city: BreakableCity) -> str:
    async with aiohttp.ClientSession() as session:
        return await post_until_accepted(session, city, a_report(violence=["sexual"], place="school", safe_now="no"))


async def test_events_to_an_agency_without_a_key_wait_alone_and_arrive_once(breakable: BreakableCity) -> None:
    set_end(breakable, LATE, utc_now())
    case_id = await report(breakable)

    async def is_held() -> bool:
        return bool(await rows(breakable, "routing", "SELECT 1 FROM held_event WHERE case_id::text = $1", case_id))

    await eventually(is_held)
    referrals = await rows(breakable, "routing", "SELECT agency FROM referral WHERE case_id::text = $1", case_id)
    expected = Counter(row["agency"] for row in referrals)

    def arrived() -> Counter[str]:
        return Counter(line["agency"] for line in received(breakable) if line["case_id"] == case_id)

    async def others_have_theirs() -> bool:
        return arrived() == Counter({agency: n for agency, n in expected.items() if agency != LATE})

    await eventually(others_have_theirs)

    async def is_named() -> bool:
        status, body = await ready(breakable, "routing")
        return status == 200 and any(f"usable key of {LATE}" in warning for warning in body["warnings"])

    await eventually(is_named)
    async with aiohttp.ClientSession() as session, session.get(breakable.metrics_url("routing")) as answer:
        assert f'simpul_held_events{{party="{LATE}"}} {expected[LATE]:.1f}' in await answer.text()
    assert len(expected) >= 4
    assert expected[LATE]

    set_end(breakable, LATE, utc_now() + timedelta(days=365))
    await settle(breakable, {case_id})

    await assert_exactly_once(breakable, {case_id})
    assert arrived() == expected


async def test_a_report_is_held_while_services_have_no_key_and_a_rotation_needs_no_restart(
    breakable: BreakableCity,
) -> None:
    for service in ("routing", "intake"):
        set_end(breakable, service, utc_now())
    case_id = await report(breakable)

    async def is_reported() -> bool:
        status, body = await ready(breakable, "intake")
        return status == 503 and any("simpul keys rotate intake" in problem for problem in body["problems"])

    await eventually(is_reported)
    assert await rows(breakable, "intake", "SELECT 1 FROM held_event WHERE case_id::text = $1", case_id)

    rotate_keys(
        breakable.keys, ["intake", "routing"], directory_file(breakable.keys), utc_now(), overlap=timedelta(days=30)
    )
    await settle(breakable, {case_id})

    await assert_exactly_once(breakable, {case_id})
    breakable.wait_ready("intake", "routing")
