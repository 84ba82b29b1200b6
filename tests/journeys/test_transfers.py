"""Scenario 8: a child of the regency is reported in the city; emergency first, then the transfer."""

from typing import Any

from simpul_dev.local_city import LocalCity
from tests.journeys.test_cases_by_http import reported
from tests.support.routing_api import call

LETTER: dict[str, Any] = {
    "reason": "lives in the regency",
    "way": "paper",
    "party": "UPTD PPA Kabupaten Kediri",
    "address": "Jalan Contoh 7",
}
RECEIPT = {"name": "Hestrud Quamiral", "office": "Kepala UPTD PPA", "received_on": "2026-11-28"}
CLOSING = {"end": "transferred", "reason": "taken over by the regency"}


async def test_scenario_8_a_child_of_the_regency_is_protected_here_until_the_regency_has_acknowledged(
    city: LocalCity,
) -> None:
    receipt = await reported(city, kelurahan="outside", safe_now="no", complaint_centre="satgas-kec-kota")
    path = f"/cases/{receipt['case_id']}"
    _, case, _ = await call(city, "GET", path)

    async def change(route: str, body: dict[str, Any]) -> tuple[int, Any]:
        _, _, headers = await call(city, "GET", path)
        status, answer, _ = await call(city, "POST", path + route, json=body, headers={"If-Match": headers["ETag"]})
        return status, answer

    services = {one["service"] for referral in case["referrals"] for one in referral["services"]}
    assert {"emergency_protection", "manual_triage"} <= services
    sent, transfer = await change("/transfers", LETTER)
    _, letter_case, _ = await call(city, "GET", path)
    _, waiting, _ = await call(city, "GET", "/transfers")
    refused, refusal = await change("/close", CLOSING)

    assert (sent, refused, refusal["code"]) == (201, 409, "transfer_not_acknowledged")
    assert "tetap" in refusal["messages"]["id"]
    [shown] = letter_case["transfers"]
    assert (shown["waits_for"], shown["state"], shown["acknowledged_by"]) == (LETTER["party"], "sent", None)
    assert transfer["code"] in {one["code"] for one in waiting["transfers"]}
    assert [one["state"] for r in letter_case["referrals"] for one in r["services"] if one["ended_at"]] == []

    acknowledged, _ = await change(f"/transfers/{transfer['transfer_id']}/acknowledge", RECEIPT)
    closed, _ = await change("/close", CLOSING)
    _, after, _ = await call(city, "GET", path)

    assert (acknowledged, closed) == (204, 204)
    assert after["transfers"][0]["acknowledged_by"]["office"] == "Kepala UPTD PPA"
