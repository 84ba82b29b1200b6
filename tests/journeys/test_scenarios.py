"""Scenarios 3 and 6 of the domain through a city of real processes; the others have files of their own.

Scenario 5 is in `test_duplicates.py`, 8 in `test_transfers.py`, 9 in `tests/integration/routing/test_triage.py`, and 10
in `tests/browser/test_work_pages.py`. What people see in them stands in `tests/browser/test_scenarios.py`.
"""

from typing import Any

import aiohttp

from simpul_dev.local_city import LocalCity
from simpul_schema.vocabulary import Right
from tests.journeys.test_case_ends import change_case
from tests.journeys.test_cases_by_http import reported
from tests.journeys.test_dossiers import HUB, seen_by
from tests.support.ledger import confirm_plan, eventually, rows
from tests.support.routing_api import call

FATHERS_PHONE = "+6283499887766"


async def record_consent(city: LocalCity, case_id: str, **given: Any) -> tuple[int, Any]:
    """Records a consent to everything, as the coordinator; tries again when the case changed meanwhile."""
    body = {
        "purposes": [right.value for right in Right],
        "given_by": "guardian",
        "relation": "parent",
        "way": "written",
        "text": "2026-11",
        "language": "jv",
        **given,
    }
    while True:
        _, _, headers = await call(city, "GET", f"/cases/{case_id}")
        status, answer, _ = await call(
            city, "POST", f"/cases/{case_id}/consents", json=body, headers={"If-Match": headers["ETag"]}
        )
        if status != 412:
            return status, answer


async def withdraw_consent(city: LocalCity, case_id: str, *, agencies: int, reason: str = "moved away") -> None:
    """Withdraws the consent once so many agencies serve by it, and waits until each has stopped."""

    async def serve_by_consent() -> set[str]:
        found = await rows(
            city,
            "intake",
            "SELECT d.agency FROM disclosure d JOIN held_section h USING (referral_id)"
            " WHERE d.case_id = $1 AND h.basis = 'guardian_consent' AND h.withdrawal_id IS NULL",
            case_id,
        )
        return {row["agency"] for row in found}

    async def enough_serve() -> bool:
        return len(await serve_by_consent()) >= agencies

    await eventually(enough_serve, 120)
    await change_case(city, case_id, "consent-withdrawals", reason=reason)

    async def all_have_stopped() -> bool:
        clocks = await rows(
            city,
            "routing",
            "SELECT r.agency, c.stopped_at FROM clock c JOIN referral_service s USING (service_id)"
            " JOIN referral r USING (referral_id) WHERE r.case_id = $1 AND c.clock = 'withdrawal'",
            case_id,
        )
        has_stopped = all(row["stopped_at"] for row in clocks)
        return len({row["agency"] for row in clocks}) >= agencies and has_stopped and not await serve_by_consent()

    await eventually(all_have_stopped, 120)


async def test_scenario_3_no_consent_of_the_father_who_is_suspected_and_no_message_to_him(city: LocalCity) -> None:
    receipt = await reported(
        city,
        safe_now="no",
        perpetrator_relation="parent",
        guardian_relation="parent",
        guardian_is_suspect="yes",
        perpetrator_lives_with_child="yes",
        identity={"child_name": "Anak Karangan", "guardian_phone": FATHERS_PHONE, "address": "Gang Melintang 7"},
    )
    case_id = str(receipt["case_id"])

    async def is_known() -> bool:
        return (await seen_by(city, HUB, case_id)).get("identity", {}).get("child_name") == "Anak Karangan"

    await eventually(is_known)

    assert (await record_consent(city, case_id))[0] == 409
    [givers] = [(await call(city, "GET", f"/cases/{case_id}/consent-givers"))[1]]
    assert set(givers["refused_guardians"]) >= {"parent", "step_parent", "relative"}
    bases = await rows(city, "intake", "SELECT DISTINCT unnest(bases) AS b FROM disclosure WHERE case_id = $1", case_id)
    assert bases
    assert not {row["b"] for row in bases} & {"guardian_consent", "child_consent"}
    # His number is given to nobody who helps, and nobody writes to it.
    number = FATHERS_PHONE.removeprefix("+62")
    for agency in (HUB, "polres-ppa", "dinsos-peksos", "rs-rujukan"):
        assert number not in str(await seen_by(city, agency, case_id))
    async with aiohttp.ClientSession() as session, session.get(f"{city.url('handset')}/messages") as answer:
        sent = await answer.text()
    assert sent
    assert number not in sent


async def test_scenario_6_every_agency_confirms_that_it_stopped_after_a_withdrawal(city: LocalCity) -> None:
    receipt = await reported(
        city,
        violence=["physical", "psychological"],
        perpetrator_relation="teacher",
        age=9,
        perpetrator_lives_with_child="no",
        identity={"child_name": "Anak Karangan", "address": "Gang Melintang 7"},
    )
    case_id = str(receipt["case_id"])
    assert (await record_consent(city, case_id))[0] == 204
    await confirm_plan(city, case_id)

    await withdraw_consent(city, case_id, agencies=3)

    acknowledged = await rows(
        city,
        "routing",
        "SELECT DISTINCT actor FROM case_event WHERE case_id = $1 AND kind = 'withdrawal_acknowledged'",
        case_id,
    )
    assert len(acknowledged) >= 3
    assert "narrative" not in await seen_by(city, HUB, case_id)
