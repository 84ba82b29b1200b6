"""What an operator does when messages reach nobody: repair, try again, and call."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simpul_cli import notify
from simpul_cli.app import app
from simpul_dev.backends import Backends
from simpul_notify.domain.contact_rules import ContactRules
from simpul_notify.domain.responders import Responder
from simpul_notify.domain.safe_hours import SafeHours
from simpul_runtime.metrics import REGISTRY
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel
from tests.integration.notify.room import ROSTER, Referral, Room, a_room
from tests.support.agreements import CITY, KEDIRI
from tests.support.ledger import eventually

RULES = ContactRules(CITY.zone)
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=CITY.zone)


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        yield prepared


async def _is_tried(room: Room) -> bool:
    return bool(await room.rows("SELECT FROM alert WHERE channel = 'sms' AND attempts > 0 AND leased_until IS NULL"))


async def test_after_a_repair_retry_sends_at_once(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.integration.notify.room.PASSWORD", "wrong")
    labels = {"provider": "kannel", "outcome": "rejected_temporarily", "problem": "wrong_credentials"}
    room.first_retry_delay = 60
    person = replace(ROSTER.responders["rs-rujukan-1"], further_methods={AlertChannel.SMS: ("+6283400119009",)})
    room.roster = replace(ROSTER, responders={**ROSTER.responders, "rs-rujukan-1": person})
    async with room.running():
        await room.offer(Referral())
        await eventually(lambda: _is_tried(room))
    await room.rows("UPDATE alert SET channel = 'sms/2' WHERE channel = 'sms'")
    refused = REGISTRY.get_sample_value("simpul_provider_attempts_total", labels)
    monkeypatch.undo()
    async with room.running():
        count = await notify.retry_alerts(room.url, "sms")
        await room.wait_until_none_is_pending()

    assert refused
    assert count == 1
    assert len(room.sms_to()) == 1


async def test_who_was_reached_by_nothing_is_called(room: Room) -> None:
    referral, other = Referral(), Referral(urgency="medium")
    room.handset.is_failing = True
    room.mailbox.data_answers = ["451 later"] * 50
    room.first_retry_delay = 60
    async with room.running():
        await room.offer(referral, other)
        await eventually(lambda: _is_tried(room))
        early = await notify.find_calls(room.url)
        await room.rows("UPDATE alert SET created_at = created_at - interval '6 minutes'")
        [call] = await notify.find_calls(room.url)
        command = ["notify", "calls", "--database-url", room.url, "--city-dir", str(KEDIRI)]
        shown = await asyncio.to_thread(CliRunner().invoke, app, command)
        ended = await notify.record_call(room.url, call.code.lower())
        later = await notify.find_calls(room.url)

    assert early == later == []
    assert (call.code, call.party, call.minutes) == (referral_code(referral.referral_id), "rs-rujukan", 6)
    assert notify.find_people_to_call(ROSTER, call.party, RULES, NOON) == ["rs-rujukan-1 +6283400111006"]
    # The list on the screen ends with what to say, and what not.
    assert all(text in shown.output for text in (call.code, "+6283400111006", "Rujukan KODE menunggu jawaban"))
    assert "no voice message" in shown.output
    assert ended == 2
    assert await room.states(referral_id=referral.referral_id) == ["suppressed", "suppressed"]
    assert await room.states(referral_id=other.referral_id) == ["pending", "pending"]


def test_nobody_is_called_outside_safe_hours_or_on_a_number_that_is_never_used() -> None:
    sleeping, unwanted, lead, coordinator = "+6283400119001", "+6283400119002", "+6283400119003", "+6283400119004"
    people = [
        Responder("one", "id", {AlertChannel.SMS: sleeping}, safe_hours=SafeHours.read("06.00-11.00")),
        Responder("two", "id", {AlertChannel.SMS: unwanted}, further_methods={AlertChannel.SMS: (lead,)}),
        Responder("hub", "id", {AlertChannel.SMS: coordinator}),
    ]
    one, two, hub = people
    rules = replace(RULES, never=frozenset({unwanted.strip("+")}))

    def listed(*on_duty: Responder) -> list[str]:
        roster = replace(ROSTER, on_duty={"ylpa": on_duty, "uptd-ppa": (hub,)}, leads={}, coordinator="uptd-ppa")
        return notify.find_people_to_call(roster, "ylpa", rules, NOON)

    assert listed(one, two) == ["one (not before 06.00 WIB)", f"two {lead}"]
    assert listed(one) == ["one (not before 06.00 WIB)", f"hub {coordinator}"]


async def test_what_was_answered_needs_no_call(room: Room) -> None:
    referral = Referral()
    room.handset.is_failing = True
    room.mailbox.data_answers = ["451 later"] * 50
    async with room.running():
        await room.offer(referral)
        await eventually(lambda: _is_tried(room))
        await room.receive("referral.accepted.v1", referral)
        await room.rows("UPDATE alert SET created_at = created_at - interval '6 minutes', state = 'failed'")

        assert await notify.find_calls(room.url) == []
        assert await notify.record_call(room.url, "R-000000") == 0


def test_preview_shows_every_text_with_its_length() -> None:
    shown = CliRunner().invoke(app, ["notify", "preview", "--city-dir", str(KEDIRI), "--kind", "offered"])

    assert shown.exit_code == 0
    assert "== offered sms id\nSimpul: R-000000 menunggu jawaban Anda." in shown.stdout
    assert "of 160)" in shown.stdout


def test_preview_names_the_line_of_a_fault(tmp_path: Path) -> None:
    for path in KEDIRI.iterdir():
        if path.name != "messages.yaml":
            (tmp_path / path.name).symlink_to(path)
    texts = (KEDIRI / "messages.yaml").read_text()
    (tmp_path / "messages.yaml").write_text(texts.replace("Confirm: {link}", "Confirm: {child}", 1))
    line = texts[: texts.index("Confirm: {link}")].count("\n") + 1

    shown = CliRunner().invoke(app, ["notify", "preview", "--city-dir", str(tmp_path)])

    assert shown.exit_code == 1
    assert f"messages.yaml:{line}: sms offered en may only use code" in shown.output
