"""A lost receipt is replaced for the complaint centre that filed the report, and for nobody else."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import aiohttp
import pytest

from simpul_dev.local_city import LocalCity
from simpul_intake.erasure import ErasureReason
from simpul_intake.errors import ReceiptReplacedBefore, ReceiptUnknown, ReportNotOfCentre, TooManyAmendments
from simpul_intake.use_cases import EraseCases
from simpul_intake.use_cases.amend_reports import MAX_AMENDMENTS
from tests.integration.intake.conftest import Room
from tests.support.reports import a_report


async def test_only_the_newest_receipt_is_valid_and_its_replacement_is_audited(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()

    first = await running.replace_receipts.replace_receipt(case.case_id, "uptd-ppa")
    second = await running.replace_receipts.replace_receipt(case.case_id, "uptd-ppa")

    assert len({case.phrase, first, second}) == 3
    assert len(second.split()) == 11
    for old in (case.phrase, first):
        with pytest.raises(ReceiptUnknown):
            await running.follow_reports.follow(case.case_id, old)
        with pytest.raises(ReceiptUnknown):
            await running.amend_report(case.case_id, old)
    await running.follow_reports.follow(case.case_id, second)
    assert await running.amend_report(case.case_id, second) == 2
    audited = await room.fetch("SELECT actor, role, detail FROM audit WHERE action = 'receipt.replaced'")
    assert [tuple(row) for row in audited] == [
        ("uptd-ppa", "complaint_centre", f"number:{number}") for number in (1, 2)
    ]
    stored = str(await room.fetch("SELECT * FROM report")) + str(await room.fetch("SELECT * FROM audit"))
    assert not [phrase for phrase in (first, second) if phrase in stored]


async def test_a_request_that_is_sent_again_replaces_nothing_twice(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()
    (filed,) = await running.follow_reports.list_filed("uptd-ppa", before=None, limit=5)
    newest = await running.replace_receipts.replace_receipt(case.case_id, "uptd-ppa", filed.receipt_number)

    with pytest.raises(ReceiptReplacedBefore):
        await running.replace_receipts.replace_receipt(case.case_id, "uptd-ppa", filed.receipt_number)
    with pytest.raises(ReportNotOfCentre):
        await running.replace_receipts.replace_receipt(uuid4(), "uptd-ppa", 0)

    await running.follow_reports.follow(case.case_id, newest)
    (filed,) = await running.follow_reports.list_filed("uptd-ppa", before=None, limit=5)
    assert filed.receipt_number == 1


async def test_no_other_centre_and_nobody_after_an_erasure_gets_a_receipt(room: Room) -> None:
    running = room.use_cases()
    case = await running.take_report()

    for centre, case_id in (("polres-ppa", case.case_id), ("uptd-ppa", uuid4()), ("", case.case_id)):
        with pytest.raises(ReportNotOfCentre):
            await running.replace_receipts.replace_receipt(case_id, centre)
    await running.follow_reports.follow(case.case_id, case.phrase)
    await room.fetch("UPDATE outbox SET published_at = now()")
    await EraseCases(room.engine).erase_case(case.case_id, ErasureReason.REQUEST, "kepala")
    with pytest.raises(ReportNotOfCentre):
        await running.replace_receipts.replace_receipt(case.case_id, "uptd-ppa")

    assert not await room.fetch("SELECT 1 FROM audit WHERE action = 'receipt.replaced'")


async def test_the_api_replaces_by_the_token_of_the_centre_that_filed_the_report(city: LocalCity) -> None:
    centre, other = city.token_of("uptd-ppa"), city.token_of("polres-ppa")
    claimed = a_report(complaint_centre="uptd-ppa")
    async with aiohttp.ClientSession(city.url("intake")) as session:

        async def send(path: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
            async with session.post(path, json=body, headers=headers) as answer:
                found = json.loads(await answer.read())
                return answer.status, str(found.get("receipt", found.get("code")))

        async def report(body: object, headers: dict[str, str] | None) -> dict[str, str]:
            async with session.post("/reports", json=body, headers=headers) as answer:
                return dict(await answer.json())

        # Another test may have reported this child; where one is hurt, the report is stored all the same.
        filed = a_report(injured="yes")
        receipt, anonymous = await report(filed, centre), await report(claimed, None)
        path = f"/cases/{receipt['case_reference']}/receipt"
        assert await send(path) == (401, "token_unknown")
        assert await send(path, headers={"Authorization": "Bearer x"}) == (401, "token_unknown")
        assert await send(path, headers=other) == (404, "report_not_of_centre")
        # Whoever reports without a token may name any centre.
        for unfiled in (anonymous["case_reference"], anonymous["case_id"], str(uuid4()), "K-0000-0000", "x"):
            assert await send(f"/cases/{unfiled}/receipt", headers=centre) == (404, "report_not_of_centre")

        status, phrase = await send(path, headers=centre)
        assert (status, len(phrase.split())) == (200, 11)
        progress = f"/cases/{receipt['case_id']}/progress"
        assert (await send(progress, {"receipt": receipt["receipt"]}))[0] == 404
        assert (await send(progress, {"receipt": phrase}))[0] == 200
        # The report, sent again, opens the same case, and nobody learns the new words by it.
        again = await report(filed, None)
        assert (again["case_id"], again["receipt"]) == (receipt["case_id"], "")


async def test_a_centre_lists_its_own_reports_and_what_became_of_them(room: Room) -> None:
    running = room.use_cases()
    first, second = await running.take_report(), await running.take_report()
    await room.fetch("INSERT INTO case_end (case_id, ended_at, sequence) SELECT $1, now(), 1", first.case_id)

    async def list_filed(centre: str, before: UUID | None = None, limit: int = 50) -> list[tuple[UUID, str]]:
        found = await running.follow_reports.list_filed(centre, before=before, limit=limit)
        return [(one.case_id, one.progress.value) for one in found]

    listed = await list_filed("uptd-ppa")
    assert listed == [(second.case_id, "received"), (first.case_id, "closed")]
    assert await list_filed("uptd-ppa", limit=1) == listed[:1]
    assert await list_filed("uptd-ppa", before=second.case_id) == listed[1:]
    assert await list_filed("polres-ppa") == await list_filed("polres-ppa", before=second.case_id) == []
    assert await list_filed("uptd-ppa", before=uuid4()) == []
    await room.fetch("UPDATE outbox SET published_at = now()")
    await EraseCases(room.engine).erase_case(first.case_id, ErasureReason.REQUEST, "kepala")
    assert [one[0] for one in await list_filed("uptd-ppa")] == [second.case_id]
    read = await room.fetch("SELECT actor, detail FROM audit WHERE action = 'report.listed' ORDER BY position")
    assert tuple(read[0]) == ("uptd-ppa", "count:2")


async def test_the_api_lists_by_the_token_of_the_centre(city: LocalCity) -> None:
    async with aiohttp.ClientSession(city.url("intake")) as session:

        async def list_filed(headers: dict[str, str] | None, query: str = "") -> tuple[int, dict[str, object]]:
            async with session.get(f"/centre/reports{query}", headers=headers) as answer:
                return answer.status, await answer.json()

        async with session.post("/reports", json=a_report(injured="yes"), headers=city.token_of("uptd-ppa")) as answer:
            reference = (await answer.json())["case_reference"]
        status, page = await list_filed(city.token_of("uptd-ppa"), "?limit=1")
        assert (status, [one["case_reference"] for one in page["reports"]]) == (200, [reference])  # type: ignore[attr-defined]
        assert page["next"]
        assert (await list_filed(None))[0] == (await list_filed({"Authorization": "Bearer x"}))[0] == 401
        assert (await list_filed(city.token_of("uptd-ppa"), "?limit=0"))[0] == 422


async def test_amendments_are_limited_and_never_those_of_a_child_in_danger(room: Room) -> None:
    running = room.use_cases()
    safe = {"safe_now": "yes", "injured": "no", "suicidal_sign": "no", "trafficking_sign": "no"}
    case = await running.take_report(**safe, violence=["psychological"], sexual_under_72h="no")
    fill = "INSERT INTO amendment SELECT gen_random_uuid(), $1, '', 2, now() - $2::interval FROM generate_series(1, $3)"
    await room.fetch(fill, case.case_id, timedelta(hours=2), MAX_AMENDMENTS)
    assert await running.amend_report(case.case_id, case.phrase, injured="no", in_school="yes") == 2
    await room.fetch(fill, case.case_id, timedelta(minutes=1), MAX_AMENDMENTS)

    with pytest.raises(TooManyAmendments):
        await running.amend_report(case.case_id, case.phrase, injured="no", in_school="no")
    assert await running.amend_report(case.case_id, case.phrase, injured="no", safe_now="no") == 3
    assert await running.amend_report(case.case_id, case.phrase, injured="no", in_school="no") == 4


async def test_an_accused_centre_sees_its_report_as_it_stood_before_the_accusation(room: Room) -> None:
    running = room.use_cases()
    named, later = await running.take_report(excluded_agencies=["uptd-ppa"]), await running.take_report()
    other = await running.take_report()
    await running.amend_report(later.case_id, later.phrase, excluded_agencies=["uptd-ppa"])
    handled = (
        "INSERT INTO disclosure (referral_id, case_id, agency, sequence, sections)"
        " VALUES (gen_random_uuid(), $1, 'ylpa', 1, '{}')"
    )
    for case in (named, later, other):
        await room.fetch(handled, case.case_id)
        await room.fetch("INSERT INTO case_end (case_id, sequence, ended_at) VALUES ($1, 1, now())", case.case_id)
        await room.fetch("INSERT INTO recorded_end VALUES ($1, 1, TRUE, now())", case.case_id)

    listed = await running.follow_reports.list_filed("uptd-ppa", before=None, limit=5)

    assert {one.case_id: one.progress.value for one in listed} == {
        named.case_id: "received",
        later.case_id: "received",
        other.case_id: "closed",
    }
    # A person decided that the centre is not too close.
    await room.fetch("INSERT INTO cleared_agency VALUES ($1, 'uptd-ppa', 1)", later.case_id)
    listed = await running.follow_reports.list_filed("uptd-ppa", before=None, limit=5)
    assert {one.progress.value for one in listed if one.case_id == later.case_id} == {"closed"}
