"""Metrics have a port of their own, so that whoever reaches a service's pages does not read them."""

import aiohttp
import pytest

from simpul_dev.local_city import LocalCity
from simpul_schema.catalog import SERVICES


@pytest.mark.parametrize("service", SERVICES)
async def test_metrics_are_on_a_port_of_their_own_only(city: LocalCity, service: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(city.metrics_url(service)) as own,
        session.get(f"{city.url(service)}/metrics") as served,
    ):
        text, page = await own.text(), await served.text()

    assert own.status == 200
    assert "simpul_" in text
    assert served.status == 404
    assert "simpul_" not in page
