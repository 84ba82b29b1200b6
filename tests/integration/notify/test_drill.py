"""A drill alerts people by the real channels and says who was reached in which minute; real alerts stay as they are."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_dev.backends import Backends
from simpul_dev.demo.handset import ACCOUNT, PASSWORD
from simpul_notify.domain.answers import Answer
from simpul_notify.domain.deliveries import DeliveryState, Problem
from simpul_notify.domain.drill import DrillState, PartyDrill, drill_text, has_reached_all
from simpul_notify.domain.escalation_policy import EscalationPolicy, Methods
from simpul_notify.domain.notifications import EXAMPLE_URL, fits_one_sms
from simpul_notify.domain.responders import Responder
from simpul_notify.use_cases import Dispatch, PlayDrill
from simpul_notify.use_cases import play_drill as module
from simpul_schema.vocabulary import AlertChannel, Urgency
from tests.integration.notify.room import ROSTER, Referral, Room, a_room
from tests.support.agreements import KEDIRI

DUTY, SECOND, OTHER = "+6283400111006", "+6283400119001", "+6283400111001"


@pytest.fixture
async def room(backends: Backends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Room]:
    """The hospital has two people on duty."""
    monkeypatch.setattr(module, "POLL_INTERVAL", timedelta(milliseconds=20))
    second = Responder("second", "en", {AlertChannel.SMS: SECOND})
    async with a_room(backends, tmp_path) as prepared:
        prepared.roster = replace(
            ROSTER,
            on_duty={**ROSTER.on_duty, "rs-rujukan": (*ROSTER.on_duty["rs-rujukan"], second), "empty": ()},
            responders={**ROSTER.responders, "second": second},
            coordinator="",
        )
        yield prepared


def a_drill(room: Room) -> PlayDrill:
    """Whoever has not confirmed after a second is followed by the next."""
    quick = EscalationPolicy(Methods.PARALLEL, timedelta(minutes=1), timedelta(seconds=1))
    roster = replace(room.roster, policies={**ROSTER.policies, Urgency.HIGH: quick})
    dispatch = Dispatch(room.make_providers(), lambda: room.rules, timedelta(seconds=5), report_url=room.web_url)
    return PlayDrill(room.engine, roster, dispatch, "https://simpul.example")


async def test_the_next_person_is_alerted_until_one_confirms_and_a_real_alert_stays_open(room: Room) -> None:
    async with room.running():
        await room.offer(Referral())
        await room.wait_until_none_is_pending()
        before = len(room.announced)
        playing = asyncio.create_task(a_drill(room).run(["rs-rujukan"], timedelta(minutes=1)))
        first = await room.phone(DUTY).expect_sms("LATIHAN untuk rs-rujukan, tidak ada kasus")
        await room.report(next(one for one in room.handset.arrivals if one.text == first.text), 1)
        second = await room.phone(SECOND).expect_sms("DRILL for rs-rujukan, there is no case")
        # The answer to a drill is none to the older alert, about which nobody has done anything yet.
        assert await second.press("on_it") == 200
        [found] = await playing
        await first.reply("TERIMA")
        escalations = await room.rows("SELECT state FROM escalation")
        alerts = await room.rows("SELECT acknowledged_at FROM alert")
        answers = await room.rows("SELECT responder, answer FROM notification WHERE alerts = '{}' AND answer <> ''")

    by_sms = {one.recipient.responder: one for one in found.messages if one.recipient.channel is AlertChannel.SMS}
    assert found.state is DrillState.CONFIRMED
    assert by_sms["rs-rujukan-1"].delivery is DeliveryState.ON_HANDSET
    assert (by_sms["second"].answer, found.minute_of(by_sms["second"].answered_at or found.began_at)) == (
        Answer.ON_IT,
        1,
    )
    assert any("LATIHAN" in mail["Subject"] for mail in room.mailbox.mails)
    assert ([row["state"] for row in escalations], {row["acknowledged_at"] for row in alerts}) == (["open"], {None})
    assert sorted((row["responder"], row["answer"]) for row in answers) == [
        ("rs-rujukan-1", "on_it"),
        ("second", "on_it"),
    ]
    assert len(room.announced) == before


async def test_what_cannot_be_sent_and_parties_without_anybody_are_named(room: Room) -> None:
    room.handset.is_failing = True
    room.mailbox.data_answers = ["554 no"] * 50
    async with room.running():
        found = {one.party: one for one in await a_drill(room).run(["rs-rujukan", "empty"], timedelta(minutes=1))}

    assert found["empty"].state is DrillState.NOBODY
    assert found["rs-rujukan"].state is DrillState.EXHAUSTED
    assert {one.problem for one in found["rs-rujukan"].messages} >= {Problem.REFUSED}
    assert not has_reached_all(list(found.values()))


async def test_a_drill_ends_when_its_time_is_up(room: Room) -> None:
    async with room.running():
        [found] = await a_drill(room).run(["polres-ppa"], timedelta(seconds=0.3))

    assert found.state is DrillState.TIMED_OUT


async def test_the_command_plays_it_with_the_settings_of_notify(room: Room) -> None:
    environment = {
        "SIMPUL_DATABASES": f"notify={room.url}",
        "SIMPUL_PUBLIC_URL": "https://simpul.example",
        "SIMPUL_CITY_DIR": str(KEDIRI),
        "SIMPUL_PROVIDERS": "kannel",
        "SIMPUL_KANNEL_URL": room.sms_url,
        "SIMPUL_KANNEL_USER": ACCOUNT,
        "SIMPUL_KANNEL_PASSWORD": PASSWORD,
    }
    command = ["drill", "--party", "polres-ppa", "--yes", "--language", "id"]
    async with room.running():
        playing = asyncio.create_task(asyncio.to_thread(CliRunner().invoke, app, command, env=environment))
        sms = await room.phone(OTHER).expect_sms("LATIHAN untuk polres-ppa")
        assert await sms.press("on_it") == 200
        done = await playing
    planned = CliRunner().invoke(app, ["drill", "--dry-run", "--party", "polres-ppa"], env=environment)
    unknown = CliRunner().invoke(app, ["drill", "--dry-run", "--party", "nobody"], env=environment)

    assert done.exit_code == 0, done.output
    assert "menit 1: polres-ppa-1 lewat sms, untuk polres-ppa" in done.output
    assert OTHER[4:] not in done.output + planned.output
    assert "polres-ppa-1 (sms, mail)" in planned.output
    assert (unknown.exit_code, "the roster has no nobody" in unknown.output) == (2, True)


@pytest.mark.parametrize("language", ["id", "en", "jv"])
def test_an_sms_of_a_drill_is_one_segment_for_the_longest_name(language: str) -> None:
    text = drill_text(AlertChannel.SMS, language, max(ROSTER.on_duty, key=len), EXAMPLE_URL)

    assert fits_one_sms(text.body)


def test_minutes_count_from_one() -> None:
    began = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
    played = PartyDrill("rs-rujukan", began)

    assert [played.minute_of(began + timedelta(seconds=after)) for after in (0, 59, 60, 601)] == [1, 1, 2, 11]
