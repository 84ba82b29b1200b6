"""Scenario 5: one child is reported to two centres in two spellings; nobody exchanges a name."""

import json

from simpul_dev.demo.observer import Observer
from simpul_dev.local_city import LocalCity
from tests.journeys.test_report_to_alert import post
from tests.support.ledger import eventually, rows
from tests.support.reports import a_report
from tests.support.routing_api import call

TO_FOUNDATION = {
    "child_name": "Soeryaningtyas Brahmodjo",
    "birth_date": "7 Nopember 2015",
    "guardian_name": "Quvandari",
}
TO_POLICE = {"child_name": "Suryaningtias Brahmojo", "birth_date": "2015-11-07", "guardian_phone": "080000077701"}
NAMES = ("soeryaning", "suryaning", "brahmo", "quvandari", "080000077701")


async def test_scenario_5_one_child_reported_to_two_centres_in_two_spellings_is_found(
    city: LocalCity, observer: Observer
) -> None:
    first_status, first = await post(
        city, a_report(complaint_centre="", identity=TO_FOUNDATION, age=11), headers=city.token_of("ylpa")
    )
    report = a_report(complaint_centre="", identity=TO_POLICE, age=11)

    held_status, held = await post(city, report, headers=city.token_of("polres-ppa"))
    sent = report | {"duplicate_search": held["search_id"], "duplicate_reason": "new_facts"}
    second_status, second = await post(city, sent, headers=city.token_of("polres-ppa"))

    assert (first_status, held_status, second_status) == (202, 409, 202)
    assert (first["contact_agency"], held["code"], held["contact_agency"]) == ("", "maybe_reported_before", "uptd-ppa")
    assert set(held) == {"code", "detail", "messages", "search_id", "contact_agency", "contact_agency_name"}
    cases = {first["case_id"], second["case_id"]}
    await eventually(lambda: is_listed(city, cases))
    await eventually(lambda: is_marked_at_desk(city, cases))
    published = json.dumps(observer.events).casefold()
    assert "overlap.suspected.v1" in published
    assert not [name for name in NAMES if name in published + json.dumps(held).casefold()]


async def test_a_child_in_danger_is_reported_at_once_with_a_hint(city: LocalCity) -> None:
    identity = {"child_name": "Wardhanintyas Krisdjatmoko", "birth_date": "3 Mei 2014"}
    await post(city, a_report(identity=identity, age=12))

    status, answer = await post(
        city, a_report(identity=identity, age=12, safe_now="no"), headers=city.token_of("uptd-ppa")
    )

    assert (status, answer["contact_agency"]) == (202, "uptd-ppa")


async def test_an_anonymous_reporter_learns_nothing(city: LocalCity) -> None:
    identity = {"child_name": "Mahendratta Zulvikaryo", "birth_date": "9 Mei 2013"}
    answers = [await post(city, a_report(complaint_centre="", identity=identity, age=13)) for _ in range(2)]

    assert [(status, answer["contact_agency"]) for status, answer in answers] == [(202, ""), (202, "")]


async def is_listed(city: LocalCity, cases: set[str]) -> bool:
    after, found = "", False
    while not found:
        _, page, _ = await call(city, "GET", f"/suspected-overlaps?limit=200&after={after}")
        found = any({line["case_id"], line["other_case_id"]} == cases for line in page["overlaps"])
        after = page["next"]
        if not after:
            break
    return found


async def is_marked_at_desk(city: LocalCity, cases: set[str]) -> bool:
    marked = await rows(city, "desk", "SELECT case_id::text, other_case_id::text FROM case_overlap WHERE is_open")
    return any({row["case_id"], row["other_case_id"]} == cases for row in marked)
