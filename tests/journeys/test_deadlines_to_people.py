"""A missed deadline alerts people until it is met; through a city of real processes."""

import asyncio
import re
import shutil
from collections.abc import Awaitable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from simpul_dev.backends import Backends
from simpul_dev.local_city import LocalCity
from tests.conftest import KEDIRI, broker_of_its_own
from tests.support.desk import open_page
from tests.support.ledger import eventually, rows
from tests.support.reports import a_report
from tests.support.routing_api import call

RUNNING = ("handset", "intake", "routing", "notify", "desk")
WITH_A_CONSUMER = ("uptd-ppa", "polres-ppa", "satgas-kel-bandar-lor", "ylpa", "dinsos-peksos")
PIKET_UPTD, HEAD, BOARD, PIKET_RS = "+6283400111002", "+6283400113001", "+6283400113002", "+6283400111006"


@pytest.fixture(scope="module")
def silent_city(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCity]:
    """A city whose agencies answer only once a test starts them; the hospital never answers."""
    folder = tmp_path_factory.mktemp("silent")
    folder.chmod(0o755)
    with broker_of_its_own(backends) as own:
        city = LocalCity(
            folder,
            own,
            KEDIRI,
            consuming=WITH_A_CONSUMER,
            database_prefix=f"silent_{uuid4().hex[:6]}_",
            environment={"SIMPUL_FIRST_RETRY_DELAY": "0.2", "SIMPUL_BUNDLE_PERIOD": "1"},
        )
        try:
            asyncio.run(city.prepare())
            city.start(*RUNNING)
            city.wait_ready(*RUNNING)
            yield city
        finally:
            city.stop()
            shutil.rmtree(folder, ignore_errors=True)


async def report(city: LocalCity, **facts: Any) -> str:
    """A reported case whose offers were recorded as alerts."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{city.url('intake')}/reports", json=a_report(**facts)) as answer,
    ):
        case_id = str((await answer.json())["case_id"])

    async def is_alerted() -> bool:
        referred = await rows(
            city,
            "routing",
            "SELECT referral_id FROM referral WHERE case_id = $1 UNION ALL"
            " SELECT referral_id FROM service_plan WHERE case_id = $1",
            case_id,
        )
        alerted = await rows(city, "notify", "SELECT DISTINCT referral_id FROM alert WHERE case_id = $1", case_id)
        return len(alerted) == len(referred) > 0

    await eventually(is_alerted)
    return case_id


async def let_pass(city: LocalCity, case_id: str, time: timedelta) -> None:
    """Moves the events of a case into the past."""
    await rows(
        city,
        "routing",
        "UPDATE clock SET started_at = started_at - $2::interval, due_at = due_at - $2::interval,"
        " half_at = half_at - $2::interval, twice_at = twice_at - $2::interval,"
        " next_at = next_at - $2::interval WHERE service_id IN (SELECT service_id"
        " FROM referral_service JOIN referral USING (referral_id) WHERE case_id = $1)",
        case_id,
        time,
    )


async def late_at(city: LocalCity, case_id: str, step: int, responder: str = "%") -> set[str]:
    """Returns the agencies about whose late referrals an SMS of this step was sent, to one responder or any."""
    found = await rows(
        city,
        "notify",
        "SELECT agency FROM alert WHERE case_id = $1 AND step = $2 AND channel = 'sms' AND state = 'sent'"
        " AND responder LIKE $3",
        case_id,
        step,
        responder,
    )
    return {row["agency"] for row in found}


async def announced_by_sms(city: LocalCity, case_id: str) -> set[str]:
    """Returns the agencies about whose referrals of a case an SMS was sent."""
    found = await rows(
        city, "notify", "SELECT agency FROM alert WHERE case_id = $1 AND channel = 'sms' AND state = 'sent'", case_id
    )
    return {row["agency"] for row in found}


async def texts_to(city: LocalCity, address: str, channel: str = "sms") -> list[str]:
    async with aiohttp.ClientSession() as session, session.get(f"{city.url('handset')}/messages") as answer:
        return [each["text"] for each in await answer.json() if each["channel"] == channel and address in each["to"]]


async def none_waits(city: LocalCity) -> bool:
    return not await rows(city, "notify", "SELECT 1 FROM alert WHERE state = 'pending' LIMIT 1")


async def gateway(city: LocalCity, failing: str) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{city.url('handset')}/fail/{failing}") as answer:
        assert answer.status == 200


async def referrals_of(city: LocalCity, case_id: str) -> dict[str, set[str]]:
    """Returns the codes of the case's referrals by agency."""
    _, case, _ = await call(city, "GET", f"/cases/{case_id}")
    by_agency: dict[str, set[str]] = {}
    for referral in case["referrals"]:
        by_agency.setdefault(referral["agency"], set()).add(referral["code"])
    return by_agency


def is_escalated(text: str) -> bool:
    """Whether a text says that twice the time has passed, in full or in the words of a count."""
    return "dua kali" in text or "2x" in text


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
    above, above_uptd, of_board = [
        await late_at(city, case_id, 100, responder) for responder in ("uptd-ppa-1", "uptd-ppa-head-1", "city-board-1")
    ]
    await let_pass(city, case_id, timedelta(minutes=15))
    await eventually(lambda: _holds(late_at(city, case_id, 200), set(of)))
    await eventually(lambda: none_waits(city))

    assert above >= of.keys() - {"uptd-ppa", "satgas-kel-bandar-lor"}
    assert "uptd-ppa" in above_uptd
    assert of_board == set()
    for number, address in ((HEAD, "kepala@uptd-ppa.example"), (BOARD, "piket@gugus-tugas.example")):
        twice = [text for text in await texts_to(city, number) if is_escalated(text)]
        mails = [text for text in await texts_to(city, address, "mail") if is_escalated(text)]
        assert codes(mails) >= set().union(*of.values())
        # One message names all referrals of the case that are late together.
        assert 1 <= len(twice) < len(of)
    board = await open_page(city)
    assert board.count("terlambat, dua kali batas") >= sum(map(len, of.values()))


async def test_what_was_accepted_or_voided_while_the_gateway_was_down_leaves_nothing_behind(
    silent_city: LocalCity,
) -> None:
    city = silent_city
    await gateway(city, "on")
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
    await eventually(lambda: none_waits(city))
    await eventually(lambda: _is_ready(city, 200, "ready"))

    assert "rs-rujukan" in await announced_by_sms(city, kept)
    assert not await announced_by_sms(city, kept) & set(WITH_A_CONSUMER)
    assert await announced_by_sms(city, voided) == set()

    async def each_notification_is_one_sms() -> bool:
        query = "SELECT DISTINCT notification_id FROM alert WHERE channel = 'sms' AND state = 'sent'"
        return len(await rows(city, "notify", query)) == len(await texts_to(city, "+62"))

    # Reminders may still leave between the two counts.
    await eventually(each_notification_is_one_sms)
    async with aiohttp.ClientSession() as session, session.get(city.metrics_url("notify")) as answer:
        assert 'simpul_alerts_suppressed_total{reason="settled"}' in await answer.text()


async def _is_ready(city: LocalCity, status: int, text: str) -> bool:
    """Whether notify answers with this status and text; meanwhile accepted messages show that it still consumes."""
    async with aiohttp.ClientSession() as session, session.get(city.url("notify") + "/health/ready") as answer:
        return answer.status == status and text in await answer.text()


async def _void(city: LocalCity, case_id: str) -> None:
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    match = {"If-Match": headers["ETag"]}
    status, refusal, _ = await call(
        city, "POST", f"/cases/{case_id}/void", json={"reason": "entered twice"}, headers=match
    )
    assert status == 204, refusal


async def _all_accepted(city: LocalCity, case_id: str, of: dict[str, set[str]]) -> bool:
    accepted = await rows(
        city,
        "routing",
        "SELECT referral_id FROM referral JOIN referral_service USING (referral_id) WHERE case_id = $1"
        " GROUP BY referral_id HAVING bool_and(state = 'accepted')",
        case_id,
    )
    noted = await rows(
        city,
        "notify",
        "SELECT DISTINCT a.referral_id FROM alert a JOIN referral_service s ON s.service_id = ANY(a.services)"
        " WHERE a.case_id = $1 AND s.progress > 0",
        case_id,
    )
    expected = len(of.keys() & set(WITH_A_CONSUMER))
    return len(accepted) == len(noted) == expected


async def _holds(found: Awaitable[set[str]], wanted: set[str]) -> bool:
    return wanted <= await found
