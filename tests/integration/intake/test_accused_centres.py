"""A centre that may be too close to the suspect, and whoever has words that it gave out, learn nothing new."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from simpul_intake.domain import Progress
from simpul_intake.erasure import ErasureReason
from simpul_intake.errors import ReceiptUnknown, ReportClosed
from simpul_intake.received_files import UploadedFile
from simpul_intake.repository import FiledReport
from simpul_intake.use_cases import (
    EraseCases,
    record_closed_cases,
    record_exclusions,
    record_merged_cases,
    record_reopened_cases,
)
from simpul_runtime.database import utc_now
from simpul_schema import message_class
from simpul_schema.messages import CaseAgencyClearedV1
from simpul_schema.messages.case import ClearedAgency
from simpul_schema.vocabulary import CaseEnd
from simpul_seal import seal_section
from tests.integration.intake.conftest import FIRST_DAY, IntakeProcess, Room
from tests.integration.intake.test_questions import record
from tests.support.handlers import HANDLERS

CENTRE = "uptd-ppa"
LONG_AFTER = 24 * 500
"""Hours after the first day of the keys: later than any accusation of these tests."""
LATER = datetime(2098, 1, 1, tzinfo=UTC)
LETTER = UploadedFile("letter.pdf", b"%PDF-1.7 a letter")


async def publish(room: Room, wire_name: str, case_id: UUID, sequence: int = 4, **data: Any) -> None:
    """Has intake receive what routing publishes about a case."""
    message = message_class(wire_name)
    assert message is not None
    assert message in HANDLERS["intake"]
    subject = f"exclusion/{uuid4()}" if wire_name == "case.agency_excluded.v1" else f"case/{case_id}"
    event = message.model_validate(
        {
            "id": uuid4(),
            "source": "/kediri/routing",
            "subject": subject,
            "time": "2026-11-27T15:00:05Z",
            "sequence": f"{sequence:010d}",
            "correlationid": case_id,
            "data": {"case_id": case_id, **data},
        }
    )
    handlers: dict[str, Any] = {
        "case.closed.v1": record_closed_cases,
        "case.reopened.v1": record_reopened_cases,
        "case.merged.v1": record_merged_cases,
        "case.agency_excluded.v1": record_exclusions,
    }
    async with room.transactions.begin() as transaction:
        await handlers[wire_name](transaction, [event])


async def close(room: Room, case_id: UUID, moment: datetime, sequence: int = 4) -> None:
    await publish(room, "case.closed.v1", case_id, sequence, end=CaseEnd.CLOSED, closed_at=moment)


async def clear(room: Room, running: IntakeProcess, case_id: UUID, namings: int, agency: str = CENTRE) -> None:
    """Has a person decide that the centre, or another agency, is not too close."""
    event_id = uuid4()
    sealed = seal_section(
        ClearedAgency(agency=agency, namings=namings).model_dump_json().encode(),
        room.keys.directory.current("intake", FIRST_DAY),
        event_id=event_id,
        case_id=case_id,
        section="cleared_agency",
    )
    event = CaseAgencyClearedV1.model_validate(
        {
            "id": event_id,
            "source": "/kediri/routing",
            "subject": f"exclusion/{uuid4()}",
            "time": FIRST_DAY,
            "sequence": "0000000001",
            "correlationid": case_id,
            "data": {"case_id": case_id, "cleared_at": FIRST_DAY, "sealed": {"cleared_agency": sealed}},
        }
    )
    assert CaseAgencyClearedV1 in HANDLERS["intake"]
    for _ in range(2):
        async with room.transactions.begin() as transaction:
            await running.accusations.record_clearings(transaction, [event])


async def replace(running: IntakeProcess, case_id: UUID) -> str:
    """Has the centre make new words, as the page with its reports does."""
    listed = await running.follow_reports.list_filed(CENTRE, before=None, limit=10)
    (number,) = [one.receipt_number for one in listed if one.case_id == case_id]
    return await running.replace_receipts.replace_receipt(case_id, CENTRE, number)


async def valid(running: IntakeProcess, case_id: UUID, *receipts: str) -> list[bool]:
    """Whether each receipt is valid to follow the report, to add facts and to add files alike."""
    found = []
    for receipt in receipts:
        uses: list[Callable[[], Awaitable[object]]] = [
            partial(running.follow_reports.follow, case_id, receipt),
            partial(running.amend_report, case_id, receipt),
            partial(running.files.add_files, case_id, receipt, [LETTER]),
        ]
        refused = 0
        for use in uses:
            try:
                await use()
            except ReceiptUnknown:
                refused += 1
        assert refused in (0, len(uses))
        found.append(not refused)
    return found


async def progress(running: IntakeProcess, case_id: UUID, receipt: str) -> tuple[Progress, Progress, int]:
    """What the centre sees, and what the words of the receipt show: progress and the number of open questions."""
    listed = await running.follow_reports.list_filed(CENTRE, before=None, limit=10)
    filed: dict[UUID, FiledReport] = {one.case_id: one for one in listed}
    followed = await running.follow_reports.follow(case_id, receipt)
    return filed[case_id].progress, followed.progress, len(followed.questions)


async def test_a_receipt_of_an_accused_centre_shows_what_it_showed_before(room: Room) -> None:
    running = room.use_cases()
    case, other = await running.take_report(), await running.take_report()
    for one in (case, other):
        await record(room, running, one.case_id, "Before the accusation?")
    await running.amend_report(case.case_id, case.phrase, excluded_agencies=[CENTRE])

    for one in (case, other):
        await record(room, running, one.case_id, "After it?", hour=LONG_AFTER)
        await close(room, one.case_id, LATER)

    assert await progress(running, case.case_id, case.phrase) == (Progress.RECEIVED, Progress.RECEIVED, 1)
    assert await progress(running, other.case_id, other.phrase) == (Progress.CLOSED, Progress.CLOSED, 2)
    # A refusal would show that the case is closed.
    await running.files.add_files(case.case_id, case.phrase, [LETTER])
    with pytest.raises(ReportClosed):
        await running.files.add_files(other.case_id, other.phrase, [LETTER])


async def test_a_case_that_an_accusation_reopens_stays_closed_for_the_centre(room: Room) -> None:
    running = room.use_cases()
    case, other = await running.take_report(), await running.take_report()
    for one in (case, other):
        await close(room, one.case_id, utc_now())
    await running.amend_report(case.case_id, case.phrase, excluded_agencies=[CENTRE])

    for one in (case, other):
        await publish(room, "case.reopened.v1", one.case_id, 5, reopened_at=LATER)
        await publish(room, "case.closed.v1", one.case_id, 6, end=CaseEnd.CLOSED, closed_at=LATER + timedelta(days=1))
        await publish(room, "case.reopened.v1", one.case_id, 7, reopened_at=LATER + timedelta(days=2))

    assert await progress(running, case.case_id, case.phrase) == (Progress.CLOSED, Progress.CLOSED, 0)
    assert await progress(running, other.case_id, other.phrase) == (Progress.RECEIVED, Progress.RECEIVED, 0)


async def test_whoever_a_person_excludes_in_routing_learns_nothing_more_from_intake(room: Room) -> None:
    running = room.use_cases()
    case, other = await running.take_report(), await running.take_report()

    for _ in range(2):
        await publish(room, "case.agency_excluded.v1", case.case_id, agency=CENTRE, excluded_at=utc_now())
    await publish(room, "case.agency_excluded.v1", other.case_id, agency="ylpa", excluded_at=utc_now())
    for one in (case, other):
        await close(room, one.case_id, LATER)

    assert await progress(running, case.case_id, case.phrase) == (Progress.RECEIVED, Progress.RECEIVED, 0)
    assert await progress(running, other.case_id, other.phrase) == (Progress.CLOSED, Progress.CLOSED, 0)
    # No person takes back what a person excluded, whatever was decided about what reports say.
    await clear(room, running, case.case_id, namings=9)
    assert (await progress(running, case.case_id, case.phrase))[0] is Progress.RECEIVED


async def test_a_centre_that_a_person_cleared_follows_its_report_again_until_somebody_names_it_anew(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()
    await running.amend_report(case.case_id, case.phrase, excluded_agencies=[CENTRE])
    await close(room, case.case_id, LATER)
    assert (await progress(running, case.case_id, case.phrase))[:2] == (Progress.RECEIVED, Progress.RECEIVED)

    await clear(room, running, case.case_id, namings=1)

    assert (await progress(running, case.case_id, case.phrase))[:2] == (Progress.CLOSED, Progress.CLOSED)
    await running.amend_report(case.case_id, case.phrase, excluded_agencies=[CENTRE])
    assert (await progress(running, case.case_id, case.phrase))[:2] == (Progress.RECEIVED, Progress.RECEIVED)


async def test_a_unit_is_cleared_with_the_agency_that_it_is_part_of(room: Room) -> None:
    room.wholes[CENTRE] = ("ylpa",)
    running = room.use_cases()
    case = await running.take_report()
    for named in (CENTRE, "ylpa"):
        await running.amend_report(case.case_id, case.phrase, excluded_agencies=[named])
    await close(room, case.case_id, LATER)

    await clear(room, running, case.case_id, namings=1, agency="ylpa")
    assert (await progress(running, case.case_id, case.phrase))[:2] == (Progress.RECEIVED, Progress.RECEIVED)
    await clear(room, running, case.case_id, namings=1)

    assert (await progress(running, case.case_id, case.phrase))[:2] == (Progress.CLOSED, Progress.CLOSED)
    await running.amend_report(case.case_id, case.phrase, excluded_agencies=["ylpa"])
    assert (await progress(running, case.case_id, case.phrase))[:2] == (Progress.RECEIVED, Progress.RECEIVED)


async def test_a_centre_that_a_person_cleared_in_two_cases_stays_cleared_when_they_are_merged(room: Room) -> None:
    running = room.use_cases()
    kept, sibling = [await running.take_report() for _ in range(2)]
    for one in (kept, sibling):
        await running.amend_report(one.case_id, one.phrase, excluded_agencies=[CENTRE])
        await clear(room, running, one.case_id, namings=1)
    await publish(room, "case.merged.v1", sibling.case_id, into=kept.case_id, merged_at=utc_now())
    await close(room, kept.case_id, LATER)
    for one in (kept, sibling):
        assert (await progress(running, one.case_id, one.phrase))[:2] == (Progress.CLOSED, Progress.CLOSED)
    await running.amend_report(sibling.case_id, sibling.phrase, excluded_agencies=[CENTRE])
    assert (await progress(running, kept.case_id, kept.phrase))[:2] == (Progress.RECEIVED, Progress.RECEIVED)


async def test_what_was_decided_about_an_erased_report_clears_nobody_whom_another_names_later(room: Room) -> None:
    running = room.use_cases()
    kept, sibling = [await running.take_report() for _ in range(2)]
    for one in (kept, sibling):
        await running.amend_report(one.case_id, one.phrase, excluded_agencies=[CENTRE])
    await publish(room, "case.merged.v1", sibling.case_id, into=kept.case_id, merged_at=utc_now())
    await room.fetch("UPDATE outbox SET published_at = now()")
    await EraseCases(room.engine).erase_case(sibling.case_id, ErasureReason.REQUEST, "op")
    for one in (kept, sibling):
        await clear(room, running, one.case_id, namings=1)
    await close(room, kept.case_id, LATER)

    assert (await progress(running, kept.case_id, kept.phrase))[:2] == (Progress.CLOSED, Progress.CLOSED)
    await running.amend_report(kept.case_id, kept.phrase, excluded_agencies=[CENTRE])
    assert (await progress(running, kept.case_id, kept.phrase))[:2] == (Progress.RECEIVED, Progress.RECEIVED)
    stored = await room.fetch("SELECT case_id FROM cleared_agency")
    assert [row["case_id"] for row in stored] == [kept.case_id]


async def test_a_report_of_the_same_child_that_names_the_centre_counts_from_the_merge_on(room: Room) -> None:
    running = room.use_cases()
    kept, sibling = await running.take_report(), await running.take_report(excluded_agencies=[CENTRE])
    third = await running.take_report()
    assert (await progress(running, kept.case_id, kept.phrase))[0] is Progress.RECEIVED
    await publish(room, "case.merged.v1", sibling.case_id, into=kept.case_id, merged_at=utc_now())
    await publish(room, "case.merged.v1", third.case_id, 5, into=kept.case_id, merged_at=utc_now())
    await close(room, kept.case_id, LATER)

    for one in (kept, sibling, third):
        assert (await progress(running, one.case_id, one.phrase))[:2] == (Progress.RECEIVED, Progress.RECEIVED)


async def test_what_was_known_before_a_merge_stays_known(room: Room) -> None:
    running = room.use_cases()
    kept, sibling = await running.take_report(), await running.take_report(excluded_agencies=[CENTRE])
    await close(room, kept.case_id, utc_now())
    assert (await progress(running, kept.case_id, kept.phrase))[:2] == (Progress.CLOSED, Progress.CLOSED)

    await publish(room, "case.merged.v1", sibling.case_id, into=kept.case_id, merged_at=LATER)
    await publish(room, "case.reopened.v1", kept.case_id, 5, reopened_at=LATER + timedelta(days=1))

    assert (await progress(running, kept.case_id, kept.phrase))[:2] == (Progress.CLOSED, Progress.CLOSED)


async def test_an_accused_centre_that_makes_a_new_receipt_cuts_nobody_off_and_notices_nothing(room: Room) -> None:
    running = room.use_cases()
    case, other = await running.take_report(), await running.take_report()
    lost = {one.case_id: one.phrase for one in (case, other)}
    held = {case_id: await replace(running, case_id) for case_id in lost}
    for case_id, receipt in held.items():
        await record(room, running, case_id, "Before the accusation?")
        await running.amend_report(case_id, receipt, excluded_agencies=[CENTRE] if case_id == case.case_id else [])

    made = {case_id: [await replace(running, case_id), await replace(running, case_id)] for case_id in lost}
    await record(room, running, case.case_id, "After it?", hour=LONG_AFTER)
    await close(room, case.case_id, LATER)

    accused = (lost[case.case_id], held[case.case_id], *made[case.case_id])
    assert await valid(running, case.case_id, *accused) == [False, True, True, True]
    usual = (lost[other.case_id], held[other.case_id], *made[other.case_id])
    assert await valid(running, other.case_id, *usual) == [False, False, False, True]
    for receipt in accused[1:]:
        assert await progress(running, case.case_id, receipt) == (Progress.RECEIVED, Progress.RECEIVED, 1)
    # The centre and the audit see what they see of every report.
    listed = await running.follow_reports.list_filed(CENTRE, before=None, limit=10)
    assert {one.receipt_number for one in listed} == {3}
    audited = await room.fetch("SELECT DISTINCT subject, detail FROM audit WHERE action = 'receipt.replaced'")
    assert len(audited) == 6


async def test_only_the_newest_receipt_is_valid_once_the_centre_is_cleared(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()
    await running.amend_report(case.case_id, case.phrase, excluded_agencies=[CENTRE])
    newest = await replace(running, case.case_id)
    assert await valid(running, case.case_id, case.phrase, newest) == [True, True]

    await clear(room, running, case.case_id, namings=1)

    assert await valid(running, case.case_id, case.phrase, newest) == [False, True]
    await publish(room, "case.agency_excluded.v1", case.case_id, agency=CENTRE, excluded_at=utc_now())
    assert await valid(running, case.case_id, case.phrase, newest) == [False, True]
    last = await replace(running, case.case_id)
    assert await valid(running, case.case_id, case.phrase, newest, last) == [False, True, True]
