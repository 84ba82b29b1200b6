"""The notification log answers: whom did we inform, by which means, how soon, and what came of it?"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from simpul_agency.sandbox.process import free_port
from simpul_cli.app import app
from simpul_desk.access import Actor
from simpul_desk.service_api import NotifyApi, ServiceUnavailable
from simpul_dev.backends import Backends
from simpul_notify.domain.deliveries import DeliveryState
from simpul_notify.reach_api import REACH, add_reach_routes
from simpul_notify.use_cases import AuditAlerts
from simpul_runtime.metrics import REGISTRY
from simpul_runtime.signing import Keys
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import ActorRole, AlertChannel
from simpul_seal import Directory, generate
from tests.integration.notify.room import ROSTER, START, Referral, Room, a_room, serving_web
from tests.support.agreements import CITY, KEDIRI

DUTY = "+6283400111006"


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        prepared.roster = replace(ROSTER, coordinator="")
        yield prepared


async def run(room: Room, *command: str) -> Result:
    arguments = ["notify", *command, "--database-url", room.url, "--city-dir", str(KEDIRI)]
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


def rows_of(shown: Result) -> list[dict[str, str]]:
    assert shown.exit_code == 0, shown.output
    return list(csv.DictReader(io.StringIO(shown.stdout)))


@pytest.fixture
async def referrals(room: Room) -> list[Referral]:
    """Five cases: three SMS arrive, after 20, 30 and 90 s; the second is acknowledged after 50 s."""
    sent = [Referral() for _ in range(3)]
    async with room.running():
        for number, referral in enumerate(sent):
            await room.offer(referral)
            message = await room.phone(DUTY).expect_sms(referral_code(referral.referral_id))
            await room.wait_until_none_is_pending()
            await room.report(room.handset.arrivals[number], 1)
            if number == 1:
                await message.press("on_it")
        failing = Referral()
        await room.offer(failing)
        await room.phone(DUTY).expect_sms(referral_code(failing.referral_id))
        await room.wait_until_none_is_pending()
        await room.report(room.handset.arrivals[-1], 2)
        nobody = Referral("ylpa")
        room.roster = replace(room.roster, on_duty={})
        await room.offer(nobody)
    for referral, seconds in zip(sent, (20, 30, 90), strict=True):
        notification = "(SELECT notification_id FROM alert WHERE referral_id = $1 AND channel = 'sms')"
        await room.rows(
            "UPDATE delivery d SET accepted_at = n.created_at, state_at = n.created_at + make_interval(secs => $2)"
            f" FROM notification n WHERE n.notification_id = d.notification_id AND n.notification_id = {notification}",
            referral.referral_id,
            seconds,
        )
    await room.rows("UPDATE notification SET answered_at = created_at + interval '50 seconds' WHERE answer IS NOT NULL")
    return [*sent, failing, nobody]


async def test_the_report_says_for_each_party_whom_how_and_how_soon(room: Room, referrals: list[Referral]) -> None:
    [month] = await room.rows("SELECT to_char(now() AT TIME ZONE $1, 'YYYY-MM') AS month", CITY.zone.key)

    found = rows_of(await run(room, "reach", "--csv"))

    assert [(row["month"], row["party"], row["by"]) for row in found] == [
        (month["month"], "rs-rujukan", ""), (month["month"], "rs-rujukan", "mail"),
        (month["month"], "rs-rujukan", "sms"), (month["month"], "ylpa", ""),
    ]  # fmt: skip
    events, _, sms, silent = found
    assert [events[name] for name in ("events", "informed", "messages")] == ["4", "4", ""]
    assert [sms[name] for name in ("events", "messages", "arrived", "failed", "acknowledged")] == [
        "",
        "4",
        "3",
        "1",
        "1",
    ]
    assert (sms["arrival_seconds"], sms["answer_seconds"]) == ("30", "50")
    assert [silent[name] for name in ("events", "informed", "messages")] == ["1", "0", ""]
    assert rows_of(await run(room, "reach", "--csv", "--month", "2020-01")) == []


async def test_an_event_counts_once_however_often_it_is_alerted_about(room: Room) -> None:
    async with room.running():
        await room.step("escalated", Referral(), "answer", "city-board")
        await room.wait_until_none_is_pending()
        await room.rows("UPDATE escalation SET state = 'ended', ended_at = now() - interval '5 hours'")
        assert await room.escalate.repeat_unanswered() == 1
        await room.wait_until_none_is_pending()

    events = [row["events"] for row in rows_of(await run(room, "reach", "--csv"))]

    assert len(await room.rows("SELECT FROM escalation")) == 2
    assert [count for count in events if count] == ["1"]


async def test_a_message_that_one_of_two_providers_has_taken_has_not_failed(
    room: Room, referrals: list[Referral]
) -> None:
    await room.rows(
        "INSERT INTO delivery (notification_id, provider, state, state_at, accepted_at)"
        " SELECT notification_id, 'kannel/second', $1, now(), now() FROM delivery WHERE state = $2",
        int(DeliveryState.ACCEPTED),
        int(DeliveryState.FAILED),
    )

    [sms] = [row for row in rows_of(await run(room, "reach", "--csv")) if row["by"] == "sms"]

    assert (sms["messages"], sms["arrived"], sms["failed"]) == ("4", "3", "0")


async def test_the_report_is_divided_by_person_or_by_provider_and_has_no_number(
    room: Room, referrals: list[Referral]
) -> None:
    people = rows_of(await run(room, "reach", "--by", "responder", "--csv"))
    providers = rows_of(await run(room, "reach", "--by", "provider", "--csv"))
    shown = await run(room, "reach")

    assert {row["person"] for row in people} == {"rs-rujukan-1", ""}
    assert {(row["by"], row["provider"]) for row in providers} == {("sms", "kannel"), ("mail", "smtp"), ("", "")}
    assert "rs-rujukan" in shown.stdout
    assert "83400" not in shown.stdout + str(people)
    assert (await run(room, "reach", "--month", "November")).exit_code == 2


@asynccontextmanager
async def served(room: Room, issuer: str = "desk") -> AsyncIterator[NotifyApi]:
    """The report by HTTP, and the desk's client with keys of a party."""
    ring, public = generate(issuer, not_before=START - timedelta(days=400), not_after=START + timedelta(days=4000))
    keys = Keys(ring, Directory([public]))
    web = FastAPI()
    add_reach_routes(web, room.engine, keys, CITY, {"hospital-head": "rs-rujukan", "city-board": ""})
    url = f"http://127.0.0.1:{free_port()}"
    client = NotifyApi(url, keys)
    running = asyncio.create_task(client.run())
    async with serving_web(web, url):
        yield client
    running.cancel()
    await asyncio.wait([running])


async def test_a_coordinator_reads_the_whole_report_at_the_desk_and_a_lead_that_of_the_own_agency(
    room: Room, referrals: list[Referral]
) -> None:
    async def parties(role: ActorRole, agency: str) -> set[str]:
        answer = await client.get(Actor(uuid4(), agency, role), REACH, by="agency")
        at = answer.content["columns"].index("party")
        return {row[at] for row in answer.content["rows"]}

    async with served(room) as client:
        assert await parties(ActorRole.COORDINATOR, "uptd-ppa") == {"rs-rujukan", "ylpa"}
        assert await parties(ActorRole.AGENCY_LEAD, "rs-rujukan") == {"rs-rujukan"}
        assert await parties(ActorRole.AGENCY_LEAD, "polres-ppa") == set()
        months = await client.get(Actor(uuid4(), "uptd-ppa", ActorRole.COORDINATOR), REACH, month="2020-01")
        assert months.content["rows"] == []


async def test_the_figures_of_a_level_belong_to_the_agency_that_it_is_part_of(room: Room) -> None:
    async with room.running():
        await room.step("escalated", Referral(), "answer", "hospital-head")
    async with served(room) as client:
        answer = await client.get(Actor(uuid4(), "rs-rujukan", ActorRole.AGENCY_LEAD), REACH)

    assert {row[1] for row in answer.content["rows"]} == {"hospital-head"}


@pytest.mark.parametrize("role", [ActorRole.RESPONDER, ActorRole.CASE_MANAGER, ActorRole.OPERATOR])
async def test_nobody_else_reads_the_report(room: Room, role: ActorRole) -> None:
    someone = Actor(uuid4(), "rs-rujukan", role)
    coordinator = Actor(uuid4(), "uptd-ppa", ActorRole.COORDINATOR)
    async with served(room) as client, served(room, "routing") as other:
        with pytest.raises(ServiceUnavailable):
            await client.get(someone, REACH)
        # Only the desk may say who reads.
        with pytest.raises(ServiceUnavailable):
            await other.get(coordinator, REACH)
        assert (await client.get(coordinator, REACH)).content["rows"] == []


async def test_how_soon_people_are_reached_is_measured_by_provider(room: Room, referrals: list[Referral]) -> None:
    async def send_heartbeat() -> None:
        """Nobody watches."""

    async with room.running():
        await AuditAlerts(room.transactions, send_heartbeat).audit()

    measured = {
        name: REGISTRY.get_sample_value(f"simpul_message_{name}_seconds", {"provider": "kannel"})
        for name in ("arrival", "answer")
    }
    assert measured["arrival"] == pytest.approx(30, abs=5)
    assert measured["answer"] == pytest.approx(50, abs=5)


async def test_the_log_of_a_referral_says_what_came_of_each_alert(room: Room, referrals: list[Referral]) -> None:
    acknowledged, failed, nobody = referrals[1], referrals[3], referrals[4]

    async def logged(referral: Referral) -> list[tuple[str, ...]]:
        found = rows_of(await run(room, "log", referral_code(referral.referral_id), "--csv"))
        names = ("about", "person", "by", "state", "reason", "provider", "delivery", "answer")
        return sorted(tuple(row[name] for name in names) for row in found)

    mail = ("offered", "rs-rujukan-1", "mail", "sent", "", "smtp", "accepted", "")
    sms = ("offered", "rs-rujukan-1", "sms")
    assert await logged(acknowledged) == [mail, (*sms, "sent", "", "kannel", "on_handset", "on_it")]
    assert await logged(failed) == [mail, (*sms, "failed", "undelivered", "kannel", "failed", "")]
    assert {row[3:5] for row in await logged(nobody)} == {("failed", "nobody_on_duty")}
    assert (await run(room, "log", "R-000000")).exit_code == 1
    assert AlertChannel.SMS.value in (await run(room, "log", referral_code(acknowledged.referral_id))).stdout
