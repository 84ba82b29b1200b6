"""Intake records who reported, amended, searched, read the vault and erased, in the transaction that it records."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event as database_event

from simpul_intake.api import ReportIn
from simpul_intake.erasure import ErasureReason
from simpul_intake.errors import MaybeReportedBefore
from simpul_intake.use_cases import EraseCases
from simpul_runtime import transaction as transaction_module
from simpul_runtime.audit import AuditFilter, StoredEntry, find_entries, verify_audit
from simpul_runtime.database import utc_now
from tests.integration.intake.conftest import Room
from tests.support.canary import Canary
from tests.support.reports import a_report


async def entries(room: Room) -> list[StoredEntry]:
    async with room.engine.connect() as connection:
        return (await find_entries(connection, AuditFilter(), limit=100)).entries


@contextmanager
def counted(room: Room) -> Iterator[list[str]]:
    """Collects the statements that are executed meanwhile."""
    statements: list[str] = []

    def count(*given: Any) -> None:
        statements.append(str(given[2]))

    database_event.listen(room.engine.sync_engine, "before_cursor_execute", count)
    try:
        yield statements
    finally:
        database_event.remove(room.engine.sync_engine, "before_cursor_execute", count)


async def test_every_step_of_a_report_is_recorded_with_who_took_it_and_nothing_of_the_child(room: Room) -> None:
    canary = Canary()
    running = room.use_cases()
    seeded = {"identity": canary.identity(), "narrative": canary.narrative()}
    case = await running.take_report(**seeded)
    await running.amend_report(case.case_id, case.phrase, **seeded)
    report = ReportIn.model_validate(a_report(complaint_centre="", **seeded)).to_report(utc_now(), "polres-ppa")
    with pytest.raises(MaybeReportedBefore):
        await running.search_duplicates.check_report(report, "polres-ppa", None)
    await room.fetch("UPDATE outbox SET published_at = now()")
    await EraseCases(room.engine).erase_case(case.case_id, ErasureReason.REQUEST, "kepala")

    found = await entries(room)

    subject = f"case/{case.case_id}"
    steps = [(one.action, one.actor, one.role, one.detail) for one in found if one.subject == subject]
    assert steps == [
        ("report.stored", "uptd-ppa", "complaint_centre", "walk_in"),
        ("vault.read", "receipt_holder", "", "amendment:identity,narrative,triage"),
        ("report.amended", "receipt_holder", "", "revision:2"),
        ("vault.erased", "kepala", "operator", "request"),
    ]
    searched = next(one for one in found if one.action == "duplicates.searched")
    assert (searched.actor, searched.subject) == ("polres-ppa", f"report/{report.report_id}")
    assert canary.search(repr(found).encode()) == []
    async with room.engine.connect() as connection:
        assert (await verify_audit(connection)).problems == ()


async def test_a_repeated_report_and_a_refused_one_leave_no_second_entry(room: Room) -> None:
    running = room.use_cases()
    body = a_report()

    for _ in range(2):
        await running.take_report(**body)

    assert [one.action for one in await entries(room)] == ["report.stored"]


async def test_the_audit_takes_one_statement_for_a_batch_of_reports(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = room.use_cases()
    await running.take_report()
    with counted(room) as recorded:
        await running.take_report()

    async def append_nothing(*_: Any) -> None:
        """Stands for intake without an audit."""

    monkeypatch.setattr(transaction_module, "append_entries", append_nothing)
    with counted(room) as unrecorded:
        await running.take_report()

    assert len(recorded) - len(unrecorded) == 1
