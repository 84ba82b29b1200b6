"""Kill -9 of notify in the middle of a message to a real Kannel: nothing is lost, and only that one may come twice."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from simpul_dev.backends import Backends
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.conftest import Kannel
from tests.integration.notify.room import ROSTER, Referral, Room, a_room
from tests.support.ledger import eventually

AGENCIES = ("polres-ppa", "ylpa", "dinsos-peksos", "klinik-pendidikan", "rs-rujukan", "satgas-kec-kota")
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        prepared.roster = replace(ROSTER, channels=dict.fromkeys(ROSTER.channels, (AlertChannel.SMS,)))
        yield prepared


async def record(room: Room) -> dict[str, str]:
    """Records an alert for a person of each agency, which nobody sends yet; returns the code for each number."""
    referrals = [Referral(agency) for agency in AGENCIES]
    async with room.running():
        await room.stop_sender()
        await room.offer(*referrals)
    return {
        room.roster.on_duty[one.agency][0].contact_methods[AlertChannel.SMS]: referral_code(one.referral_id)
        for one in referrals
    }


@asynccontextmanager
async def a_sender(room: Room, kannel: Kannel, point: str, count: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.doomed_sender", room.url, kannel.url, point, str(count), cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("point", "doubled"), [("before_handover", 0), ("after_acceptance", 1)], ids=["before-handover", "after-acceptance"]
)
async def test_a_killed_sender_loses_nothing_and_repeats_only_what_its_gateway_had_just_taken(
    room: Room, kannel: Kannel, point: str, doubled: int
) -> None:
    codes = await record(room)
    known = {number: len(kannel.delivered_to(number)) for number in codes}

    def arrived() -> dict[str, list[str]]:
        return {number: kannel.delivered_to(number)[known[number] :] for number in codes}

    async with a_sender(room, kannel, point, 3) as killed, asyncio.timeout(90):
        assert await killed.wait() == -signal.SIGKILL
    waiting = await room.rows("SELECT alert_id FROM alert WHERE state = 'pending'")
    in_flight = await room.rows("SELECT alert_id FROM alert WHERE state = 'pending' AND leased_until > now()")
    # The lease of the killed process ends.
    await room.rows("UPDATE alert SET leased_until = now() WHERE state = 'pending'")
    async with a_sender(room, kannel, "never", 0):
        await room.wait_until_none_is_pending()

        async def has_everything() -> bool:
            return sum(map(len, arrived().values())) == len(codes) + doubled

        await eventually(has_everything)

    assert len(waiting) == len(codes) - 2
    assert len(in_flight) == 1
    found = arrived()
    assert all(codes[number] in text for number, texts in found.items() for text in texts)
    assert sorted(map(len, found.values())) == [*[1] * (len(codes) - doubled), *[2] * doubled]
    # Whoever gets it twice gets the same referral, so that one answer settles both.
    assert await room.states() == ["sent"] * len(codes)
