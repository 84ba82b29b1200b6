"""Asks broker and routing about every agency."""

import asyncio
from typing import Any, Final

import asyncpg

from simpul_agency.broker_api import BrokerApi
from simpul_city import City
from simpul_cli.agency.accounts import Standing, standing_of
from simpul_cli.doctor.checks.agencies import WRONG_KEY_REASONS, Agency, AgencyFacts
from simpul_cli.doctor.sources import Sources
from simpul_schema.names import REPLIES

MAX_CONCURRENT: Final = 8
_MISSED: Final = "SELECT agency, missed_manifests FROM agency_manifest"
_OPEN: Final = "SELECT agency, count(*) FROM referral WHERE answer_by IS NOT NULL GROUP BY agency"
_PARKED: Final = """
    SELECT split_part(routing_key, '.', 2), sum(times)::int FROM parked
    WHERE exchange = $1 AND reason = ANY($2) AND replay_at IS NULL GROUP BY 1
"""


async def collect(sources: Sources, city: City, *, is_broker_usable: bool, is_routing_usable: bool) -> AgencyFacts:
    """Collects every agency; what broker or routing do not answer stays at its harmless value."""
    codes = sorted(city.agency_codes)
    standings = await _load_standings(sources.rabbitmq_api, codes) if is_broker_usable else {}
    missed, open_, parked = await _load_from_routing(sources.databases["routing"]) if is_routing_usable else ({},) * 3
    directory = sources.read_directory()
    enrolled = {entry.party for entry in directory.entries} if directory else set()
    return AgencyFacts(
        [
            Agency(
                code=code,
                account=standings[code].state.value if code in standings else "",
                is_enrolled=code in enrolled,
                waiting=standings[code].messages if code in standings else 0,
                consumers=standings[code].consumers if code in standings else 1,
                missed_manifests=missed.get(code, 0),
                open_referrals=open_.get(code, 0),
                parked_for_key=parked.get(code, 0),
            )
            for code in codes
        ]
    )


async def _load_standings(api_url: str, codes: list[str]) -> dict[str, Standing]:
    limit = asyncio.Semaphore(MAX_CONCURRENT)

    async def load(api: BrokerApi, code: str) -> Standing:
        async with limit:
            return await standing_of(api, code)

    async with BrokerApi(api_url) as api:
        return {one.agency: one for one in await asyncio.gather(*(load(api, code) for code in codes))}


async def _load_from_routing(url: str) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    connection: Any = await asyncpg.connect(url)
    try:
        return (
            dict(await connection.fetch(_MISSED)),
            dict(await connection.fetch(_OPEN)),
            dict(await connection.fetch(_PARKED, REPLIES, sorted(WRONG_KEY_REASONS))),
        )
    finally:
        await connection.close()
