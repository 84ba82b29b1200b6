"""What the desk and operators can ask routing by HTTP."""

from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from simpul_cli.local import LocalCity
from tests.support.ledger import eventually, settle
from tests.support.reports import a_report


async def call(city: LocalCity, method: str, path: str, token: str | None = None, **more: Any) -> tuple[int, Any, Any]:
    headers = {"Authorization": f"Bearer {city.api_token if token is None else token}"} | more.pop("headers", {})
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, city.url("routing") + path, headers=headers, **more) as answer,
    ):
        body = await answer.json() if answer.content_type == "application/json" else None
        return answer.status, body, answer.headers


@pytest.fixture
async def case_id(city: LocalCity) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{city.url('intake')}/reports", json=a_report(safe_now="no")) as answer,
    ):
        found = str((await answer.json())["case_id"])
    await settle(city, {found})
    return found


@pytest.mark.parametrize("token", ["", "wrong", "0" * 32])
async def test_nothing_is_told_without_the_token(city: LocalCity, case_id: str, token: str) -> None:
    for method, path in (("GET", ""), ("GET", "/timeline"), ("POST", "/close"), ("POST", "/reopen")):
        status, body, _ = await call(city, method, f"/cases/{case_id}{path}", token, json={})
        assert (status, set(body)) == (401, {"detail"})
    assert (await call(city, "GET", "/referrals?agency=uptd-ppa", token))[0] == 401


async def test_a_case_shows_its_rights_and_referrals_and_a_version(city: LocalCity, case_id: str) -> None:
    status, case, headers = await call(city, "GET", f"/cases/{case_id}")

    assert status == 200
    assert headers["ETag"].strip('"').isdigit()
    assert len(case["rights"]) == 8
    assert case["urgency"] == "high"
    assert {"uptd-ppa", "polres-ppa"} <= {referral["agency"] for referral in case["referrals"]}


@pytest.mark.parametrize(("language", "words"), [("id", "diterima"), ("en", "accepted")])
async def test_a_timeline_tells_in_plain_words_what_happened(
    city: LocalCity, case_id: str, language: str, words: str
) -> None:
    _, lines, _ = await call(city, "GET", f"/cases/{case_id}/timeline?language={language}")

    moments = [line["at"] for line in lines]
    assert moments == sorted(moments)
    assert any(words in line["words"] for line in lines)
    assert any("UPT PPA" in line["words"] for line in lines)


async def test_an_agency_pages_through_its_worklist_and_misses_nothing(city: LocalCity, case_id: str) -> None:
    seen: list[str] = []
    path = "/referrals?agency=uptd-ppa&limit=2"
    cursor = ""
    while True:
        _, page, _ = await call(city, "GET", path + (f"&after={cursor}" if cursor else ""))
        seen += [referral["referral_id"] for referral in page["referrals"]]
        cursor = page["next"]
        if not cursor:
            break
    _, whole, _ = await call(city, "GET", "/referrals?agency=uptd-ppa&limit=200")

    assert len(seen) == len(set(seen)) >= 2
    assert seen[:200] == [referral["referral_id"] for referral in whole["referrals"]]


async def test_two_people_cannot_change_a_case_at_once(city: LocalCity, case_id: str) -> None:
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    closing = {"by": "uptd-ppa", "end": "closed", "reason": "moved away"}
    stale = {"If-Match": headers["ETag"]}

    first, _, _ = await call(city, "POST", f"/cases/{case_id}/close", json=closing, headers=stale)
    second, told, _ = await call(city, "POST", f"/cases/{case_id}/close", json=closing, headers=stale)

    assert (first, second) == (204, 412)
    assert "baca lagi" in told["detail"]


async def test_refusals_say_what_to_do_in_both_languages(city: LocalCity, case_id: str) -> None:
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    match = {"If-Match": headers["ETag"]}
    unknown = await call(city, "GET", f"/cases/{uuid4()}")
    lacking = await call(
        city, "POST", f"/cases/{case_id}/close", json={"by": "uptd-ppa", "end": "completed"}, headers=match
    )
    without = await call(city, "POST", f"/cases/{case_id}/close", json={"by": "uptd-ppa", "end": "closed"})
    cursor = await call(city, "GET", "/referrals?agency=uptd-ppa&after=nonsense")

    assert (unknown[0], lacking[0], without[0], cursor[0]) == (404, 409, 422, 422)
    assert "prompt_response" in lacking[1]["rights"]
    assert "Hak ini belum terjawab" in lacking[1]["detail"]
    assert "cursor is not valid" in cursor[1]["detail"]


async def test_a_case_that_ended_leaves_the_board(city: LocalCity, case_id: str) -> None:
    reference = (await call(city, "GET", f"/cases/{case_id}"))[1]["reference"]

    async def is_shown() -> bool:
        async with aiohttp.ClientSession() as session, session.get(city.url("desk")) as page:
            return reference in await page.text()

    async def is_gone() -> bool:
        return not await is_shown()

    await eventually(is_shown)
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    closing = {"by": "uptd-ppa", "end": "closed", "reason": "moved away"}
    await call(city, "POST", f"/cases/{case_id}/close", json=closing, headers={"If-Match": headers["ETag"]})

    await eventually(is_gone)
