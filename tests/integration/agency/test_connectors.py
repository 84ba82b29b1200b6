"""Connectors pass events to the agency's own software, and its replies to the city."""

import asyncio
import csv
import json
import re
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
from aiohttp import ClientSession, web
from pydantic import SecretStr, ValidationError
from sqlalchemy import Connection, text
from standardwebhooks import Webhook

from simpul_agency.connectors import ConnectorRunner, ConnectorSettings, NoConnectorConfigured
from simpul_agency.connectors.event_document import COLUMNS, EVENT_COLUMNS
from simpul_agency.connectors.table import TableConnector
from simpul_agency.drivers import driver_for
from simpul_agency.received_event import ReceivedEvent
from simpul_agency.sandbox.process import free_port
from simpul_cli.databases import create_databases
from simpul_dev.backends import Backends
from simpul_schema.messages import ReferralOfferedV1
from simpul_seal import verify
from tests.integration.agency.conftest import SAMPLES, Town, a_service
from tests.support.ledger import eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@asynccontextmanager
async def running_connectors(town: Town, **settings: Any) -> AsyncIterator[None]:
    """Runs the kit with these connectors."""
    agency = town.agency()
    ConnectorRunner(agency, ConnectorSettings(**settings))
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


async def test_webhook_is_signed_and_retried_and_may_reply_at_once(town: Town) -> None:
    receiver, offer = Receiver((503, ""), (200, '{"reply": "accepted"}')), town.offer()
    async with receiver.listening() as url, running_connectors(town, webhook_url=url, webhook_secret=SecretStr(SECRET)):
        await town.send(offer)
        await town.expect_replies(offer, "delivered", "accepted")

    assert len(receiver.got) == 2
    for headers, body in receiver.got:
        event = Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
        assert headers["Content-Type"] == "application/cloudevents+json"
        assert verify(body, headers["simpul-signature"], town.directory, datetime.now(UTC)) == "ylpa"
        assert headers["webhook-id"] == event["id"] == offer["id"]
        assert event["data"]["facts"]["violence"] == ["physical"]
        assert "sealed" not in event["data"]


async def test_an_answer_may_accept_some_services_and_decline_others(town: Town) -> None:
    offer = town.offer("psychologist", "shelter", "legal_aid")
    [first, second, _] = (one["service_id"] for one in offer["data"]["services"])
    answer = [
        {"reply": "accepted", "service_ids": [first]},
        {"reply": "declined", "service_ids": [second], "reason": "no_capacity"},
    ]
    receiver = Receiver((200, json.dumps(answer)), (200, '{"reply": "accepted"}'))
    async with receiver.listening() as url, running_connectors(town, webhook_url=url, webhook_secret=SecretStr(SECRET)):
        await town.send(offer)
        await town.expect_replies(offer, "delivered", "accepted", "declined")
        added = a_service("counselling")
        await town.send(town.amendment(offer, offer["data"]["services"], added))
        await town.expect_replies(offer, "delivered", "accepted", "declined", "delivered", "accepted")

    assert town.replies_with_services(offer)[1:] == [
        ("accepted", ["psychologist"]), ("declined", ["shelter"]), ("delivered", []),
        ("accepted", [added["service_id"]]),
    ]  # fmt: skip
    listed = [one["service"] for one in json.loads(receiver.got[0][1])["data"]["services"]]
    assert listed == ["psychologist", "shelter", "legal_aid"]


async def test_spool_has_a_file_for_each_event_and_a_row_for_each_service_and_takes_replies(
    town: Town, tmp_path: Path
) -> None:
    spool, offer = tmp_path / "spool", town.offer("psychologist", "shelter")
    services = offer["data"]["services"]
    spool.mkdir()
    (spool / "referrals.csv").write_text("columns,of,an,earlier,version\n1,2,3,4,5\n")
    async with running_connectors(town, spool_folder=spool):
        await town.send(offer, town.cancel(offer, services=services[:1]))
        await town.expect_replies(offer, "delivered")

        async def both_are_there() -> bool:
            return len(list((spool / "new").glob("*.json"))) == 2

        await eventually(both_are_there)
        answer = {"referral_id": offer["data"]["referral_id"], "reply": "declined", "reason": "no_capacity"}
        answer |= {"service_ids": [services[1]["service_id"]]}
        (spool / "replies" / "one.json").write_text(json.dumps(answer))
        (spool / "replies" / "two.json").write_text(json.dumps(answer | {"reason": None}))
        (spool / "replies" / "three.json").write_text(json.dumps(answer | {"referral_id": offer["id"]}))
        await town.expect_replies(offer, "delivered", "declined")

        async def invalid_ones_are_rejected() -> bool:
            return len(list((spool / "replies" / "rejected").glob("*.reason.txt"))) == 2

        await eventually(invalid_ones_are_rejected)
        # What cannot be read stops nothing that comes after it.
        (spool / "replies" / "a-folder.json").mkdir()
        # A process that dies after it submitted a reply and before it deleted the file finds the file again.
        (spool / "replies" / "one.json").write_text(json.dumps(answer))
        await asyncio.sleep(1.5)
        await town.expect_replies(offer, "delivered", "declined")

    rows = list(csv.DictReader((spool / "referrals.csv").read_text().splitlines()))
    assert [(row["type"], row["service"], row["role"], row["is_new"]) for row in rows] == [
        ("referral.offered.v1", "psychologist", "lead", "true"),
        ("referral.offered.v1", "shelter", "lead", "true"),
        ("referral.cancelled.v1", "psychologist", "", "false"),
    ]
    assert tuple(rows[0]) == COLUMNS
    assert town.replies_with_services(offer)[1] == ("declined", ["shelter"])
    assert (spool / "referrals.1.csv").read_text().endswith("1,2,3,4,5\n")
    assert rows[0]["violence"] == "physical"
    assert (spool / "referrals.csv").stat().st_mode & 0o077 == 0
    assert "declined needs reason" in (spool / "replies" / "rejected" / "two.json.reason.txt").read_text()
    assert "was not offered" in (spool / "replies" / "rejected" / "three.json.reason.txt").read_text()
    assert [path.name for path in (spool / "replies").glob("*.json")] == ["a-folder.json"]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_table_has_a_row_for_each_event_and_takes_replies(
    town: Town, tmp_path: Path, backends: Backends, kind: str
) -> None:
    offer = town.offer("psychologist", "shelter")
    referral, services = offer["data"]["referral_id"], offer["data"]["services"]
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

    async with running_connectors(town, table_url=url):
        await town.send(offer)
        await town.expect_replies(offer, "delivered")

        async def is_there() -> bool:
            rows = await execute("SELECT referral_id, kecamatan FROM simpul_referral")
            return rows == [(referral, "Mojoroto")]

        await eventually(is_there)
        listed = await execute("SELECT service_id, service, is_new FROM simpul_service ORDER BY service")
        assert listed == [(one["service_id"], one["service"], "true") for one in services]
        first, both = services[0]["service_id"], "+".join(one["service_id"] for one in services)
        reply = "INSERT INTO simpul_reply (id, referral_id, reply, service_ids, outcome) VALUES"
        await execute(f"{reply} ('1', '{referral}', 'accepted', '{both}', NULL)")
        await execute(f"{reply} ('2', '{referral}', 'completed', '{first}', NULL)")
        await execute(f"{reply} ('3', '{referral}', 'completed', '{first}', 'served')")
        await town.expect_replies(offer, "delivered", "accepted", "completed")

        async def statuses_are_set() -> bool:
            rows = await execute("SELECT status FROM simpul_reply ORDER BY id")
            return [str(row[0]).partition(":")[0] for row in rows] == ["submitted", "rejected", "submitted"]

        await eventually(statuses_are_set)
        note = "INSERT INTO simpul_reply (id, referral_id, reply, about, text) VALUES"
        await execute(f"{note} ('4', '{referral}', 'note', 'school', 'Wenthilora waits in the library.')")
        await execute(f"{note} ('5', '{referral}', 'note', 'gossip', 'Wenthilora hides.')")
        await town.expect_replies(offer, "delivered", "accepted", "completed", "added")

        async def only_the_rejected_note_is_kept() -> bool:
            rows = await execute("SELECT text FROM simpul_reply WHERE reply = 'note' AND status <> '' ORDER BY id")
            return rows == [(None,), ("Wenthilora hides.",)]

        await eventually(only_the_rejected_note_is_kept)
    assert "Wenthilora" not in str(town.received)
    assert town.replies_with_services(offer)[1:] == [
        ("accepted", ["psychologist", "shelter"]),
        ("completed", ["psychologist"]),
        ("added", []),
    ]


def create_earlier_reply_table(connection: Connection) -> None:
    columns = "id text PRIMARY KEY, referral_id text NOT NULL, reply text NOT NULL, reason text, outcome text"
    connection.exec_driver_sql(f"CREATE TABLE simpul_reply ({columns}, scheduled_for text, taken text)")
    connection.exec_driver_sql(
        "INSERT INTO simpul_reply (id, referral_id, reply, taken) VALUES ('1', 'r', 'accepted', 'yes')"
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_table_of_an_earlier_version_gets_the_columns_it_lacks(
    tmp_path: Path, backends: Backends, kind: str
) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    if kind == "postgresql":
        name = f"theirs_{uuid4().hex[:8]}"
        await create_databases(backends.postgres_url, {"theirs": name})
        url = backends.database_url(name)
    earlier = [name for name in (*EVENT_COLUMNS, "event") if name not in ("kecamatan", "event_id")]
    definition = ", ".join(f"{name} text NOT NULL" for name in (*earlier, "service", "role"))
    driver = driver_for(url)
    await driver.open()
    await driver.run_exclusively(
        lambda connection: connection.exec_driver_sql(
            f"CREATE TABLE simpul_referral (event_id text PRIMARY KEY, {definition}, of_theirs text)"
        )
    )
    await driver.run_exclusively(create_earlier_reply_table)
    received = ReceivedEvent(ReferralOfferedV1.model_validate(SAMPLES["referral.offered.v1"]))
    table = TableConnector(url)
    await table.open()

    await table.deliver(received)

    kept = text("SELECT event_id, kecamatan, service, of_theirs FROM simpul_referral")
    rows = await driver.run(lambda tables: tables.fetch(kept))
    assert rows == [(str(received.event.id), "", "", None)]
    services = await driver.run(
        lambda tables: tables.fetch(text("SELECT service FROM simpul_service ORDER BY service"))
    )
    assert services == [("case_management",), ("psychologist",)]
    columns = text("SELECT id, status, service_ids, about, text FROM simpul_reply")
    replies = await driver.run(lambda tables: tables.fetch(columns))
    assert replies == [("1", "yes", None, None, None)]
    await table.close()
    await driver.close()


async def test_the_web_inbox_is_in_the_readers_language(town: Town) -> None:
    port, offer = free_port(), town.offer()
    pages = {}
    async with running_connectors(town, web_inbox_port=port), ClientSession() as client:
        await town.send(offer)
        await town.expect_replies(offer, "delivered")
        for language in ("id-ID,id;q=0.9", "en-US,en;q=0.5", "fr"):
            path = f"http://127.0.0.1:{port}/referrals/{offer['data']['referral_id']}"
            async with client.get(path, headers={"Accept-Language": language}) as response:
                pages[language] = await response.text()

    assert "Kotak masuk" in pages["id-ID,id;q=0.9"]
    assert "Jenis kekerasan" in pages["id-ID,id;q=0.9"]
    assert "Kinds of violence" in pages["en-US,en;q=0.5"]
    assert "waiting for an answer" in pages["en-US,en;q=0.5"]
    assert "Kotak masuk" not in pages["en-US,en;q=0.5"]
    assert "Kotak masuk" in pages["fr"]


async def test_the_web_inbox_says_how_many_referrals_there_are_and_shows_the_rest(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simpul_agency.connectors.web_inbox.PAGE", 2)
    port, offers = free_port(), [town.offer() for _ in range(3)]
    pages = {}
    async with running_connectors(town, web_inbox_port=port), ClientSession() as client:
        for offer in offers:
            await town.send(offer)
            await town.expect_replies(offer, "delivered")
        for query in ("", "?shown=4", "?shown=-1", "?shown=many", "?shown=9999999999999"):
            async with client.get(f"http://127.0.0.1:{port}/{query}", headers={"Accept-Language": "en"}) as response:
                pages[query] = await response.text()

    assert "2 of 3 referrals" in pages[""]
    assert 'href="/?shown=4"' in pages[""]
    assert "3 of 3 referrals" in pages["?shown=4"]
    assert "?shown=" not in pages["?shown=4"]
    for query in ("?shown=-1", "?shown=many", "?shown=9999999999999"):
        assert "2 of 3 referrals" in pages[query]


async def test_the_web_inbox_sends_a_note_that_nobody_on_the_way_can_read(town: Town) -> None:
    port, offer = free_port(), town.offer()
    async with running_connectors(town, web_inbox_port=port), ClientSession() as client:
        await town.send(offer)
        await town.expect_replies(offer, "delivered")
        path = f"http://127.0.0.1:{port}/referrals/{offer['data']['referral_id']}"
        async with client.get(path) as response:
            [token] = set(re.findall('name="token" value="([^"]+)"', await response.text()))
        form = {"token": token, "reply": "accepted", "service_ids": offer["data"]["services"][0]["service_id"]}
        async with client.post(path, data=form) as response:
            assert 'name="text"' in await response.text()
        form = {"token": token, "reply": "note", "about": "school", "text": "Wenthilora waits in the library."}
        async with client.post(path, data=form | {"about": ""}) as response:
            assert response.status == 422
        async with client.post(path, data=form) as response:
            assert response.status == 200
        await town.expect_replies(offer, "delivered", "accepted", "added")

    assert "Wenthilora" not in str(town.received)


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
    async with running_connectors(town, program=f"{sys.executable} {program}"):
        await town.send(offer)
        await town.expect_replies(offer, "delivered", "scheduled")

    assert log.read_text().splitlines() == ["Mojoroto", "Mojoroto"]


async def test_an_answer_may_be_about_another_referral_and_may_follow_a_refusal(
    town: Town,
) -> None:
    first, second = town.offer(), town.offer()
    other = json.dumps({"reply": "accepted", "referral_id": first["data"]["referral_id"]})
    receiver = Receiver((204, ""), (200, other), (200, '{"reply": "started"}'))
    async with receiver.listening() as url, running_connectors(town, webhook_url=url, webhook_secret=SecretStr(SECRET)):
        await town.send(first)
        await town.expect_replies(first, "delivered")
        await town.send(second)
        await town.expect_replies(first, "delivered", "accepted")
        await town.send(town.refusal(first))
        await town.expect_replies(first, "delivered", "accepted", "started")

    assert town.replies(second) == ["delivered"]
    assert len(receiver.got) == 3


async def test_every_connector_gets_every_event(town: Town, tmp_path: Path) -> None:
    receiver, offer = Receiver(), town.offer()
    async with receiver.listening() as url:
        chosen = {"webhook_url": url, "webhook_secret": SecretStr(SECRET), "spool_folder": tmp_path / "spool"}
        async with running_connectors(town, **chosen, auto_accept=True):
            await town.send(offer, town.cancel(offer))
            await town.expect_replies(offer, "delivered", "accepted")

            async def all_came() -> bool:
                return len(receiver.got) == len(list((tmp_path / "spool" / "new").glob("*.json"))) == 2

            await eventually(all_came)


def test_facts_leave_the_machine_only_by_https_and_a_connector_is_required(town: Town) -> None:
    with pytest.raises(ValidationError, match="https"):
        ConnectorSettings(webhook_url="http://elsewhere.example/", webhook_secret=SecretStr(SECRET))
    with pytest.raises(ValidationError, match="whsec_"):
        ConnectorSettings(webhook_url="https://elsewhere.example/")
    with pytest.raises(NoConnectorConfigured, match="SIMPUL_AGENCY_WEBHOOK_URL"):
        ConnectorRunner(town.agency(), ConnectorSettings())
