"""`simpul-agency` in the first fifteen minutes of an agency's engineer, each command as it is typed."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle

from simpul_agency.sandbox.process import free_port
from simpul_agency.sandbox.serving import TRIGGERS
from tests.support.debian import need
from tests.support.sandbox import COMMAND, Sandbox, sandbox, until


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("engineer") / "work") as found:
        yield found


def test_listen_shows_the_open_referrals_and_leaves_them_where_they_are(box: Sandbox) -> None:
    first = box.run("listen", "--most", "5")
    again = box.run("listen", "--most", "5", "--raw")

    assert first.count("referral.offered.v1") == 5
    assert "medical_care" in first
    assert "physical" in first
    assert '"ciphertext"' in again
    offers = [line for line in first.splitlines() if "referral.offered.v1  R-" in line]
    assert [line for line in again.splitlines() if "referral.offered.v1  R-" in line] == offers
    assert len(offers) == 5


def test_doctor_finds_what_is_wrong_and_says_what_to_do(box: Sandbox, tmp_path: Path) -> None:
    well = box.run("doctor")
    assert "WRONG" not in well
    assert "messages wait and nobody takes them" in well
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
        ("AMQP_URL", wrong_password, "refuses this account", "password"),
        ("AMQP_URL", nobody, "no connection", "SIMPUL_AGENCY_AMQP_URL"),
        ("CODE", "another-agency", "may not reply", "topology verify"),
        ("CODE", "no-agency", "is not there", "simpul agency add no-agency"),
        ("QUEUE", "ward", "is not there", "simpul agency add"),
        ("KEY_FILE", str(loose), "others on this machine can read them", "chmod 600"),
        ("KEY_FILE", "/nowhere", "cannot be read", "SIMPUL_AGENCY_KEY_FILE"),
        ("DIRECTORY_FILE", str(empty), "not enrolled", "clock"),
        ("STORE_URL", "sqlite:////proc/nowhere/agency.db", "store", "SIMPUL_AGENCY_STORE_URL"),
        ("CERTIFICATE_FILE", str(empty), "certificate", "join"),
    ):
        told = box.run("doctor", expected=1, **{f"SIMPUL_AGENCY_{name}": value})
        assert "WRONG" in told
        assert cause in told, told
        assert remedy in told, told


def test_every_trigger_is_heard_and_run_hands_it_over(box: Sandbox, tmp_path: Path) -> None:
    port, spool = free_port(), tmp_path / "spool"
    settings = {
        "SIMPUL_AGENCY_SPOOL_FOLDER": str(spool), "SIMPUL_AGENCY_AUTOMATIC": "accepted",
        "SIMPUL_AGENCY_HEALTH_PORT": str(port), "SIMPUL_AGENCY_ASK_AFTER": "0.5",
    }  # fmt: skip
    with box.running("run", **settings) as log:
        until(lambda: box.log.read_text().count("reply.referral.accepted.v1") >= 5)
        for what in TRIGGERS:
            assert what in box.run("trigger", what, "--scenario", "4", "--folder", str(box.folder))
        until(lambda: "reply.window.requested.v1" in box.log.read_text())
        until(lambda: box.log.read_text().count("reply.message.parked.v1") == 2)

        def kinds() -> set[str]:
            return {json.loads(path.read_text())["type"] for path in (spool / "new").glob("*.json")}

        until(lambda: {f"{what}.v1" for what in TRIGGERS if what.startswith("referral.")} <= kinds())

        def health() -> tuple[object, object, object]:
            status, told = _health(port)
            return status, told.get("parked"), told.get("troubles")

        # While a hole is asked for, health comes and goes: one answer must say all three.
        until(lambda: health() == (200, 2, []))
        refused = box.run("listen", expected=2)
        assert "a consumer is at work" in refused
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        exported = [json.loads(path.read_text()) for path in (spool / "new").glob("*.json")]
        accepted = next(event for event in exported if event["type"] == "referral.accepted.v1")
        bundle = box.run("fhir", accepted["data"]["referral_id"])
    Bundle.model_validate_json(bundle)
    task = json.loads(bundle)["entry"][0]["resource"]
    assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("accepted", "3.0")
    assert "was not offered" in box.run("fhir", "0b7a5b3c-0000-4000-8000-000000000000", expected=2)
    assert {line["event"] for line in lines} >= {"message_parked", "window_requested"}
    assert "physical" not in log.read_text()


def test_parked_messages_are_shown_and_read_again(box: Sandbox) -> None:
    shown = box.run("parked")
    again = box.run("replay", "all")
    nothing = box.run("replay", "0" * 64, expected=1)

    assert "malformed" in shown
    assert "forged" in shown
    assert "2 read again, 2 parked now" in again
    assert "0 read again" in nothing


def test_proof_says_that_nothing_is_missing_and_says_what_is(box: Sandbox) -> None:
    with box.running("run", SIMPUL_AGENCY_AUTOMATIC="accepted", SIMPUL_AGENCY_ASK_AFTER="0.5"):
        box.run("trigger", "heartbeat", "--folder", str(box.folder))
        until(lambda: json.loads(box.run("proof", "--json", expected=0))["complete"])
    told = box.run("proof")
    whole = json.loads(box.run("proof", "--json"))
    box.run("trigger", "lost", "--folder", str(box.folder))
    # The account alone comes; the consumer is stopped before it can ask.
    with box.running("run", SIMPUL_AGENCY_AUTOMATIC="accepted", SIMPUL_AGENCY_ASK_AFTER="60"):
        until(lambda: not _is_whole(box))

    missing = box.run("proof", expected=1)
    assert "events up to" in told
    assert whole["sources"][0]["sent"] == whole["sources"][0]["here"] > 10
    assert "are missing of" in missing


def _is_whole(box: Sandbox) -> bool:
    try:
        return bool(json.loads(box.run("proof", "--json", expected=0))["complete"])
    except AssertionError:
        return False


def _health(port: int) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
    except OSError:
        return 0, {}


@pytest.mark.parametrize("language", ["python", "node", "php"])
def test_a_starter_is_short_and_is_never_written_over_anything(box: Sandbox, language: str, tmp_path: Path) -> None:
    written = Path(box.run("new", "--lang", language, str(tmp_path)).strip())

    assert len(written.read_text().splitlines()) <= 40
    assert "exists" in box.run("new", "--lang", language, str(tmp_path), expected=2)


def test_the_starter_in_php_answers_what_it_is_asked(tmp_path: Path) -> None:
    need(("php",), ("php-cli",))
    box = Sandbox(tmp_path)
    box.run("new", "--lang", "php", str(tmp_path))
    command = f"env 'SIMPUL_AGENCY_PROGRAM=php {tmp_path / 'consumer.php'}' {COMMAND} run"
    cases = ("offer_is_answered", "withdrawn_consent_is_acknowledged", "recall_while_accepting")

    told = box.run("conform", command, *(f"--only={case}" for case in cases))

    assert f"{len(cases)} of {len(cases)} cases passed" in told


def test_what_is_missing_is_named(tmp_path: Path, box: Sandbox) -> None:
    alone = Sandbox(tmp_path)
    settings = alone.run("doctor", expected=2)
    nothing = box.run("run", expected=2)
    language = box.run("new", "--lang", "cobol", str(tmp_path / "x"), expected=2)
    nowhere = alone.run("trigger", "poison", expected=2)

    assert "SIMPUL_AGENCY_CODE" in settings
    assert "SIMPUL_AGENCY_KEY_FILE" in settings
    assert "choose a hand-off" in nothing
    assert "python, node, php" in language
    assert "sandbox up" in nowhere
