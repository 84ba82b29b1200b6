"""A breach: its clock, the children whose data were reachable, and notices that reach nobody but the safe contact."""

import json
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog

from simpul_intake.breach import NOTICE_PERIOD, BreachScope
from simpul_intake.errors import BreachUnknown, CaseNotBreached
from simpul_intake.use_cases import HandleBreaches, WatchBreaches
from simpul_intake.use_cases.watch_breaches import BREACH_DUE
from simpul_intake.vault import Vault
from simpul_runtime.audit import AuditFilter, find_entries
from simpul_runtime.database import utc_now
from tests.integration.intake.conftest import Room
from tests.support.agreements import CITY

SAFE, UNSAFE = "bibi Larasvindi, 080000077711", "080000077722"
IDENTITY = {
    "child_name": "Wenthilora Paksibumi",
    "guardian_name": "Quvandari",
    "guardian_phone": UNSAFE,
    "address": "Jalan Contoh 7",
    "safe_contact": SAFE,
}
SECRETS = ("Wenthilora", "Quvandari", UNSAFE, "Contoh 7")


def everything() -> BreachScope:
    return BreachScope(utc_now() - timedelta(days=1), utc_now() + timedelta(minutes=1), whole_vault=True)


def _same(moment: datetime) -> datetime:
    return moment


async def a_case(room: Room, **identity: Any) -> UUID:
    return (await room.use_cases().take_report(identity=IDENTITY | identity)).case_id


def vault_of(room: Room) -> Vault:
    return Vault(room.key_file())


async def test_a_breach_is_due_three_days_after_it_was_found_and_counts_every_child(room: Room) -> None:
    cases = {await a_case(room) for _ in range(3)}
    breaches = HandleBreaches(room.engine, CITY)
    found_at = utc_now() - timedelta(hours=5)

    opened = await breaches.open_breach(everything(), found_at, "kepala")

    assert opened.due_at - found_at == timedelta(hours=72)
    assert {case.case_id for case in await breaches.list_cases(opened.breach_id)} == cases
    assert [one.breach.cases for one in await breaches.list_breaches()] == [3]


async def test_what_an_account_read_is_found_in_the_audit(room: Room) -> None:
    read, other = await a_case(room), await a_case(room)
    breaches = HandleBreaches(room.engine, CITY)
    first = await breaches.open_breach(everything(), utc_now(), "kepala")
    await breaches.draft_child_notice(first.breach_id, read, vault_of(room), "maling")
    scope = BreachScope(utc_now() - timedelta(hours=1), utc_now() + timedelta(minutes=1), frozenset({"maling"}))

    second = await breaches.open_breach(scope, utc_now(), "kepala")

    (case,) = await breaches.list_cases(second.breach_id)
    assert (case.case_id, case.sections) == (read, ["identity"])
    assert other != read


async def test_a_child_is_notified_by_the_safe_contact_only_and_the_read_is_recorded(room: Room) -> None:
    case_id = await a_case(room)
    breaches = HandleBreaches(room.engine, CITY)
    breach = await breaches.open_breach(everything(), utc_now(), "kepala")

    notice = await breaches.draft_child_notice(breach.breach_id, case_id, vault_of(room), "kepala")

    assert notice.safe_contact == SAFE
    assert not [secret for secret in (*SECRETS, SAFE) if secret in notice.text]
    assert "kekerasan" not in notice.text.lower()
    async with room.engine.connect() as connection:
        page = await find_entries(connection, AuditFilter(actor="kepala", action="vault.read"), limit=5)
    assert [(one.subject, one.detail) for one in page.entries] == [(f"case/{case_id}", "breach:identity")]


async def test_the_hours_of_the_safe_contact_are_named_with_it(room: Room) -> None:
    case_id = await a_case(room, safe_hours="08.00-11.00")
    breaches = HandleBreaches(room.engine, CITY)
    breach = await breaches.open_breach(everything(), utc_now(), "kepala")

    notice = await breaches.draft_child_notice(breach.breach_id, case_id, vault_of(room), "kepala")

    assert notice.safe_contact == f"{SAFE} (08.00-11.00)"


async def test_without_a_safe_contact_no_other_contact_is_offered(room: Room) -> None:
    case_id = await a_case(room, safe_contact="")
    breaches = HandleBreaches(room.engine, CITY)
    breach = await breaches.open_breach(everything(), utc_now(), "kepala")

    notice = await breaches.draft_child_notice(breach.breach_id, case_id, vault_of(room), "kepala")

    assert notice.safe_contact == ""
    assert not [secret for secret in SECRETS if secret in repr(notice)]


async def test_the_notice_to_the_authority_has_what_the_law_requires_and_no_child(room: Room) -> None:
    await a_case(room)
    breaches = HandleBreaches(room.engine, CITY)
    breach = await breaches.open_breach(everything(), utc_now(), "kepala")

    text = await breaches.draft_authority_notice(breach.breach_id)

    for expected in ("Pasal 46", "3 x 24 jam", "1 anak", "identitas", "uraian kejadian", "Kota Kediri", "pemulihan"):
        assert expected in text
    assert not [secret for secret in (*SECRETS, SAFE) if secret in text]


async def test_notices_are_recorded_once(room: Room) -> None:
    case_id = await a_case(room)
    breaches = HandleBreaches(room.engine, CITY)
    breach_id = (await breaches.open_breach(everything(), utc_now(), "kepala")).breach_id

    await breaches.record_child_notice(breach_id, case_id, "kepala")
    await breaches.record_authority_notice(breach_id, "kepala")

    with pytest.raises(CaseNotBreached):
        await breaches.record_child_notice(breach_id, case_id, "kepala")
    with pytest.raises(BreachUnknown):
        await breaches.record_authority_notice(breach_id, "kepala")
    with pytest.raises(BreachUnknown):
        await breaches.draft_authority_notice(uuid4())
    stored = await breaches.load_breach(breach_id)
    assert (stored.breach.notified, stored.authority_notified_at is not None) == (1, True)


async def test_operators_are_warned_a_day_before_and_after_the_deadline(room: Room) -> None:
    breaches = HandleBreaches(room.engine, CITY)
    found_at = utc_now()
    breach = await breaches.open_breach(everything(), found_at, "kepala")
    logged = []
    for later in (timedelta(hours=1), timedelta(hours=49), timedelta(hours=73)):
        now = found_at + later
        with structlog.testing.capture_logs() as logs:
            await WatchBreaches(room.transactions, partial(_same, now)).check_deadlines()
        logged.append([entry["event"] for entry in logs])
        if later < NOTICE_PERIOD:
            assert BREACH_DUE._value.get() == breach.due_at.timestamp()
    await breaches.record_authority_notice(breach.breach_id, "kepala")
    await WatchBreaches(room.transactions).check_deadlines()

    assert logged == [[], ["breach_notice_due"], ["breach_notice_overdue"]]
    assert BREACH_DUE._value.get() == 0


async def test_a_breach_is_announced_once_when_it_is_opened_and_once_when_every_notice_was_given(room: Room) -> None:
    case_id = await a_case(room)
    breaches, watch = HandleBreaches(room.engine, CITY), WatchBreaches(room.transactions)

    async def announced() -> list[tuple[str, bool]]:
        found = await room.fetch("SELECT body FROM outbox WHERE routing_key = 'breach.found.v1' ORDER BY created_at")
        return [(event["data"]["due_at"], event["data"]["is_over"]) for event in (json.loads(r["body"]) for r in found)]

    breach = await breaches.open_breach(everything(), utc_now().replace(microsecond=0), "kepala")
    due_at = f"{breach.due_at:%Y-%m-%dT%H:%M:%SZ}"
    await watch.announce()
    await watch.announce()
    opened = await announced()
    await breaches.record_authority_notice(breach.breach_id, "kepala")
    await watch.announce()
    half = await announced()
    await breaches.record_child_notice(breach.breach_id, case_id, "kepala")
    await watch.announce()
    await watch.announce()

    assert opened == half == [(due_at, False)]
    assert await announced() == [(due_at, False), (due_at, True)]
