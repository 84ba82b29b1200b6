"""`simpul-agency` in the first fifteen minutes of an agency's engineer, each command as it is typed."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle

from simpul_agency.sandbox.process import free_port
from simpul_agency.sandbox.server import TRIGGERS
from tests.support.debian import need
from tests.support.sandbox import COMMAND, Sandbox, sandbox, until


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("engineer") / "work") as found:
        yield found


def test_listen_shows_the_open_referrals_and_leaves_them_in_the_queue(box: Sandbox) -> None:
    first = box.run("listen", "--limit", "5")
    again = box.run("listen", "--limit", "5", "--raw")

    assert first.count("referral.offered.v1") == 5
    assert "shelter" in first
    assert "physical" in first
    assert '"ciphertext"' in again
    offers = [line for line in first.splitlines() if "referral.offered.v1  R-" in line]
    assert [line for line in again.splitlines() if "referral.offered.v1  R-" in line] == offers
    assert len(offers) == 5


def test_doctor_finds_what_is_wrong_and_says_what_to_do(box: Sandbox, tmp_path: Path) -> None:
    well = box.run("doctor")
    assert "FAIL" not in well
    assert "messages wait and no consumer is running" in well
    assert "none has come yet" in well

    settings = (box.folder / "simpul-agency.env").read_text()
    url = next(line for line in settings.splitlines() if "AMQP_URL" in line).partition("=")[2].strip('"')
    wrong_password = url.replace(url.split(":")[2].split("@")[0], "wrong")
    nobody = url.rpartition(":")[0] + f":{free_port()}/"
    loose = tmp_path / "keys"
    loose.write_text((box.folder / "agency.key.json").read_text())
    loose.chmod(0o644)
    empty = tmp_path / "directory.json"
    empty.write_text('{"keys": []}')
    for name, value, cause, remedy in (
        ("AMQP_URL", wrong_password, "refuses this broker user", "password"),
        ("AMQP_URL", nobody, "no connection", "SIMPUL_AGENCY_AMQP_URL"),
        ("CODE", "another-agency", "may not reply", "topology verify"),
        ("CODE", "no-agency", "does not exist", "simpul agency add no-agency"),
        ("QUEUE", "ward", "does not exist", "simpul agency add"),
        ("KEY_FILE", str(loose), "others on this machine can read them", "chmod 600"),
        ("KEY_FILE", "/nowhere", "cannot be read", "SIMPUL_AGENCY_KEY_FILE"),
        ("DIRECTORY_FILE", str(empty), "not enrolled", "clock"),
        ("STORE_URL", "sqlite:////proc/nowhere/agency.db", "store", "SIMPUL_AGENCY_STORE_URL"),
        ("CERTIFICATE_FILE", str(empty), "certificate", "join"),
    ):
        output = box.run("doctor", expected=1, **{f"SIMPUL_AGENCY_{name}": value})
        assert "FAIL" in output
        assert cause in output, output
        assert remedy in output, output


def test_every_trigger_reaches_the_connectors(box: Sandbox, tmp_path: Path) -> None:
    port, spool = free_port(), tmp_path / "spool"
    settings = {
        "SIMPUL_AGENCY_SPOOL_FOLDER": str(spool),
        "SIMPUL_AGENCY_AUTO_ACCEPT": "true",
        "SIMPUL_AGENCY_HEALTH_PORT": str(port),
        "SIMPUL_AGENCY_GAP_TIMEOUT": "0.5",
    }
    with box.running("run", **settings) as log:
        until(lambda: box.log.read_text().count("reply.referral.accepted.v1") >= 5)
        for what in TRIGGERS:
            assert what in box.run("trigger", what, "--scenario", "4", "--folder", str(box.folder))
        until(lambda: "reply.resend.requested.v1" in box.log.read_text())
        until(lambda: box.log.read_text().count("reply.message.parked.v1") == 2)

        def kinds() -> set[str]:
            return {json.loads(path.read_text())["type"] for path in (spool / "new").glob("*.json")}

        until(lambda: {f"{what}.v1" for what in TRIGGERS if what.startswith("referral.")} <= kinds())

        def health() -> tuple[object, object, object]:
            status, output = _health(port)
            return status, output.get("parked_messages"), output.get("problems")

        # While something is missing, readiness changes: one response must show all three.
        until(lambda: health() == (200, 2, []))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/status?lang=en", timeout=60) as answer:
            status_page = answer.read().decode()
        refused = box.run("listen", expected=2)
        assert "a consumer is running" in refused
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        exported = [json.loads(path.read_text()) for path in (spool / "new").glob("*.json")]
        # The triggers end what they act on, so this is a referral that none of them met.
        types: dict[str, set[str]] = {}
        for event in exported:
            types.setdefault(event["data"].get("referral_id"), set()).add(event["type"])
        accepted = next(key for key, of in types.items() if of == {"referral.offered.v1", "referral.accepted.v1"})
        bundle = box.run("fhir", accepted)
    assert "The city delivers." in status_page
    assert "Everything that the city has sent is received and handled." in status_page
    Bundle.model_validate_json(bundle)
    task = json.loads(bundle)["entry"][0]["resource"]
    assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("accepted", "3.0")
    assert "was not offered" in box.run("fhir", "0b7a5b3c-0000-4000-8000-000000000000", expected=2)
    assert {line["event"] for line in lines} >= {"message_parked", "resend_requested"}
    assert "physical" not in log.read_text()


def test_parked_messages_are_listed_and_replayed(box: Sandbox) -> None:
    shown = box.run("parked")
    again = box.run("replay", "all")
    nothing = box.run("replay", "0" * 64, expected=1)

    assert "malformed" in shown
    assert "forged" in shown
    assert "2 replayed, 2 parked now" in again
    assert "0 replayed" in nothing


def test_verify_delivery_names_what_is_missing(box: Sandbox) -> None:
    with box.running("run", SIMPUL_AGENCY_AUTO_ACCEPT="true", SIMPUL_AGENCY_GAP_TIMEOUT="0.5"):
        box.run("trigger", "manifest", "--folder", str(box.folder))
        until(lambda: json.loads(box.run("verify-delivery", "--json", expected=0))["complete"])
    output = box.run("verify-delivery")
    whole = json.loads(box.run("verify-delivery", "--json"))
    box.run("trigger", "lost", "--folder", str(box.folder))
    # Only the manifest comes; the consumer is stopped before it requests what is missing.
    with box.running("run", SIMPUL_AGENCY_AUTO_ACCEPT="true", SIMPUL_AGENCY_GAP_TIMEOUT="60"):
        until(lambda: not _is_whole(box))

    missing = box.run("verify-delivery", expected=1)
    assert "events up to" in output
    assert whole["sources"][0]["last_number"] == whole["sources"][0]["settled_number"] > 10
    assert "are missing" in missing


def _is_whole(box: Sandbox) -> bool:
    try:
        return bool(json.loads(box.run("verify-delivery", "--json", expected=0))["complete"])
    except AssertionError:
        return False


def _health(port: int) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:
        return 0, {}


@pytest.mark.parametrize("language", ["python", "node", "php"])
def test_a_starter_is_short_and_is_never_written_over_anything(box: Sandbox, language: str, tmp_path: Path) -> None:
    written = Path(box.run("new", "--lang", language, str(tmp_path)).strip())

    assert len(written.read_text().splitlines()) <= 45
    assert "exists" in box.run("new", "--lang", language, str(tmp_path), expected=2)


STARTERS = {
    "python": (sys.executable, "consumer.py"),
    "node": ("node", "consumer.mjs"),
    "php": (COMMAND, "run"),
}
"""Language -> program and argument that start its consumer."""


@pytest.mark.parametrize("language", STARTERS)
def test_a_starter_says_what_is_new_what_to_stop_and_what_is_late(box: Sandbox, tmp_path: Path, language: str) -> None:
    program, argument = STARTERS[language]
    if language != "python":
        need((language,), ({"node": "nodejs", "php": "php-cli"}[language],))
    written = Path(box.run("new", "--lang", language, str(tmp_path)).strip())
    settings = {"SIMPUL_AGENCY_PROGRAM": f"php {written}"} if language == "php" else {"PYTHONUNBUFFERED": "1"}

    with box.running(argument if language == "php" else str(written), program=program, **settings) as log:
        for what in ("offered", "amended", "reminded", "overdue", "rerouted", "consent_withdrawn", "revoked"):
            box.run("trigger", f"referral.{what}", "--scenario", "2", "--folder", str(box.folder))
        until(lambda: log.read_text().count("stop:") >= 2)

        shown = log.read_text()
        assert shown.count("new") >= 2
        assert shown.count(" due ") == 2
        assert len([line for line in shown.splitlines() if "withdrawn" in line]) >= 1
        until(lambda: "reply.withdrawal.acknowledged.v1" in box.log.read_text())
    assert "Traceback" not in log.read_text()


def test_the_starter_in_php_answers_offers(tmp_path: Path) -> None:
    need(("php",), ("php-cli",))
    box = Sandbox(tmp_path)
    box.run("new", "--lang", "php", str(tmp_path))
    command = f"env 'SIMPUL_AGENCY_PROGRAM=php {tmp_path / 'consumer.php'}' {COMMAND} run"
    cases = ("offer_is_answered", "withdrawn_consent_is_acknowledged", "revocation_while_accepting")

    output = box.run("conform", command, *(f"--only={case}" for case in cases))

    assert f"{len(cases)} of {len(cases)} cases passed" in output


def test_missing_settings_and_files_are_named(tmp_path: Path, box: Sandbox) -> None:
    alone = Sandbox(tmp_path)
    settings = alone.run("doctor", expected=2)
    nothing = box.run("run", expected=2)
    language = box.run("new", "--lang", "cobol", str(tmp_path / "x"), expected=2)
    nowhere = alone.run("trigger", "poison", expected=2)

    assert "SIMPUL_AGENCY_CODE" in settings
    assert "SIMPUL_AGENCY_KEY_FILE" in settings
    assert "no connector is configured" in nothing
    assert "python, node, php" in language
    assert "sandbox up" in nowhere


def test_capacity_reaches_the_city_and_a_mistake_is_explained(box: Sandbox) -> None:
    stated = box.run("capacity", "shelter", "--open-cases", "4")
    until(lambda: "reply.capacity.stated.v1" in box.log.read_text())
    unknown = box.run("capacity", "sheltr", "--open-cases", "4", expected=2)
    too_far = box.run("capacity", "shelter", "--full-until", "2099-01-01", expected=2)
    too_many = box.run("capacity", "shelter", "--open-cases", "20000", expected=2)
    away = box.run("capacity", "shelter", SIMPUL_AGENCY_AMQP_URL="amqp://nobody@127.0.0.1:9/")

    assert "the city has it" in stated
    assert "at most 4 open cases" in stated
    assert "there is no service sheltr" in unknown
    assert "a year at most" in too_far
    assert "10000" in too_many
    assert "sent when the consumer starts next" in away
