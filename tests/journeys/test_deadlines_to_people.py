"""A deadline that passes reaches a person, and nobody once it is answered; through a city of real processes."""

import asyncio
import re
import shutil
from collections.abc import Awaitable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from simpul_dev.backends import Backends, PrivateRabbit
from simpul_dev.local_city import LocalCity
from tests.conftest import KEDIRI
from tests.support.ledger import eventually, rows
from tests.support.reports import a_report

RUNNING = ("handset", "intake", "routing", "notify", "desk")
WITH_A_CONSUMER = ("uptd-ppa", "polres-ppa", "satgas-kel-bandar-lor", "ylpa", "dinsos-peksos")
PIKET_UPTD, HEAD, BOARD, PIKET_RS = "+62800111002", "+62800113001", "+62800113002", "+62800111006"


@pytest.fixture(scope="module")
def silent_city(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCity]:
    """A city whose agencies do not answer until a test starts them; the hospital's never does."""
    folder = tmp_path_factory.mktemp("silent")
    folder.chmod(0o755)
    # A broker of its own: on a shared one another city's services would take half of its messages.
    rabbit = PrivateRabbit()
    own = Backends(backends.postgres_url, rabbit.amqp_url, rabbit.api_url, backends.origin)
    city = LocalCity(
        folder, own, KEDIRI, consuming=WITH_A_CONSUMER, database_prefix=f"silent_{uuid4().hex[:6]}_",
        environment={"SIMPUL_FIRST_RETRY_DELAY": "0.2"},
    )  # fmt: skip
    try:
        asyncio.run(city.prepare())
        city.start(*RUNNING)
        city.wait_ready(*RUNNING)
        yield city
    finally:
        city.stop()
        rabbit.close()
        shutil.rmtree(folder, ignore_errors=True)


async def report(city: LocalCity, **facts: Any) -> str:
    """A reported case whose offers were recorded as alerts."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{city.url('intake')}/reports", json=a_report(**facts)) as answer,
    ):
        case_id = str((await answer.json())["case_id"])

    async def is_alerted() -> bool:
        referred = await rows(city, "routing", "SELECT 1 FROM referral WHERE case_id = $1", case_id)
        alerted = await rows(city, "notify", "SELECT DISTINCT referral_id FROM alert WHERE case_id = $1", case_id)
        return len(alerted) == len(referred) > 0

    await eventually(is_alerted)
    return case_id


async def let_pass(city: LocalCity, case_id: str, time: timedelta) -> None:
    """Everything of the case happened so much longer ago."""
    await rows(
        city, "routing",
        "UPDATE clock SET started_at = started_at - $2::interval, due_at = due_at - $2::interval,"
        " next_at = next_at - $2::interval WHERE referral_id IN (SELECT referral_id FROM referral WHERE case_id = $1)",
        case_id, time,
    )  # fmt: skip


async def late_at(city: LocalCity, case_id: str, step: int) -> set[str]:
    """Agencies of whose late referrals an alert of this step left by SMS."""
    found = await rows(
        city, "notify",
        "SELECT agency FROM alert WHERE case_id = $1 AND step = $2 AND channel = 'sms' AND state = 'sent'",
        case_id, step,
    )  # fmt: skip
    return {row["agency"] for row in found}


async def texts_to(city: LocalCity, number: str = "") -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"{city.url('handset')}/messages") as answer:
        return [each["text"] for each in await answer.json() if each["channel"] == "sms" and number in each["to"]]


async def none_waits(city: LocalCity) -> bool:
    return not await rows(city, "notify", "SELECT 1 FROM alert WHERE state = 'pending' LIMIT 1")


async def gateway(city: LocalCity, failing: str) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{city.url('handset')}/fail/{failing}") as answer:
        assert answer.status == 200


async def referrals_of(city: LocalCity, case_id: str) -> dict[str, set[str]]:
    """Codes of the case's referrals by agency."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {city.api_token}"}) as session,
        session.get(f"{city.url('routing')}/cases/{case_id}") as answer,
    ):
        by_agency: dict[str, set[str]] = {}
        for referral in (await answer.json())["referrals"]:
            by_agency.setdefault(referral["agency"], set()).add(referral["code"])
        return by_agency


def codes(texts: list[str]) -> set[str]:
    return {code for text in texts for code in re.findall(r"R-[0-9A-Z]{6}", text)}


async def test_a_referral_that_nobody_answers_climbs_to_the_level_above_then_to_the_head_and_the_board(
    silent_city: LocalCity,
) -> None:
    city = silent_city
    case_id = await report(city, safe_now="no", injured="yes")
    of = await referrals_of(city, case_id)

    await let_pass(city, case_id, timedelta(minutes=15, seconds=5))
    await eventually(lambda: _holds(late_at(city, case_id, 100), set(of)))
    above, above_uptd, of_board = [await texts_to(city, number) for number in (PIKET_UPTD, HEAD, BOARD)]
    await let_pass(city, case_id, timedelta(minutes=15))
    await eventually(lambda: _holds(late_at(city, case_id, 200), set(of)))
    await eventually(lambda: none_waits(city))

    under_uptd = of.keys() - {"uptd-ppa", "satgas-kel-bandar-lor"}
    for agency in under_uptd:
        assert codes([text for text in above if f"di {agency} belum" in text]) == of[agency]
    assert codes([text for text in above_uptd if "di uptd-ppa belum" in text]) == of["uptd-ppa"]
    assert not [text for text in of_board if " di " in text]
    for number in (HEAD, BOARD):
        twice = [text for text in await texts_to(city, number) if "dua kali" in text]
        assert codes(twice) == set().union(*of.values())
        assert len(twice) == len(set(twice))
    async with aiohttp.ClientSession() as session, session.get(city.url("desk")) as answer:
        board = await answer.text()
    assert board.count("terlambat sejak") >= sum(map(len, of.values()))
    assert "dua kali batas" in board


async def test_what_was_accepted_or_voided_while_the_gateway_was_down_leaves_nothing_behind(
    silent_city: LocalCity,
) -> None:
    city = silent_city
    await gateway(city, "on")
    before = len(await texts_to(city))
    voided, kept = await report(city, safe_now="no"), await report(city, safe_now="no", injured="yes")
    for case_id in (voided, kept):
        await let_pass(city, case_id, timedelta(minutes=15, seconds=5))
    of = await referrals_of(city, kept)
    await rows(city, "notify", "UPDATE alert SET created_at = created_at - interval '6 minutes'")
    await eventually(lambda: _is_ready(city, 503, "sms: an urgent alert has been pending for 6 minutes"))

    await _void(city, voided)
    city.start("agencies")
    await eventually(lambda: _all_accepted(city, kept, of))
    await gateway(city, "off")
    await eventually(lambda: none_waits(city), 90)
    await eventually(lambda: _is_ready(city, 200, "ready"))

    left = codes((await texts_to(city))[before:])
    assert of["rs-rujukan"] <= left
    assert not left & set().union(*(found for agency, found in of.items() if agency in WITH_A_CONSUMER))
    assert not left & set().union(*(await referrals_of(city, voided)).values())
    async with aiohttp.ClientSession() as session, session.get(city.url("notify") + "/metrics") as answer:
        assert 'simpul_alerts_suppressed_total{reason="settled"}' in await answer.text()


async def _is_ready(city: LocalCity, status: int, words: str) -> bool:
    """Whether notify answers so; that it goes on consuming shows in what is accepted meanwhile."""
    async with aiohttp.ClientSession() as session, session.get(city.url("notify") + "/health/ready") as answer:
        return answer.status == status and words in await answer.text()


async def _void(city: LocalCity, case_id: str) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {city.api_token}"}) as session:
        async with session.get(f"{city.url('routing')}/cases/{case_id}") as answer:
            version = answer.headers["ETag"]
        body = {"by": "uptd-ppa", "reason": "entered twice"}
        address = f"{city.url('routing')}/cases/{case_id}/void"
        async with session.post(address, json=body, headers={"If-Match": version}) as answer:
            assert answer.status == 204, await answer.text()


async def _all_accepted(city: LocalCity, case_id: str, of: dict[str, set[str]]) -> bool:
    accepted = await rows(city, "routing", "SELECT 1 FROM referral WHERE case_id = $1 AND state = 'accepted'", case_id)
    noted = await rows(city, "notify", "SELECT 1 FROM referral_progress")
    expected = sum(len(found) for agency, found in of.items() if agency in WITH_A_CONSUMER)
    return len(accepted) == expected and len(noted) >= expected


async def _holds(found: Awaitable[set[str]], wanted: set[str]) -> bool:
    return wanted <= await found
