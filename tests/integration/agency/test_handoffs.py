"""Without programming: what comes goes to the agency's own software, and what that says goes to the city."""

import asyncio
import csv
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError
from sqlalchemy import text
from standardwebhooks import Webhook

from simpul_agency.drivers import driver_for
from simpul_agency.handoff import HandOffs, HandOffSettings
from simpul_agency.handoff.chosen import NothingChosen
from simpul_agency.handoff.document import COLUMNS
from simpul_agency.handoff.table import Table
from simpul_agency.received import Received
from simpul_agency.sandbox.process import free_port
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_schema.messages import ReferralOfferedV1
from simpul_seal import verify
from tests.integration.agency.conftest import SAMPLES, Town
from tests.support.ledger import eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@asynccontextmanager
async def handing_over(town: Town, **settings: Any) -> AsyncIterator[None]:
    """The kit at work with these hand-offs."""
    agency = town.agency()
    HandOffs(agency, HandOffSettings(**settings))
    await agency.start()
    try:
        yield
    finally:
        await agency.stop()


class Receiver:
    """The agency's own system, behind HTTP."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self._answers = list(answers)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        port = free_port()
        application = web.Application()
        application.router.add_post("/referrals", self._take)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}/referrals"
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status, text = self._answers.pop(0) if self._answers else (204, "")
        return web.Response(status=status, text=text, content_type="application/json")


async def test_webhook_is_signed_retried_and_may_answer_at_once(town: Town) -> None:
    receiver, offer = Receiver((503, ""), (200, '{"reply": "accepted"}')), town.offer()
    async with receiver.listening() as url, handing_over(town, webhook_url=url, webhook_secret=SecretStr(SECRET)):
        await town.send(offer)
        await town.hears(offer, "delivered", "accepted")

    assert len(receiver.got) == 2
    for headers, body in receiver.got:
        event = Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
        assert headers["Content-Type"] == "application/cloudevents+json"
        assert verify(body, headers["simpul-signature"], town.directory, datetime.now(UTC)) == "ylpa"
        assert headers["webhook-id"] == event["id"] == offer["id"]
        assert event["data"]["facts"]["violence"] == ["physical"]
        assert "sealed" not in event["data"]


async def test_spool_has_a_file_and_a_row_for_each_event_and_takes_replies(town: Town, tmp_path: Path) -> None:
    spool, offer = tmp_path / "spool", town.offer()
    async with handing_over(town, spool_folder=spool):
        await town.send(offer, town.cancel(offer))
        await town.hears(offer, "delivered")

        async def both_are_there() -> bool:
            return len(list((spool / "new").glob("*.json"))) == 2

        await eventually(both_are_there)
        said = {"referral_id": offer["data"]["referral_id"], "reply": "declined", "reason": "no_capacity"}
        (spool / "replies" / "one.json").write_text(json.dumps(said))
        (spool / "replies" / "two.json").write_text(json.dumps(said | {"reason": None}))
        (spool / "replies" / "three.json").write_text(json.dumps(said | {"referral_id": offer["id"]}))
        await town.hears(offer, "delivered", "declined")

        async def wrong_ones_are_aside() -> bool:
            return len(list((spool / "replies" / "wrong").glob("*.why.txt"))) == 2

        await eventually(wrong_ones_are_aside)
        # What cannot be read stops nothing that comes after it.
        (spool / "replies" / "a-folder.json").mkdir()
        # A process that dies after it said it, and before it took the file away, finds it again.
        (spool / "replies" / "one.json").write_text(json.dumps(said))
        await asyncio.sleep(1.5)
        await town.hears(offer, "delivered", "declined")

    rows = list(csv.DictReader((spool / "referrals.csv").read_text().splitlines()))
    assert [row["type"] for row in rows] == ["referral.offered.v1", "referral.cancelled.v1"]
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["violence"] == "physical"
    assert (spool / "referrals.csv").stat().st_mode & 0o077 == 0
    assert "declined needs reason" in (spool / "replies" / "wrong" / "two.json.why.txt").read_text()
    assert "was not offered" in (spool / "replies" / "wrong" / "three.json.why.txt").read_text()
    assert [path.name for path in (spool / "replies").glob("*.json")] == ["a-folder.json"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_table_has_a_row_for_each_event_and_takes_replies(
    town: Town, tmp_path: Path, backends: Backends, kind: str
) -> None:
    offer = town.offer()
    referral = offer["data"]["referral_id"]
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    if kind == "postgresql":
        name = f"theirs_{offer['id'][:8]}"
        await create_databases(backends.postgres_url, {"theirs": name})
        url = backends.database_url(name)

    async def execute(query: str) -> list[tuple[Any, ...]]:
        if kind == "sqlite":
            with sqlite3.connect(tmp_path / "theirs.db") as database:
                return database.execute(query).fetchall()
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async with handing_over(town, table_url=url):
        await town.send(offer)
        await town.hears(offer, "delivered")

        async def is_there() -> bool:
            rows = await execute("SELECT referral_id, kecamatan FROM simpul_referral")
            return rows == [(referral, "Mojoroto")]

        await eventually(is_there)
        reply = "INSERT INTO simpul_reply (id, referral_id, reply, outcome) VALUES"
        await execute(f"{reply} ('1', '{referral}', 'accepted', NULL), ('2', '{referral}', 'completed', NULL)")
        await execute(f"{reply} ('3', '{referral}', 'completed', 'served')")
        await town.hears(offer, "delivered", "accepted", "completed")

        async def fates_are_told() -> bool:
            rows = await execute("SELECT taken FROM simpul_reply ORDER BY id")
            return [str(row[0])[:3] for row in rows] == ["yes", "no:", "yes"]

        await eventually(fates_are_told)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_table_of_an_earlier_version_gets_the_columns_it_lacks(
    tmp_path: Path, backends: Backends, kind: str
) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    if kind == "postgresql":
        name = f"theirs_{uuid4().hex[:8]}"
        await create_databases(backends.postgres_url, {"theirs": name})
        url = backends.database_url(name)
    earlier = [name for name in (*COLUMNS, "event") if name not in ("kecamatan", "event_id")]
    definition = ", ".join(f"{name} text NOT NULL" for name in (*earlier, "of_before"))
    driver = driver_for(url)
    await driver.open()
    await driver.run_exclusively(
        lambda connection: connection.exec_driver_sql(
            f"CREATE TABLE simpul_referral (event_id text PRIMARY KEY, {definition}, of_theirs text)"
        )
    )
    received = Received(ReferralOfferedV1.model_validate(SAMPLES["referral.offered.v1"]))
    table = Table(url)
    await table.open()

    await table.take(received)

    kept = text("SELECT event_id, kecamatan, of_before, of_theirs FROM simpul_referral")
    rows = await driver.run(lambda tables: tables.fetch(kept))
    assert rows == [(str(received.event.id), "", "", None)]
    await table.close()
    await driver.close()


async def test_program_reads_the_event_and_is_started_again_when_it_fails(town: Town, tmp_path: Path) -> None:
    offer, log = town.offer(), tmp_path / "log"
    program = tmp_path / "program.py"
    program.write_text(
        "import json, os, sys\n"
        "event = json.load(sys.stdin)\n"
        f"open({str(log)!r}, 'a').write(event['data']['facts']['kecamatan'] + '\\n')\n"
        "assert not [name for name in os.environ if name.startswith('SIMPUL')]\n"
        f"if len(open({str(log)!r}).readlines()) < 2: sys.exit(1)\n"
        'print(json.dumps({"reply": "scheduled", "scheduled_for": "2026-11-25T09:00:00+07:00"}))\n'
    )
    async with handing_over(town, program=f"{sys.executable} {program}"):
        await town.send(offer)
        await town.hears(offer, "delivered", "scheduled")

    assert log.read_text().splitlines() == ["Mojoroto", "Mojoroto"]


async def test_an_answer_about_another_referral_is_about_that_one_and_one_to_a_refusal_does_no_harm(
    town: Town,
) -> None:
    first, second = town.offer(), town.offer()
    other = json.dumps({"reply": "accepted", "referral_id": first["data"]["referral_id"]})
    receiver = Receiver((204, ""), (200, other), (200, '{"reply": "started"}'))
    async with receiver.listening() as url, handing_over(town, webhook_url=url, webhook_secret=SecretStr(SECRET)):
        await town.send(first)
        await town.hears(first, "delivered")
        await town.send(second)
        await town.hears(first, "delivered", "accepted")
        await town.send(town.refusal(first))
        await town.hears(first, "delivered", "accepted", "started")

    assert town.replies(second) == ["delivered"]
    assert len(receiver.got) == 3


async def test_every_hand_off_gets_every_event(town: Town, tmp_path: Path) -> None:
    receiver, offer = Receiver(), town.offer()
    async with receiver.listening() as url:
        chosen = {"webhook_url": url, "webhook_secret": SecretStr(SECRET), "spool_folder": tmp_path / "spool"}
        async with handing_over(town, **chosen, automatic="accepted"):
            await town.send(offer, town.cancel(offer))
            await town.hears(offer, "delivered", "accepted")

            async def all_came() -> bool:
                return len(receiver.got) == len(list((tmp_path / "spool" / "new").glob("*.json"))) == 2

            await eventually(all_came)


def test_facts_do_not_travel_in_clear_and_a_choice_must_be_made(town: Town) -> None:
    with pytest.raises(ValidationError, match="https"):
        HandOffSettings(webhook_url="http://elsewhere.example/", webhook_secret=SecretStr(SECRET))
    with pytest.raises(ValidationError, match="whsec_"):
        HandOffSettings(webhook_url="https://elsewhere.example/")
    with pytest.raises(NothingChosen, match="SIMPUL_AGENCY_WEBHOOK_URL"):
        HandOffs(town.agency(), HandOffSettings())
