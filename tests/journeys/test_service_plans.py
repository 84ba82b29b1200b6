"""A service plan through a city of real processes: announced to people, read with its reasons, confirmed by HTTP."""

from typing import Any
from uuid import UUID

from simpul_dev.demo import play
from simpul_dev.demo.observer import Observer
from simpul_dev.local_city import LocalCity
from simpul_schema.references import referral_code
from tests.journeys.test_cases_by_http import reported
from tests.support.ledger import confirm_plan, eventually, received_services
from tests.support.routing_api import call


async def list_plans(city: LocalCity) -> list[dict[str, Any]]:
    """Lists every plan that waits, page by page; the city is shared with other tests."""
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        _, page, _ = await call(city, "GET", f"/service-plans?limit=200&after={after}")
        found, after = [*found, *page["plans"]], page["next"]
    return found


async def test_a_plan_is_announced_to_the_case_manager_and_offered_once_it_is_confirmed(
    city: LocalCity, observer: Observer
) -> None:
    case_id = str((await reported(city, violence=["physical"], place="school"))["case_id"])
    _, plan, _ = await call(city, "GET", f"/cases/{case_id}/service-plan?language=en")
    listed = await list_plans(city)
    code = referral_code(UUID(plan["referral_id"]))

    async def is_alerted() -> bool:
        ends = await play.read_far_ends(city, observer)
        return any(code in arrival["text"] for arrival in ends.arrivals)

    await eventually(is_alerted)
    assert plan["agency"] == "uptd-ppa"
    assert {one["service"] for one in plan["services"]} >= {"legal_aid", "stay_in_school"}
    assert all(one["reasons"] for one in plan["services"])
    assert "If the child suffered physical violence" in str(plan["services"])
    assert code in {line["code"] for line in listed}
    planned = {(one["service"], one["agency"]) for one in plan["services"]}
    assert not planned & received_services(city, case_id)

    await confirm_plan(city, case_id)

    assert planned <= received_services(city, case_id)
    status, refusal, _ = await call(city, "GET", f"/cases/{case_id}/service-plan")
    assert (status, refusal["code"]) == (404, "plan_unknown")


async def test_an_edited_plan_refuses_what_it_does_not_propose(city: LocalCity) -> None:
    case_id = str((await reported(city, violence=["physical"], place="school"))["case_id"])

    async def confirm(**edits: object) -> tuple[int, str]:
        status, answer = 412, None
        while status == 412:
            _, _, headers = await call(city, "GET", f"/cases/{case_id}")
            match = {"If-Match": headers["ETag"]}
            status, answer, _ = await call(
                city, "POST", f"/cases/{case_id}/service-plan/confirm", json={"reason": ""} | edits, headers=match
            )
        return status, answer["code"] if answer else ""

    assert await confirm(left_out=[{"service": "shelter", "reason": "none"}]) == (422, "service_not_planned")
    assert await confirm(left_out=[{"service": "legal_aid", "reason": " "}]) == (422, "reason_missing")
    assert await confirm(agencies=[{"service": "legal_aid", "agency": "rs-rujukan"}]) == (422, "agency_not_eligible")
    assert await confirm(left_out=[{"service": "legal_aid", "reason": "has a lawyer"}]) == (204, "")
    _, case, _ = await call(city, "GET", f"/cases/{case_id}")
    services = {service["service"] for referral in case["referrals"] for service in referral["services"]}
    assert "legal_aid" not in services
    assert case["service_plan"] is None
