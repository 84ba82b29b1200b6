"""From a report to referrals and alerts, through a whole city of real processes."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest
from typer.testing import CliRunner

from simpul_agency.broker_api import BrokerApi
from simpul_cli.app import app
from simpul_cli.city_topology import build_city_topology
from simpul_cli.keys import key_file
from simpul_cli.topology import find_differences
from simpul_dev.demo import play
from simpul_dev.demo.invented_reports import InventedReport, read_reports
from simpul_dev.demo.observer import Observer
from simpul_dev.local_city import LocalCity, NotStarted
from simpul_routing.stored_facts import decode_clauses, service_context
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES
from simpul_schema.references import case_reference, referral_code
from simpul_seal import Directory, KeyRing, decrypt, verify
from tests.conftest import KEDIRI
from tests.support.desk import open_page
from tests.support.ledger import confirm_plan, eventually, post_until_accepted, received, rows, settle
from tests.support.reports import a_report


async def post(city: LocalCity, body: Any, **kwargs: Any) -> tuple[int, dict[str, Any]]:
    url = f"{city.url('intake')}/reports"
    async with aiohttp.ClientSession() as session, session.post(url, json=body, **kwargs) as answer:
        return answer.status, await answer.json()


async def agencies_of(city: LocalCity, case_id: str) -> set[str]:
    await settle(city, {case_id})
    return {line["agency"] for line in received(city) if line["case_id"] == case_id}


async def test_a_report_reaches_its_agencies_and_the_people_on_duty(city: LocalCity, observer: Observer) -> None:
    status, answer = await post(city, a_report())

    ends = await play.wait_for_arrival(city, observer, {answer["case_id"]}, within=240)

    assert status == 202
    assert answer["case_reference"].startswith("K-")
    assert len(answer["receipt"].split()) == 11
    assert ends.missing({answer["case_id"]}) == 0
    assert {alert.channel for alert in ends.sent if alert.case_id == answer["case_id"]} == {"sms", "mail"}


async def test_the_same_report_sent_twice_is_one_case_with_one_receipt(city: LocalCity) -> None:
    report = a_report()

    answers = await asyncio.gather(*(post(city, report) for _ in range(5)))

    assert {status for status, _ in answers} == {202}
    assert len({answer["case_id"] for _, answer in answers}) == 1
    assert len({answer["receipt"] for _, answer in answers}) == 1


async def test_a_used_report_id_with_other_content_is_refused(city: LocalCity) -> None:
    report = a_report()
    await post(city, report)

    status, answer = await post(city, report | {"age": 4})

    assert (status, answer["code"]) == (409, "report_id_reused")
    assert "report_id" in answer["detail"]
    assert "report_id" in answer["messages"]["id"]


async def test_sexual_violence_at_school_on_a_friday_night_reaches_police_and_hub(city: LocalCity) -> None:
    _, answer = await post(city, a_report(violence=["sexual"], place="school", received_at="2026-11-20T22:00:00+07:00"))

    assert {"polres-ppa", "uptd-ppa", "rs-rujukan"} <= await agencies_of(city, answer["case_id"])
    await confirm_plan(city, answer["case_id"])
    assert {"polres-ppa", "uptd-ppa", "rs-rujukan", "klinik-pendidikan"} <= await agencies_of(city, answer["case_id"])


async def test_an_unknown_kelurahan_and_an_unknown_category_go_to_manual_triage(city: LocalCity) -> None:
    status, answer = await post(city, a_report(kelurahan="Ngasem", violence=["perundungan daring"]))
    await settle(city, {answer["case_id"]})

    offered = {line["agency"]: line["services"] for line in received(city) if line["case_id"] == answer["case_id"]}
    assert status == 202
    assert "manual_triage" in offered["uptd-ppa"]


async def test_an_agency_close_to_the_suspect_receives_nothing(city: LocalCity) -> None:
    report = a_report(violence=["sexual"], safe_now="no", excluded_agencies=["polres-ppa", "satgas-kel-bandar-lor"])

    _, answer = await post(city, report, headers=city.token_of(report["complaint_centre"]))

    agencies = await agencies_of(city, answer["case_id"])
    assert agencies >= {"uptd-ppa", "rs-rujukan", "satgas-kec-mojoroto"}
    assert not agencies & {"polres-ppa", "satgas-kel-bandar-lor"}


EIGHT = [
    "polres-ppa",
    "uptd-ppa",
    "ylpa",
    "dinsos-peksos",
    "klinik-pendidikan",
    "rs-rujukan",
    "satgas-kel-bandar-lor",
    "satgas-kec-mojoroto",
]


async def test_an_anonymous_report_excludes_nobody_from_an_emergency_and_a_person_is_alerted(
    city: LocalCity, observer: Observer
) -> None:
    report = a_report(violence=["sexual"], safe_now="no", injured="yes", sexual_under_72h="yes", complaint_centre="")
    status, answer = await post(city, report | {"excluded_agencies": EIGHT})
    case_id = answer["case_id"]

    await settle(city, {case_id})
    services = {service for line in received(city) if line["case_id"] == case_id for service in line["services"]}
    reviews = [
        e for e in observer.events_of("referral.exclusion_suggested.v1").values() if e["correlationid"] == case_id
    ]
    code = referral_code(UUID(reviews[0]["data"]["referral_id"]))

    async def is_alerted() -> bool:
        ends = await play.read_far_ends(city, observer)
        return any(code in arrival["text"] for arrival in ends.arrivals)

    assert status == 202
    assert {"case_management", "emergency_protection", "medical_care", "forensic_exam", "pep_72h"} <= services
    assert [(review["data"]["suggestion_count"], review["data"]["step"]) for review in reviews] == [(8, 0)]
    named = [agency for agency in EIGHT if agency != reviews[0]["data"]["agency"]]
    assert not [agency for agency in named if agency in json.dumps(reviews[0])]
    await eventually(is_alerted)


async def test_a_wrong_token_or_another_centre_is_refused_in_both_languages(
    city: LocalCity,
) -> None:
    wrong = await post(city, a_report(), headers={"Authorization": "Bearer wrong"})
    other = await post(city, a_report(complaint_centre="polres-ppa"), headers=city.token_of("ylpa"))
    left_out = await post(city, a_report(complaint_centre="", identity={}), headers=city.token_of("ylpa"))

    assert [status for status, _ in (wrong, other, left_out)] == [401, 403, 202]
    assert [answer["code"] for _, answer in (wrong, other)] == ["token_unknown", "centre_not_of_token"]
    for _, answer in (wrong, other):
        assert answer["messages"]["en"] == answer["detail"] != answer["messages"]["id"]
        assert all("oken" in message for message in answer["messages"].values())


async def test_the_same_report_with_and_without_its_token_is_one_case(city: LocalCity) -> None:
    report = a_report(excluded_agencies=["satgas-kel-bandar-lor"])

    answers = [await post(city, report), await post(city, report, headers=city.token_of("uptd-ppa"))]

    assert {status for status, _ in answers} == {202}
    assert len({answer["case_id"] for _, answer in answers}) == 1


@pytest.mark.parametrize("wrong", [{"excluded_agencies": ["polres"]}, {"complaint_centre": "polres"}], ids=str)
async def test_an_unknown_agency_code_is_refused_and_its_field_named(city: LocalCity, wrong: dict[str, Any]) -> None:
    status, answer = await post(city, a_report(**wrong))

    [problem] = answer["problems"]
    assert (status, answer["code"]) == (422, "invalid")
    assert (problem["field"], problem["code"]) == (*wrong, "agency_unknown")
    assert "lembaga" in problem["messages"]["id"]


async def test_every_referral_can_be_explained_by_the_version_and_clauses_that_made_it(city: LocalCity) -> None:
    _, answer = await post(city, a_report(violence=["sexual"]))
    case_id = answer["case_id"]
    await settle(city, {case_id})

    made = await rows(
        city,
        "routing",
        "SELECT service_id, agreement, clauses FROM referral_service JOIN referral USING (referral_id)"
        " WHERE case_id = $1",
        case_id,
    )
    stored = await rows(city, "routing", "SELECT situation FROM case_plan WHERE case_id = $1", case_id)
    ring = KeyRing.read(key_file(city.keys, "routing"))
    clauses = [
        decode_clauses(decrypt(row["clauses"], ring, associated_data=service_context(row["service_id"])))
        for row in made
    ]
    explain = [
        "agreement",
        "explain-case",
        str(city.city_dir / "agreement" / "2026-11"),
        case_reference(UUID(case_id)),
        "--language",
        "en",
        "--database-url",
        city.database_url("routing"),
        "--key-file",
        str(key_file(city.keys, "routing")),
    ]
    explained = await asyncio.to_thread(CliRunner().invoke, app, explain)

    assert {row["agreement"] for row in made} == {"2026-11"}
    assert all(clauses)
    assert explained.exit_code == 0, explained.output
    assert all(clause in explained.output for of_one in clauses for clause in of_one)
    assert b"sexual" not in stored[0]["situation"]


async def test_every_complaint_centre_files_a_report_and_receives_a_referral(city: LocalCity) -> None:
    centres = {agency.kind: agency.code for agency in city.city.agencies if agency.code != "satgas-kel-bandar-lor"}
    cases = {}
    for centre in centres.values():
        _, answer = await post(city, a_report(complaint_centre=centre, safe_now="no"))
        cases[centre] = answer["case_id"]
    await settle(city, set(cases.values()))

    offered = {(line["agency"], line["case_id"]) for line in received(city)}
    assert len(centres) == 8
    assert set(cases.items()) <= offered


async def test_a_wrong_field_is_answered_with_a_sentence_and_without_what_was_sent(city: LocalCity) -> None:
    status, answer = await post(city, a_report(sex="Wenthilora", agee=3, age=999))

    problems = {problem["field"]: problem for problem in answer["problems"]}
    assert (status, answer["code"]) == (422, "invalid")
    assert set(problems) == {"sex", "agee", "age"}
    assert "Pilih salah satu" in problems["sex"]["messages"]["id"]
    assert "Choose one of" in problems["sex"]["detail"]
    assert "Wenthilora" not in json.dumps(answer)


async def test_a_body_over_the_limit_is_refused_with_413(city: LocalCity) -> None:
    async def endless() -> Any:
        for _ in range(400):
            yield b" " * 1024

    declared, _ = await post(city, a_report(narrative={"chronology": "x" * 300_000}))
    async with aiohttp.ClientSession() as session:
        headers = {"content-type": "application/json"}
        async with session.post(f"{city.url('intake')}/reports", data=endless(), headers=headers) as answer:
            streamed = answer.status

    assert (declared, streamed) == (413, 413)


async def test_an_agency_that_accepts_is_announced_on_the_bus_and_on_the_board(
    city: LocalCity, observer: Observer
) -> None:
    _, answer = await post(city, a_report())
    ends = await play.wait_for_arrival(city, observer, {answer["case_id"]}, within=240)

    async def every_acceptance_is_announced() -> bool:
        accepted = observer.events_of("referral.accepted.v1").values()
        answered = {service["service_id"] for event in accepted for service in event["data"]["services"]}
        requested = [service for event in ends.offered.values() for service in event["data"]["services"]]
        return answered == {service["service_id"] for service in requested}

    async def the_board_shows_the_case() -> bool:
        return answer["case_reference"] in await open_page(city)

    await eventually(every_acceptance_is_announced)
    await eventually(the_board_shows_the_case)


async def test_every_event_on_the_bus_is_signed_by_its_source(city: LocalCity, observer: Observer) -> None:
    _, answer = await post(city, a_report())
    await play.wait_for_arrival(city, observer, {answer["case_id"]}, within=240)
    directory = Directory.read(city.keys / "directory.json")

    signers = {
        (json.loads(body)["source"], verify(body, signature, directory, utc_now()))
        for body, signature in observer.messages
    }

    assert signers == {("/kediri/intake", "intake"), ("/kediri/routing", "routing"), ("/kediri/notify", "notify")}


async def test_the_broker_holds_what_is_declared(city: LocalCity) -> None:
    async with BrokerApi(city.backends.rabbitmq_api) as api:
        assert await find_differences(api, build_city_topology(city.city)) == []


async def test_every_service_answers_health_and_metrics(city: LocalCity) -> None:
    async with aiohttp.ClientSession() as session:
        for service in SERVICES:
            for path in ("/health/live", "/health/ready"):
                async with session.get(city.url(service) + path) as answer:
                    assert answer.status == 200, await answer.text()
            async with session.get(city.metrics_url(service)) as answer:
                assert "simpul_outbox_pending" in await answer.text()
            async with session.get(city.url(service) + "/metrics") as answer:
                assert answer.status == 404
        async with session.get(city.url("intake") + "/openapi.json") as answer:
            assert "/reports" in (await answer.json())["paths"]


def canaries(reports: list[InventedReport]) -> set[str]:
    """Lists every name, number, address and narrative of the invented reports."""
    found: set[str] = set()
    for report in reports:
        identity: Mapping[str, str] = report.body["identity"]
        for field in ("child_name", "guardian_name"):
            found |= {word for word in identity[field].split() if len(word) > 3}
        found |= {identity[field] for field in ("nik", "address", "guardian_phone", "safe_contact")}
        found.add(report.body["narrative"]["chronology"][:40])
    return {canary for canary in found if canary}


async def test_no_fixture_name_number_or_address_is_in_any_message_sms_mail_log_or_database(
    city: LocalCity, observer: Observer
) -> None:
    reports = read_reports(city.city.zone)
    await play.send(city, reports, lambda: None)
    cases = {report.case_id for report in reports if report.status == 202}
    ends = await play.wait_for_arrival(city, observer, cases, within=240)
    assert ends.missing(cases) == 0
    sinks = {
        "events": json.dumps(observer.events),
        "sms and mail": json.dumps(ends.arrivals),
        "agencies": city.ledger.read_text(),
        **{log.name: log.read_text() for log in city.folder.glob("*.log")},
        **{service: await dump(city, service) for service in SERVICES},
    }
    seeded = canaries(reports)
    assert len(seeded) > 100

    leaks = {(sink, canary) for sink, content in sinks.items() for canary in seeded if canary in content}

    assert leaks == set()


async def test_a_canary_in_a_sink_would_be_found(city: LocalCity) -> None:
    """Shows that the scan above can fail: it finds a value that is stored in clear."""
    name = f"Kenari{uuid4().hex[:6]}"
    await rows(city, "desk", "CREATE TABLE IF NOT EXISTS canary (word text)")
    await rows(city, "desk", "INSERT INTO canary VALUES ($1)", name)

    dumped = await dump(city, "desk")
    await rows(city, "desk", "DROP TABLE canary")

    assert name in dumped


async def dump(city: LocalCity, service: str) -> str:
    """Dumps every table of a service, with bytes decoded where they are text."""
    connection = await asyncpg.connect(city.database_url(service))
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        content = [await connection.fetch(f'SELECT * FROM "{table["tablename"]}"') for table in tables]
    finally:
        await connection.close()
    values = (value for table in content for row in table for value in row.values())
    return "\n".join(value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in values)


async def test_the_retry_of_a_report_after_a_lost_answer_finds_its_case(city: LocalCity) -> None:
    report = a_report()
    async with aiohttp.ClientSession() as session:
        first = await post_until_accepted(session, city, report)
        second = await post_until_accepted(session, city, report)

    assert first == second


def test_demo_reports_cover_every_centre_and_category() -> None:
    from ruamel.yaml import YAML

    listed = YAML(typ="safe").load(
        (Path(__file__).parents[2] / "deploy/dev/simpul_dev/demo/invented_reports.yaml").read_text(encoding="utf-8")
    )

    centres = {entry.get("complaint_centre", "") for entry in listed}
    categories = {word for entry in listed for word in entry["violence"]}
    assert len(listed) >= 24
    assert {"polres-ppa", "uptd-ppa", "ylpa", "dinsos-peksos", "klinik-pendidikan", "rs-rujukan"} <= centres
    assert any(centre.startswith("satgas-kel-") for centre in centres)
    assert any(centre.startswith("satgas-kec-") for centre in centres)
    assert {"physical", "psychological", "sexual", "exploitation", "trafficking", "neglect", "other"} <= categories


async def test_a_second_city_on_one_broker_is_refused(city: LocalCity, tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="another city runs on this broker"):
        await LocalCity(tmp_path, city.backends, KEDIRI).prepare()


async def test_a_word_pressed_on_the_simulated_handset_answers_the_alert(city: LocalCity) -> None:
    _, answer = await post(city, a_report(violence=["sexual"], safe_now="no", injured="yes"))
    await settle(city, {answer["case_id"]})
    handset, known = city.url("handset"), "SELECT count(*) FROM notification WHERE answer = 'on_it'"
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{handset}/messages") as found:
            number = max(index for index, one in enumerate(await found.json()) if one["report_url"])
        before = await rows(city, "notify", known)
        async with session.post(f"{handset}/reply", data={"number": number, "word": "TERIMA"}) as shown:
            assert (shown.status, str(shown.url)) == (200, f"{handset}/")
        async with session.post(f"{handset}/reply", data={"number": number, "word": "HAPUS"}) as refused:
            assert refused.status == 404

    assert (await rows(city, "notify", known))[0]["count"] == before[0]["count"] + 1
