"""What the desk and operators can ask routing by HTTP."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from simpul_dev.local_city import LocalCity
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
    return str((await reported(city, safe_now="no"))["case_id"])


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
    assert any(words in line["text"] for line in lines)
    assert any("UPT PPA" in line["text"] for line in lines)


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


async def amend(city: LocalCity, told: dict[str, Any], **facts: Any) -> tuple[int, Any]:
    body = {"amendment_id": str(uuid4()), "receipt": told["receipt"]} | facts
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{city.url('intake')}/cases/{told['case_id']}/amendments", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def test_new_facts_reach_the_agencies_and_only_the_receipt_lets_somebody_tell_them(city: LocalCity) -> None:
    told = await reported(city)
    amendment_id = str(uuid4())
    first = await amend(city, told, amendment_id=amendment_id, injured="yes")
    again = await amend(city, told, amendment_id=amendment_id, injured="yes")
    other = await amend(city, told, amendment_id=amendment_id, injured="no")
    wrong = await amend(city, told | {"receipt": "satu dua tiga empat lima enam tujuh delapan"}, injured="yes")
    unknown = await amend(city, told | {"case_id": str(uuid4())}, injured="yes")
    excluded = await amend(city, told, excluded_agencies=["nobody"])

    async def is_asked() -> bool:
        case = (await call(city, "GET", f"/cases/{told['case_id']}"))[1]
        return any(r["service"] == "medical_care" and r["delivered_at"] for r in case["referrals"])

    await eventually(is_asked)
    assert first == again == (202, {"status": "accepted", "revision": 2})
    assert [status for status, _ in (other, wrong, unknown, excluded)] == [409, 404, 404, 422]
    assert wrong[1] == unknown[1]
    assert [body["code"] for _, body in (other, wrong, excluded)] == [
        "amendment_id_reused", "receipt_unknown", "invalid",
    ]  # fmt: skip
    assert "periksa" in wrong[1]["messages"]["id"]
    assert excluded[1]["problems"][0]["field"] == "excluded_agencies"
    _, lines, _ = await call(city, "GET", f"/cases/{told['case_id']}/timeline?language=id")
    assert any("Ada fakta baru" in line["text"] for line in lines)


async def reported(city: LocalCity, **facts: Any) -> dict[str, Any]:
    """What the reporting person got for a report that was decided meanwhile."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{city.url('intake')}/reports", json=a_report(**facts)) as answer,
    ):
        receipt: dict[str, Any] = await answer.json()
    await settle(city, {receipt["case_id"]})
    return receipt


async def test_a_person_triages_by_http_and_the_timeline_says_so_in_words(city: LocalCity) -> None:
    case_id = (await reported(city, violence=["sexual"], safe_now="no"))["case_id"]

    async def do(method: str, path: str, **body: Any) -> tuple[int, Any]:
        """As somebody who reads again when an agency has answered meanwhile."""
        status, answer = 412, None
        while status == 412:
            _, _, headers = await call(city, "GET", f"/cases/{case_id}")
            match = {"If-Match": headers["ETag"]}
            told = {"by": "uptd-ppa", **body}
            status, answer, _ = await call(city, method, f"/cases/{case_id}{path}", json=told, headers=match)
        return status, answer

    _, case, _ = await call(city, "GET", f"/cases/{case_id}")
    open_lead = next(r for r in case["referrals"] if r["role"] == "lead" and not r["ended_at"])
    overlap = await do("POST", "/referrals", service=open_lead["service"], agency="uptd-ppa")
    asked = await do("POST", "/referrals", service="school_transfer", agency="klinik-pendidikan")
    unable = await do("POST", "/referrals", service="shelter", agency="rs-rujukan")
    raised = await do("PUT", "/urgency", urgency="high")
    lowered = await do("PUT", "/urgency", urgency="low")
    excluded = await do("POST", "/exclusions", agency="ylpa", reason="kerabat tersangka")
    asked_excluded = await do("POST", "/referrals", service="legal_aid", agency="ylpa")
    mediated = await do("POST", "/mediation", reason="keluarga setuju")
    taken_back = await do("POST", f"/referrals/{asked[1]['referral_id']}/cancel", reason="sudah pindah")
    planned = await do("POST", "/stage", stage="service_plan")
    voided = await do("POST", "/void", reason="tercatat dua kali")

    assert (overlap[0], overlap[1]["referral_id"]) == (409, open_lead["referral_id"])
    assert [answer[0] for answer in (asked, unable, raised, lowered)] == [201, 422, 204, 422]
    assert [answer[0] for answer in (excluded, asked_excluded, mediated)] == [204, 409, 403]
    assert [answer[0] for answer in (taken_back, planned, voided)] == [204, 204, 204]
    _, lines, _ = await call(city, "GET", f"/cases/{case_id}/timeline?language=en")
    told = "\n".join(line["text"] for line in lines)
    for words in (
        "Case: The risk was changed", "An agency was excluded", "kerabat tersangka",
        "mediation was requested and refused",
        "Taken back by the case manager", "Case: service plan (the service plan was drawn up)",
        "Case: entered in error (Entered in error)",
    ):  # fmt: skip
        assert words in told


async def test_a_twin_is_merged_by_http_and_says_where_it_goes_on(city: LocalCity) -> None:
    cases = [(await reported(city))["case_id"] for _ in range(2)]
    _, _, headers = await call(city, "GET", f"/cases/{cases[1]}")
    merging = {"by": "uptd-ppa", "into": cases[0], "reason": "anak yang sama"}
    merged, _, _ = await call(
        city, "POST", f"/cases/{cases[1]}/merge", json=merging, headers={"If-Match": headers["ETag"]}
    )
    _, _, headers = await call(city, "GET", f"/cases/{cases[1]}")
    reopened, told, _ = await call(
        city, "POST", f"/cases/{cases[1]}/reopen", json={"by": "uptd-ppa", "reason": "x"},
        headers={"If-Match": headers["ETag"]},
    )  # fmt: skip

    assert (merged, reopened, told["into"]) == (204, 409, cases[0])


async def test_indicators_are_of_whole_months_and_nothing_odd_that_is_asked_breaks_them(
    city: LocalCity, case_id: str
) -> None:
    _, told, _ = await call(city, "GET", "/indicators?by=service")
    status, _, headers = await call(city, "GET", "/indicators?by=month&form=csv")
    odd = [
        (await call(city, "GET", f"/indicators?{query}"))[0]
        for query in (
            "since=2026-02&until=2026-01", f"until={datetime.now(UTC):%Y-%m}", "until=9999-12", "since=0001-01",
            "since=2026-13", "by=kelurahan",
        )
    ]  # fmt: skip
    refused, _, _ = await call(city, "GET", "/indicators", token="wrong")

    # The case of today is of a month that still runs.
    assert (told["referrals"], told["clocks"], told["rights"], told["by"]) == ([], [], [], "service")
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert odd == [422] * len(odd)
    assert refused == 401


@pytest.mark.parametrize("version", ["9" * 5000, "-1", "x", "", "\u00b2"])
async def test_a_version_that_is_none_is_a_changed_case(city: LocalCity, case_id: str, version: str) -> None:
    body = {"by": "uptd-ppa", "end": "closed", "reason": "moved away"}
    headers = {"If-Match": version.encode().decode("latin-1")}

    status, _, _ = await call(city, "POST", f"/cases/{case_id}/close", json=body, headers=headers)

    assert status in (412, 431)


async def test_blanks_are_no_reason(city: LocalCity, case_id: str) -> None:
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    body = {"by": "uptd-ppa", "agency": "ylpa", "reason": "   "}

    match = {"If-Match": headers["ETag"]}

    assert (await call(city, "POST", f"/cases/{case_id}/exclusions", json=body, headers=match))[0] == 422
    assert (await call(city, "GET", "/referrals?agency=%00"))[0] == 422


async def test_a_person_decides_by_http_about_what_a_stranger_suggested(city: LocalCity) -> None:
    case = (await reported(city, complaint_centre="", place="household", excluded_agencies=["satgas-kel-bandar-lor"]))[
        "case_id"
    ]
    await settle(city, {case})
    path = f"/cases/{case}/suggested-exclusions/satgas-kel-bandar-lor"

    async def decide(decision: str, version: str, **more: Any) -> tuple[int, Any]:
        body = {"by": "uptd-ppa", "reason": "keluarga ditanya", "decision": decision} | more
        return (await call(city, "PUT", more.pop("path", path), json=body, headers={"If-Match": version}))[:2]

    _, found, headers = await call(city, "GET", f"/cases/{case}")
    version = headers["ETag"]
    _, listed, _ = await call(city, "GET", "/suggested-exclusions?limit=200")
    [entry] = [one for one in listed["cases"] if one["case_id"] == case]
    itself = await decide("rejected", version, by="satgas-kel-bandar-lor")
    stale = await decide("rejected", '"0"')
    unknown = (await call(
        city, "PUT", f"/cases/{case}/suggested-exclusions/ylpa", headers={"If-Match": version},
        json={"by": "uptd-ppa", "reason": "x", "decision": "rejected"},
    ))[:2]  # fmt: skip
    done = [await decide("rejected", version), await decide("rejected", version)]
    other = await decide("confirmed", version)
    _, after, _ = await call(city, "GET", f"/cases/{case}")
    _, listed_after, _ = await call(city, "GET", "/suggested-exclusions?limit=200")

    assert found["exclusion_review"]["agency"] == entry["agency"] == "uptd-ppa"
    assert [one["state"] for one in found["suggested_exclusions"]] == ["pending"]
    assert [one["agency"] for one in entry["suggested_exclusions"]] == ["satgas-kel-bandar-lor"]
    assert [status for status, _ in (itself, stale, unknown, *done, other)] == [403, 412, 404, 204, 204, 409]
    assert all(" / " in answer["detail"] for _, answer in (itself, stale, unknown, other))
    assert [(one["state"], one["decided_by"]) for one in after["suggested_exclusions"]] == [("rejected", "uptd-ppa")]
    assert after["exclusion_review"] is None
    assert case not in [one["case_id"] for one in listed_after["cases"]]
    assert "satgas-kel-bandar-lor" in [one["agency"] for one in after["referrals"]]
