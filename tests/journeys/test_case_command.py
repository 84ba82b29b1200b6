"""What people with a token do by `simpul case`, against a running city."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_dev.demo.show import coordinator_settings
from simpul_dev.local_city import LocalCity
from simpul_routing.operator_tokens import Token, issue_token
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import ActorRole
from tests.journeys.test_cases_by_http import reported
from tests.support.actors import acting
from tests.support.ledger import eventually, settle

NO_CASE = (
    "There is no case of that id that you may see; check the id in the list of cases. A new report is a case once"
    " routing has decided it.\n"
)


async def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Runs `simpul` and returns its exit code, output and errors."""
    # In a thread, because the command runs an event loop of its own.
    ended = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture
async def options(city: LocalCity) -> list[str]:
    return ["--url", city.url("routing"), "--token", str(city.coordinator_token)]


async def test_the_settings_that_the_demo_prints_are_enough_for_every_command_that_is_shown(city: LocalCity) -> None:
    for _ in range(2):
        await reported(city)
    settings = coordinator_settings(city)

    code, output, errors = await run("case", "list", "--limit", "1", **settings)
    [next_page] = re.findall(r"simpul (case list .+)", output)
    followed, next_output, _ = await run(*next_page.split(), **settings)

    assert (code, errors, followed) == (0, "", 0)
    assert "Kasus" in output
    assert re.search(r"K-\w{4}-\w{4}", output)
    assert re.search(r"K-\w{4}-\w{4}", next_output)


async def test_a_case_is_shown_by_its_code_in_both_languages(city: LocalCity, options: list[str]) -> None:
    receipt = await reported(city, violence=["unknown"])
    newest = json.loads((await run("case", "show", receipt["case_id"], "--json", *options))[1])
    for language, expected in (("id", "Kegentingan"), ("en", "Urgency")):
        code, output, _ = await run("case", "show", newest["reference"], "--language", language, *options)
        assert code == 0
        assert expected in output
        assert newest["case_id"] in output
    timeline = (await run("case", "timeline", newest["reference"].lower(), "--language", "en", *options))[1]
    assert "Manual triage" in timeline
    assert newest["reference"] in (await run("case", "triage", "--limit", "200", *options))[1]


async def test_a_list_says_how_many_there_are_and_how_to_go_on(city: LocalCity, options: list[str]) -> None:
    for _ in range(2):
        await reported(city)

    async def every_case_is_listed_once() -> bool:
        seen: list[str] = []
        after, total = "", 0
        while True:
            limit = "40" if after else "1"
            page = json.loads((await run("case", "list", "--json", "--limit", limit, "--after", after, *options))[1])
            seen += [case["case_id"] for case in page["cases"]]
            after, total = page["next"] or "", page["total"]
            if not after:
                break
        shown = (await run("case", "list", "--limit", "1", "--language", "en", *options))[1]
        assert "The next page: simpul case list --which open --limit 1 --after" in shown
        return len(seen) == len(set(seen)) == total >= 2 and f"1 of {total}." in shown

    # More than once, because a case of another test may still open or end while the pages are read.
    await eventually(every_case_is_listed_once)


async def test_every_list_that_waits_for_a_person_says_how_to_go_on(city: LocalCity, options: list[str]) -> None:
    for _ in range(2):
        await reported(city)
    everything = (await run("case", "triage", "--limit", "1", "--language", "en", *options))[1]
    [next_page] = re.findall(r"1 of \d+\. The next page: simpul (.*--only service-plans .*)", everything)
    plans = everything.partition("Service plans to confirm")[2].partition("Perhaps the same child")[0]
    first = set(re.findall(r"K-\w{4}-\w{4}", plans))

    code, second, _ = await run(*next_page.split(), "--language", "en", *options)

    assert code == 0
    assert "Services to triage" not in second
    assert set(re.findall(r"K-\w{4}-\w{4}", second)) - first
    refused = await run("case", "triage", "--after", next_page.split()[-1], "--language", "en", *options)
    assert refused[0] == 2
    assert "add --only with one of triage, suggested-exclusions" in refused[2]


async def test_a_refusal_is_a_sentence_that_says_what_to_do(
    city: LocalCity, options: list[str], tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.json"
    issue_token(
        tmp_path / "other.json", acting("ylpa"), utc_now(), Token.read(city.coordinator_token).expires_at - utc_now()
    ).write(stranger)
    unknown = await run("case", "show", "K-0000-0000", "--language", "en", *options)
    no_code = await run("case", "show", "nonsense", *options)
    not_enrolled = await run("case", "list", "--language", "en", *options[:2], "--token", str(stranger))
    missing = await run("case", "list", "--language", "en", *options[:2], "--token", str(tmp_path / "none.json"))
    silent = await run("case", "list", "--url", "http://127.0.0.1:9", *options[2:])
    other = await run("case", "list", "--language", "en", "--url", city.url("intake"), *options[2:])

    assert unknown == (2, "", NO_CASE)
    assert no_code[2].startswith("Itu bukan nomor dan bukan kode")
    assert "ask the operator for a new token" in not_enrolled[2]
    assert "--token" in missing[2]
    assert (silent[0], "tidak menjawab" in silent[2]) == (3, True)
    assert other[0] == 2
    assert "Traceback" not in "".join(found[2] for found in (unknown, no_code, not_enrolled, missing, silent, other))


async def test_a_responder_sees_no_case_of_others_and_a_readable_token_is_refused(
    city: LocalCity, tmp_path: Path
) -> None:
    receipt = await reported(city)
    mine = tmp_path / "mine.json"
    people = acting("bapas", ActorRole.RESPONDER)
    issue_token(
        city.folder / "tokens.json", people, utc_now(), Token.read(city.coordinator_token).expires_at - utc_now()
    ).write(mine)
    options = ["--url", city.url("routing"), "--token", str(mine), "--language", "en"]

    listed = json.loads((await run("case", "list", "--json", *options))[1])
    shown = await run("case", "show", receipt["case_id"], *options)
    triage = await run("case", "triage", *options)
    mine.chmod(0o644)
    readable = await run("case", "list", *options)

    assert (listed["cases"], listed["total"]) == ([], 0)
    assert shown == (2, "", NO_CASE)
    assert triage[0] == 0
    assert "chmod 600" in readable[2]


async def test_a_coordinator_confirms_a_plan_once(city: LocalCity, options: list[str]) -> None:
    code = (await reported(city, violence=["sexual"], safe_now="yes"))["case_id"]

    shown = await run("case", "plan", code, "--language", "en", *options)
    unconfirmed = await run("case", "plan", code, "--choose", "accompany_report=ylpa", *options)
    unreadable = await run("case", "plan", code, "--confirm", "--add", "social_aid", *options)
    changes = ["--leave-out", "restitution_information=knows it", "--choose", "accompany_report=ylpa"]
    changes += ["--add", "social_aid=dinsos-peksos=asked for it"]
    ineligible = await run("case", "plan", code, "--confirm", "--choose", "accompany_report=rs-rujukan", *options)
    unknown = await run("case", "plan", code, "--confirm", "--add", "nonsense=ylpa", "--language", "en", *options)
    case = await run("case", "show", code, "--language", "en", *options)
    waiting = await run("case", "triage", "--limit", "200", "--language", "en", *options)
    confirmed = await run("case", "plan", code, "--confirm", *changes, "--language", "en", *options)
    again = await run("case", "plan", code, "--confirm", "--language", "en", *options)

    assert (shown[0], "To confirm it: simpul case plan K-" in shown[1]) == (0, True), shown
    assert (unconfirmed[0], "tambahkan --confirm" in unconfirmed[2]) == (2, True)
    assert (unreadable[0], "SERVICE=AGENCY" in unreadable[2]) == (2, True)
    assert (confirmed[0], "is confirmed" in confirmed[1]) == (0, True), confirmed
    assert "accompany_report" not in ineligible[2]
    assert "(ylpa)" in ineligible[2]
    assert "nonsense is not a service" in unknown[2]
    assert "(legal_aid)" in unknown[2]
    assert "To confirm by" in shown[1]
    assert ("A service plan waits for" in case[1], "simpul case plan K-" in case[1]) == (True, True)
    assert "Service plans to confirm" in waiting[1]
    assert "knows it" in confirmed[1]
    assert "another agency was chosen" in confirmed[1]
    assert "asked for it" in confirmed[1]
    assert (again[0], "no service plan that awaits" in again[2]) == (2, True), again
    case = json.loads((await run("case", "show", code, "--json", *options))[1])
    offered = {(one["service"], referral["agency"]) for referral in case["referrals"] for one in referral["services"]}
    assert {("accompany_report", "ylpa"), ("social_aid", "dinsos-peksos")} <= offered
    assert "restitution_information" not in {service for service, _ in offered}


async def test_a_coordinator_settles_a_triage_and_closes_the_case(city: LocalCity, options: list[str]) -> None:
    case_id = (await reported(city, violence=["unknown"]))["case_id"]
    await settle(city, {case_id})
    english = ["--language", "en", *options]
    case = json.loads((await run("case", "show", case_id, "--json", *options))[1])
    [triage] = [
        one for one in case["referrals"] if "manual_triage" in [service["service"] for service in one["services"]]
    ]

    refused = await run("case", "offer", case_id, "social_aid", "rs-rujukan", "--settles", triage["code"], *english)
    offered = await run("case", "offer", case_id, "social_aid", "dinsos-peksos", "--settles", triage["code"], *english)
    await settle(city, {case_id})
    urgent = await run("case", "urgency", case_id, "high", *options)
    await settle(city, {case_id})
    code = offered[1].rpartition("(")[2].partition(")")[0]
    no_referral = await run("case", "cancel", case["reference"], *english)
    cancelled = await run("case", "cancel", code.lower(), "--service", "social_aid", "--reason", "moved", *english)
    await settle(city, {case_id})
    closed = await run("case", "close", case_id, "closed", "--reason", "moved away", *english)
    timeline = (await run("case", "timeline", case_id, *english))[1]
    ended = json.loads((await run("case", "show", case_id, "--json", *options))[1])

    assert (refused[0], "is not in the mandate of" in refused[2], "(dinsos-peksos)" in refused[2]) == (2, True, True)
    assert (offered[0], "was offered to" in offered[1]) == (0, True), offered
    assert (urgent[0], "kegentingan sekarang TINGGI" in urgent[1]) == (0, True), urgent
    assert "starts with R-" in no_referral[2]
    assert (cancelled[0], code in cancelled[1]) == (0, True), cancelled
    assert (closed[0], closed[1]) == (0, f"{case['reference']} is closed: closed.\n"), closed
    assert (ended["ended_as"], ended["urgency"]) == ("closed", "high")
    assert "by the case manager" in timeline


async def test_a_question_is_read_from_the_input_and_never_from_the_command_line(
    city: LocalCity, options: list[str]
) -> None:
    case_id = str((await reported(city))["case_id"])
    await settle(city, {case_id})
    command = ["case", "ask", case_id, *options, "--language", "en"]

    sent = await asyncio.to_thread(CliRunner().invoke, app, command, input="Does she sleep at her aunt's?\n")
    refused = await asyncio.to_thread(CliRunner().invoke, app, command, input=f"{'x' * 501}\n")
    timeline = (await run("case", "timeline", case_id, *options, "--language", "en"))[1]

    assert sent.exit_code == 0, sent.output
    assert "the question is asked" in sent.stdout
    assert refused.exit_code == 2
    assert timeline.count("the reporting person was asked something") == 1
    assert "aunt" not in timeline
    help_text = (await run("case", "ask", "--help"))[1]
    assert "--question" not in help_text


async def test_a_coordinator_decides_a_suggested_exclusion_once(city: LocalCity, options: list[str]) -> None:
    facts = {"complaint_centre": "", "place": "household", "excluded_agencies": ["satgas-kel-bandar-lor"]}
    case_id = (await reported(city, **facts))["case_id"]
    await settle(city, {case_id})
    english = ["--language", "en", *options]

    shown = (await run("case", "show", case_id, *english))[1]
    decide = ["case", "decide-exclusion", case_id, "satgas-kel-bandar-lor"]
    unexplained = await run(*decide, "rejected", *english)
    rejected = await run(*decide, "rejected", "--reason", "the family was asked", *english)
    otherwise = await run(*decide, "confirmed", "--reason", "x", *english)

    assert "simpul case decide-exclusion K-" in shown
    assert unexplained == (2, "", "A reason is required.\n")
    assert (rejected[0], "is not excluded" in rejected[1]) == (0, True), rejected
    assert (otherwise[0], "already decided the other way" in otherwise[2]) == (2, True)


async def test_a_consent_is_recorded_shown_and_withdrawn(city: LocalCity, options: list[str]) -> None:
    receipt = await reported(city, violence=["physical"], perpetrator_relation="parent", safe_now="yes")
    case, english = str(receipt["case_id"]), ["--language", "en"]
    given = ["case", "consent", "record", case, "--for", "education", "--text-language", "jv"]
    texts = await run("case", "consent", "texts", *options)

    recorded = await run(*given, "--text", "2026-11", "--by", "child", *english, *options)
    suspect = ["--by", "guardian", "--relation", "parent"]
    from_suspect = await run(*given, "--text", "2026-11", *suspect, *english, *options)
    unnamed = await run(*given, "--text", "2026-11", "--by", "guardian", *english, *options)
    unknown = await run(*given, "--text", "1999-01", "--by", "child", *english, *options)
    withdrawn = await run("case", "consent", "withdraw", case, "--for", "education", *options)
    [shown] = json.loads((await run("case", "consent", "show", case, "--json", *options))[1])

    assert "2026-11 jv: Kula" in texts[1]
    assert (recorded[0], "education" in recorded[1].lower(), "the child" in recorded[1]) == (0, True, True)
    assert (from_suspect[0], "no consent is asked" in from_suspect[2]) == (2, True)
    assert (unnamed[0], "what the guardian is to the child" in unnamed[2]) == (2, True)
    assert (unknown[0], "no consent text of this version" in unknown[2]) == (2, True)
    assert withdrawn[0] == 0
    assert (shown["purpose"], shown["given_by"], shown["language"], shown["agency"]) == (
        "education",
        "child",
        "jv",
        "uptd-ppa",
    )
    assert len(shown["text_digest"]) == 64
    assert shown["withdrawn_at"]
