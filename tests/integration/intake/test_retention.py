"""The sweep erases what the agreement no longer keeps, and nothing else."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from simpul_agreement.model import Agreement, Retention, Section
from simpul_intake.erasure import HoldReason
from simpul_intake.retention import add_years
from simpul_intake.use_cases import AnnounceErasures, EraseCases, ExecuteRetention, FindDueCases, Receipt
from simpul_intake.use_cases.execute_retention import SweepResult
from simpul_intake.vault import WrappedKey, case_key_context
from simpul_schema import Event
from simpul_schema.messages import CaseClosedV1, CaseMergedV1, CaseReopenedV1, CaseVoidedV1
from simpul_schema.samples import samples
from tests.integration.intake.conftest import IntakeProcess, Room
from tests.support.agreements import kediri
from tests.support.handlers import HANDLERS

ENDED = datetime(2026, 12, 1, tzinfo=UTC)


def an_agreement_that_keeps(**years: int) -> Agreement:
    """Kediri's agreement with other periods."""

    def change(effect: Retention) -> Retention:
        return replace(effect, years=years.get(effect.section.value, effect.years))

    clauses = [
        replace(clause, effect=change(clause.effect)) if isinstance(clause.effect, Retention) else clause
        for clause in kediri().clauses
    ]
    return replace(kediri(), clauses=tuple(clauses))


async def an_ended_case(room: Room, running: IntakeProcess, ended_at: datetime = ENDED) -> Receipt:
    case = await running.take_report()
    await room.fetch("UPDATE outbox SET published_at = now()")
    await room.fetch("INSERT INTO case_end (case_id, sequence, ended_at) VALUES ($1, 3, $2)", case.case_id, ended_at)
    return case


async def record(room: Room, message: type[Event], case_id: UUID, sequence: int, **data: str) -> None:
    """Lets intake consume an event about the end of a case."""
    sample = next(json.loads(body) for name, _, body in samples() if name == message.WIRE_NAME)
    changed = {
        "data": {"case_id": str(case_id), "sealed": {}} | data,
        "subject": f"case/{case_id}",
        "sequence": f"{sequence:010d}",
    }
    async with room.transactions.begin() as transaction:
        await HANDLERS["intake"][message](transaction, [message.model_validate_json(json.dumps(sample | changed))])


async def sweep(
    room: Room, running: IntakeProcess, years_later: int, agreement: Agreement | None = None
) -> SweepResult:
    def now() -> datetime:
        return add_years(ENDED, years_later)

    due = FindDueCases(room.engine, lambda _: agreement or kediri(), now)
    return await ExecuteRetention(room.engine, running.vault, due, now).sweep()


async def sections_of(room: Room, case_id: UUID) -> set[str]:
    return {row["name"] for row in await room.fetch("SELECT name FROM section WHERE case_id = $1", case_id)}


async def test_a_case_is_erased_once_its_last_section_was_kept_long_enough(room: Room) -> None:
    running = room.use_cases()
    case = await an_ended_case(room, running)
    still_open = await running.take_report()
    await room.fetch("UPDATE outbox SET published_at = now()")

    assert (await sweep(room, running, 4)).erased_cases == []
    assert (await sweep(room, running, 5)).erased_cases == [case.case_id]

    erased = await EraseCases(room.engine).load_erased_case(case.case_id)
    assert (erased.reason, erased.erased_by) == ("retention", "retention")
    assert await sections_of(room, still_open.case_id) == {"triage", "identity", "narrative"}
    assert (await sweep(room, running, 6)).erased_cases == []


async def test_an_expired_section_goes_with_the_key_that_opened_it(room: Room) -> None:
    running = room.use_cases()
    case = await an_ended_case(room, running)
    [copy] = await room.fetch("SELECT key_id, wrapped FROM case_key WHERE case_id = $1", case.case_id)
    [backup] = await room.fetch("SELECT * FROM section WHERE case_id = $1 AND name = 'narrative'", case.case_id)
    old_key = await running.vault.unwrap(WrappedKey(copy["key_id"], copy["wrapped"], case_key_context(case.case_id)))
    assert running.vault.decrypt_section(old_key, backup["ciphertext"], case.case_id, "narrative", 1)

    result = await sweep(room, running, 2, an_agreement_that_keeps(narrative=2))

    assert result.reduced_cases == [case.case_id]
    assert await sections_of(room, case.case_id) == {"triage", "identity"}
    await AnnounceErasures(room.transactions).announce()
    [sent] = await room.fetch("SELECT body FROM outbox WHERE routing_key = 'case.erased.v1'")
    announced = json.loads(sent["body"])["data"]
    assert (announced["case_id"], announced["sections"]) == (str(case.case_id), ["narrative"])
    assert not announced["is_whole_case"]
    await room.fetch("UPDATE outbox SET published_at = now()")
    [now] = await room.fetch("SELECT key_id, wrapped FROM case_key WHERE case_id = $1", case.case_id)
    new_key = await running.vault.unwrap(WrappedKey(now["key_id"], now["wrapped"], case_key_context(case.case_id)))
    assert new_key != old_key
    assert await running.amend_report(case.case_id, case.phrase) == 2
    # What was erased can be reported again.
    assert await running.amend_report(case.case_id, case.phrase, narrative={"chronology": "Cerita baru."}) == 3
    assert await sections_of(room, case.case_id) == {"triage", "identity", "narrative"}


async def test_a_held_case_is_kept_and_erased_after_the_hold(room: Room) -> None:
    running = room.use_cases()
    whole, part = await an_ended_case(room, running), await an_ended_case(room, running)
    vault = EraseCases(room.engine)
    for case in (whole, part):
        await vault.place_hold(case.case_id, HoldReason.RESTITUTION, "12-2026", "operator-1")

    for agreement in (None, an_agreement_that_keeps(narrative=2)):
        result = await sweep(room, running, 5, agreement)
        assert (result.erased_cases, result.reduced_cases) == ([], [])
        assert set(result.held_cases) == {whole.case_id, part.case_id}
    assert await sections_of(room, part.case_id) == {"triage", "identity", "narrative"}
    await vault.release_hold(whole.case_id, HoldReason.RESTITUTION, "12-2026", "operator-1")

    assert (await sweep(room, running, 5)).erased_cases == [whole.case_id]


async def test_a_merged_case_is_kept_as_long_as_the_case_it_went_into(room: Room) -> None:
    running = room.use_cases()
    case = await an_ended_case(room, running, ended_at=add_years(ENDED, 3))
    duplicate = await running.take_report()
    await room.fetch("UPDATE outbox SET published_at = now()")
    await record(room, CaseMergedV1, duplicate.case_id, 2, into=str(case.case_id), merged_at=ENDED.isoformat())

    assert (await sweep(room, running, 7)).erased_cases == []
    assert set((await sweep(room, running, 8)).erased_cases) == {case.case_id, duplicate.case_id}


async def test_the_last_event_about_the_end_of_a_case_counts_in_whatever_order_they_arrive(room: Room) -> None:
    running = room.use_cases()
    reopened, closed, voided = [(await running.take_report()).case_id for _ in range(3)]
    await room.fetch("UPDATE outbox SET published_at = now()")

    await record(room, CaseReopenedV1, reopened, 7, reopened_at=ENDED.isoformat())
    await record(room, CaseClosedV1, reopened, 5, end="closed", closed_at=ENDED.isoformat())
    for _ in range(2):
        await record(room, CaseClosedV1, closed, 5, end="closed", closed_at=ENDED.isoformat())
    await record(room, CaseVoidedV1, voided, 2, voided_at=ENDED.isoformat())

    assert set((await sweep(room, running, 5)).erased_cases) == {closed, voided}


async def test_cases_merged_one_after_the_other_end_together(room: Room) -> None:
    running = room.use_cases()
    first, second, third = [(await running.take_report()).case_id for _ in range(3)]
    await room.fetch("UPDATE outbox SET published_at = now()")

    # The later merge arrives first.
    await record(room, CaseMergedV1, second, 4, into=str(third), merged_at=ENDED.isoformat())
    await record(room, CaseMergedV1, first, 3, into=str(second), merged_at=ENDED.isoformat())
    assert (await sweep(room, running, 9)).erased_cases == []
    await record(room, CaseClosedV1, third, 6, end="completed", closed_at=ENDED.isoformat())

    assert set((await sweep(room, running, 5)).erased_cases) == {first, second, third}


async def test_a_damaged_case_holds_up_no_other(room: Room) -> None:
    running = room.use_cases()
    cases = [await an_ended_case(room, running) for _ in range(3)]
    await room.fetch("UPDATE section SET ciphertext = '\\x00' WHERE case_id = $1", cases[0].case_id)

    result = await sweep(room, running, 2, an_agreement_that_keeps(narrative=2))

    assert set(result.reduced_cases) == {cases[1].case_id, cases[2].case_id}


async def test_retention_periods_name_sections_that_the_vault_has(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()

    known = {section.value for section in Section}

    assert await sections_of(room, case.case_id) - {"triage"} <= known
