"""The log of messages is deleted when its time has passed, case by case."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text

from simpul_dev.backends import Backends
from simpul_notify.repository import retention
from simpul_notify.use_cases import DeleteExpired
from simpul_runtime.database import utc_now
from tests.integration.notify.room import Referral, Room, a_room

TABLES = ("alert", "notification", "delivery", "escalation", "referral_service")


@pytest.fixture
async def room(backends: Backends, tmp_path: Path) -> AsyncIterator[Room]:
    async with a_room(backends, tmp_path) as prepared:
        yield prepared


async def make_old(room: Room, *cases: UUID) -> None:
    old = "now() - interval '400 days'"
    await room.rows(f"UPDATE alert SET created_at = {old} WHERE case_id = ANY($1)", cases)
    await room.rows(f"UPDATE escalation SET opened_at = {old} WHERE case_id = ANY($1)", cases)
    await room.rows(f"UPDATE notification SET created_at = {old}")


async def test_an_old_case_is_forgotten_with_its_messages_and_a_running_one_is_not(room: Room) -> None:
    ended, running = Referral(), Referral()
    async with room.running():
        await room.offer(ended, running)
        await room.wait_until_none_is_pending()
        await room.receive("referral.accepted.v1", ended)
        delete = DeleteExpired(room.transactions, timedelta(days=365))
        assert await delete.delete() == 0
        await make_old(room, ended.case_id, running.case_id)

        await delete.delete()

    assert {row["case_id"] for row in await room.rows("SELECT case_id FROM alert")} == {running.case_id}
    assert [row["case_id"] for row in await room.rows("SELECT case_id FROM escalation")] == [running.case_id]
    assert len(await room.rows("SELECT FROM notification")) == len(await room.rows("SELECT FROM delivery")) == 2
    assert await room.rows("SELECT FROM referral_service WHERE service_id = $1", ended.services[0]) == []


async def test_what_was_about_several_cases_stays_as_long_as_one_of_them(room: Room) -> None:
    ended, running = Referral(urgency="medium"), Referral(urgency="medium")
    room.bundle_period = 3600
    async with room.running():
        await room.offer(ended, running)
        await room.rows("UPDATE alert SET due_at = now() WHERE channel = 'sms'")
        await room.phone("").expect_sms("2 kasus, 2 rujukan")
        await room.wait_until_none_is_pending(channel="sms")
        await room.rows("DELETE FROM alert WHERE channel = 'mail'")
        await room.receive("referral.accepted.v1", ended)
        await make_old(room, ended.case_id, running.case_id)
        delete = DeleteExpired(room.transactions, timedelta(days=365))

        await delete.delete()
        assert len(await room.rows("SELECT FROM notification")) == 1
        await room.receive("referral.accepted.v1", running)
        await delete.delete()

    assert {table: len(await room.rows(f"SELECT FROM {table}")) for table in TABLES} == dict.fromkeys(TABLES, 0)


async def test_news_of_a_case_that_was_forgotten_reaches_no_excluded_party(room: Room) -> None:
    referral = Referral()
    async with room.running():
        await room.offer(referral)
        await room.wait_until_none_is_pending()
        await room.receive("referral.accepted.v1", referral)
        await room.receive("case.agency_excluded.v1", replace(referral, agency="uptd-ppa"), excluded_at=utc_now())
        await make_old(room, referral.case_id)

        assert await DeleteExpired(room.transactions, timedelta(days=365)).delete() > 0

    assert await room.rows("SELECT FROM alert") == []
    excluded = await room.rows("SELECT party FROM excluded_party WHERE case_id = $1", referral.case_id)
    assert {row["party"] for row in excluded} == {"uptd-ppa", "uptd-ppa-head"}


async def test_an_alert_that_is_added_while_its_case_expires_is_kept(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    referral = Referral()
    async with room.running():
        await room.offer(referral)
        await room.wait_until_none_is_pending()
        await room.receive("referral.accepted.v1", referral)
    await make_old(room, referral.case_id)
    first = "SELECT alert_id FROM alert ORDER BY alert_id LIMIT 1"
    await room.rows(f"UPDATE alert SET state = 'pending' WHERE alert_id = ({first})")
    # As if the case had been found just before.
    found = text("SELECT DISTINCT case_id FROM alert WHERE created_at < :before LIMIT :limit")
    monkeypatch.setattr(retention, "_FIND_EXPIRED_CASES", found)

    async with room.transactions.begin() as transaction:
        await retention.delete_expired(transaction, timedelta(days=365), 10)

    assert [row["state"] for row in await room.rows("SELECT state FROM alert")] == ["pending"]
    assert len(await room.rows("SELECT FROM referral_service")) == 1
