"""The kit keeps the heads of audits that come with manifests, and reports those that contradict each other."""

import asyncio
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from simpul_agency import Agency
from simpul_agency.command.app import app as agency_app
from simpul_agency.sandbox.process import free_port
from simpul_seal import SignedHead, make_head, sign
from tests.integration.agency.conftest import Town
from tests.support.ledger import eventually

LAST = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def head(town: Town, service: str, content: str, hours: int = 0, signer: str = "") -> SignedHead:
    ring = town.rings[signer or service]
    hash_ = sha256(content.encode()).digest()
    return make_head(service, LAST - timedelta(hours=hours), hash_, lambda body: sign(body, ring))


async def send(town: Town, sequence: int, *heads: SignedHead) -> None:
    manifest = town.manifest(sequence, 0, {})
    manifest["data"]["audit_heads"] = [one.to_dict() for one in heads]
    await town.send(manifest)


async def wait_for_heads(agency: Agency, count: int) -> list[SignedHead]:
    async def have_come() -> bool:
        return len(await agency.store.list_heads()) >= count

    await eventually(have_come)
    return await agency.store.list_heads()


async def test_heads_are_kept_once_and_those_that_their_service_has_not_signed_are_not(town: Town) -> None:
    agency = town.agency()
    await agency.start()
    kept = [head(town, "intake", "a", 1), head(town, "intake", "b"), head(town, "routing", "c")]

    await send(town, 1, kept[0], head(town, "intake", "forged", signer="routing"))
    await send(town, 2, *kept, *kept)

    assert await wait_for_heads(agency, 3) == kept
    assert not [one for one in await agency.health.readiness_problems() if one.startswith("audit")]
    await agency.stop()


async def test_an_acknowledged_contradiction_is_a_problem_no_longer_and_a_new_one_is(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    def acknowledge() -> str:
        done = CliRunner().invoke(agency_app, ["audit", "acknowledge"])
        assert done.exit_code == 0, done.output
        return done.output

    async def find_problems() -> list[str]:
        return [one for one in await agency.health.readiness_problems() if one.startswith("audit")]

    async def has_problem() -> bool:
        return bool(await find_problems())

    agency = town.agency()
    settings = {
        "CODE": "ylpa",
        "AMQP_URL": town.amqp_url,
        "KEY_FILE": "unused",
        "DIRECTORY_FILE": "unused",
        "STORE_URL": f"sqlite:///{town.folder / 'agency.db'}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"SIMPUL_AGENCY_{name}", value)
    monkeypatch.chdir(town.folder)
    await agency.start()
    restored = [head(town, "intake", "a", 3), head(town, "intake", "lost", 2), head(town, "intake", "a", 1)]
    await send(town, 1, *restored)
    await eventually(has_problem)
    assert "audit acknowledge" in (await find_problems())[0]

    first = await asyncio.to_thread(acknowledge)
    assert await find_problems() == []
    assert await agency.store.list_heads() == restored
    # The history rests at the head to which it was restored.
    await send(town, 2, head(town, "intake", "a"))
    await wait_for_heads(agency, 4)
    await asyncio.sleep(1)
    assert await find_problems() == []

    await send(town, 3, head(town, "intake", "another", 1))
    await eventually(has_problem)
    second = await asyncio.to_thread(acknowledge)
    assert await find_problems() == []
    assert (first.count("deleted the end"), second.count("two histories")) == (1, 1)
    assert "no contradiction" in await asyncio.to_thread(acknowledge)
    await agency.stop()


async def test_heads_that_are_withheld_are_a_warning_and_no_problem(town: Town) -> None:
    port = free_port()
    agency = town.agency(health_port=port)
    await agency.start()
    await send(town, 1, head(town, "intake", "a", 5), head(town, "routing", "b", 5), head(town, "routing", "b", 1))

    async def load_health() -> Any:
        address = f"http://127.0.0.1:{port}/health/ready"
        async with aiohttp.ClientSession() as session, session.get(address) as answer:
            return await answer.json()

    async def are_compared() -> bool:
        return not any("routing" in one for one in (await load_health())["warnings"])

    await wait_for_heads(agency, 3)
    await eventually(are_compared)
    health = await load_health()
    await agency.stop()

    assert any("city's intake" in one for one in health["warnings"])
    assert not [one for one in health["problems"] if one.startswith("audit")]


async def test_two_histories_make_the_kit_not_ready_also_after_a_restart(town: Town) -> None:
    agency = town.agency()
    await agency.start()
    await send(town, 1, head(town, "intake", "a"))
    await send(town, 2, head(town, "intake", "another"))

    async def is_reported() -> bool:
        return any("two histories" in one for one in await agency.health.readiness_problems())

    await eventually(is_reported)
    await agency.stop()
    agency = town.agency()
    await agency.start()
    await eventually(is_reported)
    await agency.stop()
