"""Erasure destroys a case's key, leaves a tombstone and stops before a legal hold."""

import asyncio
import json
from uuid import UUID, uuid4

import asyncpg
import pytest

from simpul_dev.backends import Backends
from simpul_intake.erasure import ErasureReason, HoldReason
from simpul_intake.errors import (
    CaseHeld,
    CaseNotErased,
    CaseNotInVault,
    CaseStillSending,
    HolderUnknown,
    HoldUnknown,
    ReceiptUnknown,
    ReferenceInvalid,
    ReportIdReused,
)
from simpul_intake.use_cases import AnnounceErasures, EraseCases
from simpul_runtime.migrations import migrate_async
from tests.integration.intake.conftest import Room, an_empty_database

REPORT = "LP/B/12/XI/2026"
KEPT_OF_AN_ERASED_CASE = {
    "report",
    "erased_case",
    "erasure_holder",
    "vault_action",
    "case_end",
    "legal_hold",
    "unannounced_erasure",
}
"""Tables that may still name an erased case; none of them holds anything that was reported."""


async def sent_case(room: Room) -> UUID:
    """A case whose events have been published."""
    case = await room.use_cases().take_report()
    await room.fetch("UPDATE outbox SET published_at = now()")
    return case.case_id


async def actions_of(room: Room, case_id: UUID) -> list[str]:
    rows = await room.fetch("SELECT action FROM vault_action WHERE case_id = $1 ORDER BY at", case_id)
    return [row["action"] for row in rows]


@pytest.mark.parametrize("statement", ["SELECT published_at", "DELETE"])
async def test_an_erasure_finds_the_messages_of_its_case_by_an_index(room: Room, statement: str) -> None:
    # The planner reads so small a table whole unless it must not.
    await room.fetch(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off', current_database()); END $$"
    )

    plan = await room.fetch(f"EXPLAIN {statement} FROM outbox WHERE correlation_id = $1", uuid4())

    assert "outbox_of_case" in str(plan)


async def test_an_erased_case_is_named_in_no_table_but_those_of_the_tombstone(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()
    await running.amend_report(case.case_id, case.phrase)
    await room.fetch("UPDATE outbox SET published_at = now()")

    erased = await EraseCases(room.engine).erase_case(case.case_id, ErasureReason.REQUEST, "operator-1")

    assert erased.sections == {"identity": 1, "narrative": 1, "triage": 2}
    columns = await room.fetch(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND data_type = 'uuid'"
    )
    naming = {
        table
        for table, column in columns
        if await room.fetch(f'SELECT FROM "{table}" WHERE "{column}" = $1', case.case_id)
    }
    assert naming <= KEPT_OF_AN_ERASED_CASE
    assert [row["content_mac"] for row in await room.fetch("SELECT content_mac FROM report")] == [b""]


async def test_an_erased_case_cannot_be_opened_or_amended_again(room: Room) -> None:
    running = room.use_cases()
    report_id = str(uuid4())
    case = await running.take_report(report_id=report_id)
    await room.fetch("UPDATE outbox SET published_at = now()")

    await EraseCases(room.engine).erase_case(case.case_id, ErasureReason.COURT_ORDER, "operator-1")

    with pytest.raises(ReportIdReused):
        await running.take_report(report_id=report_id)
    with pytest.raises(ReceiptUnknown):
        await running.amend_report(case.case_id, case.phrase)
    with pytest.raises(CaseNotInVault):
        await EraseCases(room.engine).erase_case(case.case_id, ErasureReason.COURT_ORDER, "operator-1")


async def test_an_erasure_is_announced_once_so_that_the_others_erase_what_they_keep(room: Room) -> None:
    case_id = await sent_case(room)
    await EraseCases(room.engine).erase_case(case_id, ErasureReason.REQUEST, "operator-1")
    announce = AnnounceErasures(room.transactions)

    assert [await announce.announce() for _ in range(2)] == [1, 0]

    [row] = await room.fetch("SELECT routing_key, body FROM outbox")
    data = json.loads(row["body"])["data"]
    assert (row["routing_key"], data["case_id"], data["is_whole_case"]) == ("case.erased.v1", str(case_id), True)
    assert set(data["sections"]) == {"identity", "narrative", "medical", "legal", "school", "logistics"}


async def test_a_trial_erases_nothing(room: Room) -> None:
    case_id = await sent_case(room)

    planned = await EraseCases(room.engine).erase_case(case_id, ErasureReason.REQUEST, "operator-1", dry_run=True)

    assert planned.sections == {"identity": 1, "narrative": 1, "triage": 1}
    assert await room.fetch("SELECT FROM case_key WHERE case_id = $1", case_id)
    assert await actions_of(room, case_id) == []
    assert await AnnounceErasures(room.transactions).announce() == 0


async def test_a_case_whose_report_still_waits_to_be_published_is_not_erased(room: Room) -> None:
    case = await room.use_cases().take_report()

    with pytest.raises(CaseStillSending):
        await EraseCases(room.engine).erase_case(case.case_id, ErasureReason.REQUEST, "operator-1")


async def test_a_held_case_is_not_erased_and_the_refusal_is_recorded(room: Room) -> None:
    case_id = await sent_case(room)
    vault = EraseCases(room.engine)
    assert await vault.place_hold(case_id, HoldReason.COURT_PROCEEDINGS, REPORT, "operator-1")
    assert not await vault.place_hold(case_id, HoldReason.COURT_PROCEEDINGS, REPORT, "operator-2")

    with pytest.raises(CaseHeld, match=f"court_proceedings {REPORT}"):
        await vault.erase_case(case_id, ErasureReason.REQUEST, "operator-1")

    assert [hold.reference for hold in await vault.list_holds()] == [REPORT]
    await vault.release_hold(case_id, HoldReason.COURT_PROCEEDINGS, REPORT, "operator-2")
    await vault.erase_case(case_id, ErasureReason.REQUEST, "operator-1")
    assert await actions_of(room, case_id) == ["hold_placed", "erasure_refused", "hold_released", "erased"]
    with pytest.raises(HoldUnknown):
        await vault.release_hold(case_id, HoldReason.COURT_PROCEEDINGS, REPORT, "operator-2")
    with pytest.raises(CaseNotInVault):
        await vault.place_hold(case_id, HoldReason.COMPLAINT, REPORT, "operator-2")


async def test_a_hold_keeps_every_case_of_the_same_child(room: Room) -> None:
    case_id, duplicate, other = [await sent_case(room) for _ in range(3)]
    for merged in (duplicate, other):
        await room.fetch("INSERT INTO case_end (case_id, sequence, merged_into) VALUES ($1, 3, $2)", merged, case_id)
    vault = EraseCases(room.engine)
    await vault.place_hold(other, HoldReason.POLICE_INVESTIGATION, REPORT, "operator-1")

    for kept in (case_id, duplicate, other):
        with pytest.raises(CaseHeld):
            await vault.erase_case(kept, ErasureReason.REQUEST, "operator-1")


async def test_a_hold_and_an_erasure_at_the_same_moment_never_both_succeed(room: Room) -> None:
    vault = EraseCases(room.engine)
    for _ in range(10):
        case_id, duplicate = await sent_case(room), await sent_case(room)
        await room.fetch("INSERT INTO case_end (case_id, sequence, merged_into) VALUES ($1, 3, $2)", duplicate, case_id)

        held, erased = await asyncio.gather(
            vault.place_hold(case_id, HoldReason.COMPLAINT, REPORT, "operator-1"),
            vault.erase_case(duplicate, ErasureReason.REQUEST, "operator-2"),
            return_exceptions=True,
        )

        assert held is True
        is_erased = not isinstance(erased, Exception)
        assert is_erased or isinstance(erased, CaseHeld)
        if is_erased:
            [hold] = await room.fetch("SELECT placed_at FROM legal_hold WHERE case_id = $1", case_id)
            [tombstone] = await room.fetch("SELECT erased_at FROM erased_case WHERE case_id = $1", duplicate)
            assert tombstone["erased_at"] <= hold["placed_at"]


async def test_the_certificate_names_who_confirmed_and_who_has_not(room: Room) -> None:
    case_id = await sent_case(room)
    vault = EraseCases(room.engine)
    with pytest.raises(CaseNotErased):
        await vault.load_erased_case(case_id)
    [key] = await room.fetch("SELECT key_id FROM case_key WHERE case_id = $1", case_id)
    await vault.erase_case(case_id, ErasureReason.REQUEST, "operator-1")

    certificate = (await vault.load_erased_case(case_id)).to_certificate()

    holders = {entry["holder"]: entry["confirmed_by"] for entry in certificate["holders"]}  # type: ignore[attr-defined]
    assert holders == {"intake": "operator-1", "routing": ""}
    assert certificate["every_holder_confirmed"] is False
    assert (certificate["master_key"], certificate["master_key_retired_at"]) == (key["key_id"], None)
    complete = await vault.confirm_erasure(case_id, "routing", "operator-2")
    assert complete.to_certificate()["every_holder_confirmed"] is True
    for holder in ("routing", "ylpa"):
        with pytest.raises(HolderUnknown):
            await vault.confirm_erasure(case_id, holder, "operator-2")


async def test_a_name_is_not_accepted_as_a_reference(room: Room) -> None:
    case_id = await sent_case(room)

    with pytest.raises(ReferenceInvalid):
        await EraseCases(room.engine).place_hold(case_id, HoldReason.COMPLAINT, "Wenthilora Paksibumi", "operator-1")


async def test_what_an_earlier_version_erased_is_announced_after_the_upgrade(backends: Backends) -> None:
    url, whole, reduced = await an_empty_database(backends), uuid4(), uuid4()
    await migrate_async(url, "simpul_intake", "20261201_suspected_agencies")
    connection = await asyncpg.connect(url)
    await connection.execute(
        "INSERT INTO erased_case (case_id, reason, erased_by, erased_at, key_id, sections)"
        " VALUES ($1, 'request', 'operator-1', now(), 'k', '{}')",
        whole,
    )
    await connection.execute(
        "INSERT INTO vault_action (case_id, action, detail, actor, at)"
        " VALUES ($1, 'sections_erased', 'identity narrative', 'retention', now())",
        reduced,
    )

    await migrate_async(url, "simpul_intake")

    rows = await connection.fetch("SELECT case_id, is_whole_case, sections FROM unannounced_erasure")
    await connection.close()
    assert {row["case_id"]: (row["is_whole_case"], row["sections"]) for row in rows} == {
        whole: (True, []),
        reduced: (False, ["identity", "narrative"]),
    }
