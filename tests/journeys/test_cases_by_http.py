"""What the desk and operators do with routing's HTTP API."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from simpul_dev.local_city import LocalCity
from simpul_routing.domain.actors import Actor
from simpul_schema.vocabulary import ActorRole
from tests.support.actors import UPTD, acting
from tests.support.desk import open_page
from tests.support.ledger import eventually, settle
from tests.support.reports import a_report
from tests.support.routing_api import assertion, call


@pytest.fixture
async def case_id(city: LocalCity) -> str:
    return str((await reported(city, safe_now="no"))["case_id"])


@pytest.mark.parametrize("authorization", ["", "wrong", "Bearer " + "0" * 32, "Simpul e30 v1 desk.0 " + "A" * 86])
async def test_nothing_is_shown_without_an_assertion(city: LocalCity, case_id: str, authorization: str) -> None:
    for method, path in (("GET", ""), ("GET", "/timeline"), ("POST", "/close"), ("POST", "/reopen")):
        status, body, _ = await call(city, method, f"/cases/{case_id}{path}", authorization, json={})
        assert (status, set(body)) == (401, {"code", "detail", "messages", "fault"})
    assert (await call(city, "GET", "/referrals?agency=uptd-ppa", authorization))[0] == 401


async def test_an_assertion_is_good_for_its_own_request_and_only_from_a_service_with_accounts(
    city: LocalCity, case_id: str
) -> None:
    target = f"/cases/{case_id}"
    own = assertion(city, "GET", target)
    agency = assertion(city, "GET", target, issuer="polres-ppa")
    intake = assertion(city, "GET", target, issuer="intake")
    closing = assertion(city, "POST", f"{target}/close", b'{"end": "closed", "reason": "moved away"}')

    assert (await call(city, "GET", target, own))[0] == 200
    faults = [
        (await call(city, method, path, signed, json=json))[1]["fault"]
        for method, path, signed, json in (
            ("GET", f"{target}/timeline", own, None),
            ("GET", f"{target}?x=1", own, None),
            ("POST", f"{target}/close", closing, {"end": "completed", "reason": "moved away"}),
            ("GET", target, agency, None),
            ("GET", target, intake, None),
        )
    ]
    assert faults == ["other_request"] * 3 + ["unknown_key"] * 2


async def test_people_quote_codes_wherever_the_api_takes_an_id(city: LocalCity, case_id: str) -> None:
    _, case, _ = await call(city, "GET", f"/cases/{case_id}")
    codes = [case["reference"], case["reference"].lower().replace("-", ""), case["referrals"][0]["code"]]
    found = [(await call(city, "GET", f"/cases/{code}"))[1]["case_id"] for code in codes]
    unknown = await call(city, "GET", "/cases/K-0000-0000")
    no_code = await call(city, "GET", "/cases/K-UUUU")
    unsigned = await call(city, "GET", "/cases/K-0000-0000", "")

    assert found == [case_id] * 3
    assert (unknown[0], unknown[1]["code"]) == (404, "case_unknown")
    assert (no_code[0], no_code[1]["code"]) == (422, "code_invalid")
    assert unsigned[0] == 401


async def test_a_case_of_others_answers_like_one_that_does_not_exist(city: LocalCity, case_id: str) -> None:
    stranger, lead = acting("bapas", ActorRole.RESPONDER), acting("uptd-ppa", ActorRole.AGENCY_LEAD)
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    theirs = await call(city, "GET", f"/cases/{case_id}", actor=stranger)
    nobodys = await call(city, "GET", f"/cases/{uuid4()}", actor=stranger)
    mediating = await call(
        city, "POST", f"/cases/{case_id}/mediation", json={}, headers={"If-Match": headers["ETag"]}, actor=stranger
    )
    closing = await call(city, "POST", f"/cases/{case_id}/close", json={"end": "closed"}, actor=lead)

    assert theirs[:2] == nobodys[:2] == mediating[:2]
    assert theirs[0] == 404
    assert (closing[0], closing[1]["roles"]) == (403, ["case_manager", "coordinator"])
    assert "Peran Anda" in closing[1]["messages"]["id"]


async def test_a_case_shows_its_rights_and_referrals_and_a_version(city: LocalCity, case_id: str) -> None:
    status, case, headers = await call(city, "GET", f"/cases/{case_id}")

    assert status == 200
    assert headers["ETag"].strip('"').isdigit()
    assert len(case["rights"]) == 8
    assert case["urgency"] == "high"
    assert {"uptd-ppa", "polres-ppa"} <= {referral["agency"] for referral in case["referrals"]}


@pytest.mark.parametrize(("language", "expected"), [("id", "diterima"), ("en", "accepted")])
async def test_a_timeline_describes_what_happened_in_the_language_of_the_reader(
    city: LocalCity, case_id: str, language: str, expected: str
) -> None:
    _, lines, _ = await call(city, "GET", f"/cases/{case_id}/timeline?language={language}")

    moments = [line["at"] for line in lines]
    assert moments == sorted(moments)
    assert any(expected in line["text"] for line in lines)
    assert any("UPT PPA" in line["text"] for line in lines)


async def test_an_agency_pages_through_its_worklist_and_misses_nothing(city: LocalCity, case_id: str) -> None:
    for _ in range(2):
        await reported(city)

    async def read_pages(limit: int, without: str = "") -> tuple[list[tuple[str, str]], set[int]]:
        """Returns the ids of all referrals with their cases, and the totals that the pages named."""
        seen: list[tuple[str, str]] = []
        totals: set[int] = set()
        path, cursor = f"/referrals?agency=uptd-ppa&limit={limit}{without and '&without='}{without}", ""
        while True:
            _, page, _ = await call(city, "GET", path + (f"&after={cursor}" if cursor else ""))
            seen += [(referral["referral_id"], referral["case_id"]) for referral in page["referrals"]]
            totals.add(page["total"])
            cursor = page["next"]
            if not cursor:
                return seen, totals

    async def nothing_is_missed() -> bool:
        (seen, totals), (whole, _) = await read_pages(2), await read_pages(200)
        hidden = whole[0][1]
        rest, rest_totals = await read_pages(200, hidden)
        return (
            len(seen) == len(set(seen)) >= 2
            and (seen, totals) == (whole, {len(whole)})
            and (rest, rest_totals) == ([one for one in whole if one[1] != hidden], {len(rest)})
        )

    # More than once, because work of other cases may still arrive while the pages are read.
    await eventually(nothing_is_missed)


async def test_two_people_cannot_change_a_case_at_once(city: LocalCity, case_id: str) -> None:
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    closing = {"end": "closed", "reason": "moved away"}
    stale = {"If-Match": headers["ETag"]}

    first, _, _ = await call(city, "POST", f"/cases/{case_id}/close", json=closing, headers=stale)
    second, refusal, _ = await call(city, "POST", f"/cases/{case_id}/close", json=closing, headers=stale)

    assert (first, second) == (204, 412)
    assert refusal["code"] == "case_changed"
    assert "baca lagi" in refusal["messages"]["id"]


async def test_refusals_say_what_to_do_in_both_languages(city: LocalCity, case_id: str) -> None:
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    match = {"If-Match": headers["ETag"]}
    unknown = await call(city, "GET", f"/cases/{uuid4()}")
    lacking = await call(city, "POST", f"/cases/{case_id}/close", json={"end": "completed"}, headers=match)
    without = await call(city, "POST", f"/cases/{case_id}/close", json={"end": "closed"})
    cursor = await call(city, "GET", "/referrals?agency=uptd-ppa&after=nonsense")

    assert (unknown[0], lacking[0], without[0], cursor[0]) == (404, 409, 422, 422)
    assert "prompt_response" in lacking[1]["rights"]
    assert "Hak ini belum terjawab" in lacking[1]["messages"]["id"]
    assert "These rights are not settled yet" in lacking[1]["messages"]["en"]
    assert "cursor is not valid" in cursor[1]["detail"]
    assert "Penanda halaman tidak sah" in cursor[1]["messages"]["id"]


async def test_a_case_that_ended_leaves_the_board(city: LocalCity, case_id: str) -> None:
    reference = (await call(city, "GET", f"/cases/{case_id}"))[1]["reference"]

    async def is_shown() -> bool:
        return reference in await open_page(city)

    async def is_gone() -> bool:
        return not await is_shown()

    await eventually(is_shown)
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    closing = {"end": "closed", "reason": "moved away"}
    await call(city, "POST", f"/cases/{case_id}/close", json=closing, headers={"If-Match": headers["ETag"]})

    await eventually(is_gone)


async def amend(city: LocalCity, receipt: dict[str, Any], **facts: Any) -> tuple[int, Any]:
    body = {"amendment_id": str(uuid4()), "receipt": receipt["receipt"]} | facts
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{city.url('intake')}/cases/{receipt['case_id']}/amendments", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def test_new_facts_reach_the_agencies_and_only_the_receipt_permits_an_amendment(city: LocalCity) -> None:
    receipt = await reported(city)
    amendment_id = str(uuid4())
    first = await amend(city, receipt, amendment_id=amendment_id, injured="yes")
    again = await amend(city, receipt, amendment_id=amendment_id, injured="yes")
    other = await amend(city, receipt, amendment_id=amendment_id, injured="no")
    wrong = await amend(city, receipt | {"receipt": "satu dua tiga empat lima enam tujuh delapan"}, injured="yes")
    unknown = await amend(city, receipt | {"case_id": str(uuid4())}, injured="yes")
    excluded = await amend(city, receipt, excluded_agencies=["nobody"])

    async def is_offered() -> bool:
        case = (await call(city, "GET", f"/cases/{receipt['case_id']}"))[1]
        return any(one["service"] == "medical_care" and one["delivered_at"] for one in services_of(case))

    await eventually(is_offered)
    assert first == again == (202, {"status": "accepted", "revision": 2})
    assert [status for status, _ in (other, wrong, unknown, excluded)] == [409, 404, 404, 422]
    assert wrong[1] == unknown[1]
    assert [body["code"] for _, body in (other, wrong, excluded)] == [
        "amendment_id_reused",
        "receipt_unknown",
        "invalid",
    ]
    assert "periksa" in wrong[1]["messages"]["id"]
    assert excluded[1]["problems"][0]["field"] == "excluded_agencies"
    _, lines, _ = await call(city, "GET", f"/cases/{receipt['case_id']}/timeline?language=id")
    assert any("Ada fakta baru" in line["text"] for line in lines)


def services_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Lists the services of all referrals of a case, each with the id of its referral."""
    return [
        {"referral_id": referral["referral_id"], **one}
        for referral in case["referrals"]
        for one in referral["services"]
    ]


async def reported(city: LocalCity, **facts: Any) -> dict[str, Any]:
    """Sends a report and waits until it is decided; returns intake's answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{city.url('intake')}/reports", json=a_report(**facts)) as answer,
    ):
        receipt: dict[str, Any] = await answer.json()
    await settle(city, {receipt["case_id"]})
    return receipt


async def test_a_person_triages_by_http_and_the_timeline_describes_it(city: LocalCity) -> None:
    case_id = (await reported(city, violence=["sexual"], safe_now="no"))["case_id"]

    async def do(method: str, path: str, **body: Any) -> tuple[int, Any]:
        """Repeats an action with the new version when an agency has answered meanwhile."""
        status, answer = 412, None
        while status == 412:
            _, _, headers = await call(city, "GET", f"/cases/{case_id}")
            match = {"If-Match": headers["ETag"]}
            action = {**body}
            status, answer, _ = await call(city, method, f"/cases/{case_id}{path}", json=action, headers=match)
        return status, answer

    _, case, _ = await call(city, "GET", f"/cases/{case_id}")
    open_lead = next(one for one in services_of(case) if one["service"] == "case_management")
    overlap = await do("POST", "/referrals", service=open_lead["service"], agency="uptd-ppa")
    offered = await do("POST", "/referrals", service="school_transfer", agency="klinik-pendidikan")
    unable = await do("POST", "/referrals", service="shelter", agency="rs-rujukan")
    raised = await do("PUT", "/urgency", urgency="high")
    lowered = await do("PUT", "/urgency", urgency="low")
    excluded = await do("POST", "/exclusions", agency="ylpa", reason="kerabat tersangka")
    offered_to_excluded = await do("POST", "/referrals", service="legal_aid", agency="ylpa")
    mediated = await do("POST", "/mediation", reason="keluarga setuju")
    cancelling = {"reason": "sudah pindah", "service_ids": [offered[1]["service_id"]]}
    taken_back = await do("POST", f"/referrals/{offered[1]['referral_id']}/cancel", **cancelling)
    planned = await do("POST", "/stage", stage="service_plan")
    voided = await do("POST", "/void", reason="tercatat dua kali")

    assert {clause["id"] for clause in mediated[1]["clauses"]} == {"MED-1", "MED-4"}
    assert "MED-1: Bila" in mediated[1]["messages"]["id"]
    assert "MED-1: If" in mediated[1]["detail"]
    assert (overlap[0], overlap[1]["referral_id"]) == (409, open_lead["referral_id"])
    assert len({referral["agency"] for referral in case["referrals"]}) == len(case["referrals"])
    assert [answer[0] for answer in (offered, unable, raised, lowered)] == [201, 422, 204, 422]
    assert [answer[0] for answer in (excluded, offered_to_excluded, mediated)] == [204, 409, 403]
    assert [answer[0] for answer in (taken_back, planned, voided)] == [204, 204, 204]
    _, lines, _ = await call(city, "GET", f"/cases/{case_id}/timeline?language=en")
    timeline = "\n".join(line["text"] for line in lines)
    for expected in (
        "Case: The urgency was changed",
        "An agency was excluded",
        "kerabat tersangka",
        "mediation was requested and refused (MED-1, MED-4), Case coordinator",
        "Taken back by the case manager",
        "Case: service plan (the service plan was drawn up)",
        "Case: entered in error (Entered in error)",
    ):
        assert expected in timeline


async def test_a_duplicate_case_is_merged_by_http_and_names_the_case_that_continues(city: LocalCity) -> None:
    cases = [(await reported(city))["case_id"] for _ in range(2)]
    _, _, headers = await call(city, "GET", f"/cases/{cases[1]}")
    merging = {"into": cases[0], "reason": "anak yang sama"}
    merged, _, _ = await call(
        city, "POST", f"/cases/{cases[1]}/merge", json=merging, headers={"If-Match": headers["ETag"]}
    )
    _, _, headers = await call(city, "GET", f"/cases/{cases[1]}")
    reopened, refusal, _ = await call(
        city, "POST", f"/cases/{cases[1]}/reopen", json={"reason": "x"}, headers={"If-Match": headers["ETag"]}
    )

    assert (merged, reopened, refusal["into"]) == (204, 409, cases[0])


async def test_indicators_cover_whole_months_and_odd_periods_are_refused(city: LocalCity, case_id: str) -> None:
    _, found, _ = await call(city, "GET", "/indicators?by=service")
    status, _, headers = await call(city, "GET", "/indicators?by=month&form=csv")
    odd = [
        (await call(city, "GET", f"/indicators?{query}"))[0]
        for query in (
            "since=2026-02&until=2026-01",
            f"until={datetime.now(UTC):%Y-%m}",
            "until=9999-12",
            "since=0001-01",
            "since=2026-13",
            "by=kelurahan",
        )
    ]
    refused, _, _ = await call(city, "GET", "/indicators", "wrong")

    # Today's case belongs to the current month, which is not published.
    assert (found["services"], found["clocks"], found["rights"], found["by"]) == ([], [], [], "service")
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert odd == [422] * len(odd)
    assert refused == 401


@pytest.mark.parametrize("version", ["9" * 5000, "-1", "x", "", "\u00b2"])
async def test_an_invalid_version_counts_as_a_changed_case(city: LocalCity, case_id: str, version: str) -> None:
    body = {"end": "closed", "reason": "moved away"}
    headers = {"If-Match": version.encode().decode("latin-1")}

    status, _, _ = await call(city, "POST", f"/cases/{case_id}/close", json=body, headers=headers)

    assert status in (412, 431)


async def test_blanks_do_not_count_as_a_reason(city: LocalCity, case_id: str) -> None:
    _, _, headers = await call(city, "GET", f"/cases/{case_id}")
    body = {"agency": "ylpa", "reason": "   "}

    match = {"If-Match": headers["ETag"]}

    assert (await call(city, "POST", f"/cases/{case_id}/exclusions", json=body, headers=match))[0] == 422
    assert (await call(city, "GET", "/referrals?agency=%00"))[0] == 422


async def test_a_suspected_agency_is_not_warned_by_http(city: LocalCity) -> None:
    case = (await reported(city, complaint_centre="", place="household", excluded_agencies=["ylpa", "dinsos-peksos"]))[
        "case_id"
    ]
    await settle(city, {case})
    found, hidden = [
        (
            (await call(city, "GET", f"/cases/{case}", actor=by))[1],
            (await call(city, "GET", f"/cases/{case}/timeline?language=en", actor=by))[1],
        )
        for by in (UPTD, acting("ylpa"))
    ]

    reasons = [{one["reason"] for one in shown["rights"].values()} for shown, _ in (found, hidden)]
    assert "awaits_decision" in reasons[0] - reasons[1]
    suggested = [[line for line in lines if "suggested an exclusion" in line["text"]] for _, lines in (found, hidden)]
    assert (len(suggested[0]), suggested[1]) == (1, [])
    assert (len(found[0]["suggested_exclusions"]), hidden[0]["suggested_exclusions"]) == (2, [])
    assert hidden[0]["exclusion_review"] is None


async def test_a_person_decides_by_http_about_a_suggested_exclusion(city: LocalCity) -> None:
    case = (await reported(city, complaint_centre="", place="household", excluded_agencies=["satgas-kel-bandar-lor"]))[
        "case_id"
    ]
    await settle(city, {case})
    path = f"/cases/{case}/suggested-exclusions/satgas-kel-bandar-lor"

    async def decide(decision: str, version: str, actor: Actor = UPTD) -> tuple[int, Any]:
        body = {"reason": "keluarga ditanya", "decision": decision}
        return (await call(city, "PUT", path, json=body, headers={"If-Match": version}, actor=actor))[:2]

    _, found, headers = await call(city, "GET", f"/cases/{case}")
    version = headers["ETag"]
    _, listed, _ = await call(city, "GET", "/suggested-exclusions?limit=200")
    [entry] = [one for one in listed["cases"] if one["case_id"] == case]
    suspected = acting("satgas-kel-bandar-lor")
    _, hidden, _ = await call(city, "GET", f"/cases/{case}", actor=suspected)
    _, unlisted, _ = await call(city, "GET", "/suggested-exclusions?limit=200", actor=suspected)
    itself = await decide("rejected", version, suspected)
    stale = await decide("rejected", '"0"')
    unknown = (
        await call(
            city,
            "PUT",
            f"/cases/{case}/suggested-exclusions/ylpa",
            headers={"If-Match": version},
            json={"reason": "x", "decision": "rejected"},
        )
    )[:2]
    done = [await decide("rejected", version), await decide("rejected", version)]
    other = await decide("confirmed", version)
    _, after, _ = await call(city, "GET", f"/cases/{case}")
    _, listed_after, _ = await call(city, "GET", "/suggested-exclusions?limit=200")

    assert found["exclusion_review"]["agency"] == entry["agency"] == "uptd-ppa"
    assert [one["state"] for one in found["suggested_exclusions"]] == ["pending"]
    # Who is suspected is not warned.
    assert (hidden["suggested_exclusions"], hidden["exclusion_review"]) == ([], None)
    assert case not in [one["case_id"] for one in unlisted["cases"]]
    assert unlisted["total"] == listed["total"] - (len(listed["cases"]) - len(unlisted["cases"]))
    assert [one["agency"] for one in entry["suggested_exclusions"]] == ["satgas-kel-bandar-lor"]
    assert [status for status, _ in (itself, stale, unknown, *done, other)] == [404, 412, 404, 204, 204, 409]
    assert all(set(answer["messages"]) == {"id", "en"} for _, answer in (itself, stale, unknown, other))
    assert [(one["state"], one["decided_by"]) for one in after["suggested_exclusions"]] == [("rejected", UPTD.code)]
    assert after["exclusion_review"] is None
    assert case not in [one["case_id"] for one in listed_after["cases"]]
    assert "satgas-kel-bandar-lor" in [one["agency"] for one in after["referrals"]]


async def test_guessed_receipts_lock_out_the_guesser_and_not_the_reporter(city: LocalCity) -> None:
    receipt = await reported(city)

    async def try_receipt(typed_receipt: str, address: str) -> tuple[int, Any, Any]:
        body = {"amendment_id": str(uuid4()), "receipt": typed_receipt, "injured": "yes"}
        path = f"{city.url('intake')}/cases/{receipt['case_id']}/amendments"
        headers = {"X-Forwarded-For": address}
        async with aiohttp.ClientSession() as session, session.post(path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers

    guesses = [(await try_receipt(f"kata {number}", "198.51.100.7"))[0] for number in range(5)]
    status, body, headers = await try_receipt(receipt["receipt"], "198.51.100.7")
    reporter, _, _ = await try_receipt(receipt["receipt"], "203.0.113.9")

    assert guesses == [404] * 5
    assert (status, body["code"], set(body["messages"])) == (429, "receipt_locked", {"id", "en"})
    assert 0 < int(headers["Retry-After"]) <= 60
    assert reporter == 202
