"""docker-compose.yml starts, and does its work: the commands are those of deploy/README.md and deploy/agency/README.md.

A report that is posted to intake reaches an agency over TLS with the agency's own certificate, and the people on duty
by SMS and e-mail.
"""

import csv
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from simpul_agency.enrolment import make_keys
from simpul_agency.sandbox.process import die_with_parent
from simpul_agreement import read_agreement
from simpul_agreement.versions import signatories
from simpul_city import City
from simpul_cli.agency.enrolment import enrol
from simpul_dev.demo.handset import ACCOUNT, PASSWORD, ca_file
from simpul_schema.catalog import SERVICES
from simpul_seal import Directory
from tests.compose.conftest import BUILD, Deployment

# The first test builds the images.
pytestmark = pytest.mark.timeout(BUILD + 900)
T = TypeVar("T")
AGENCY = "dinsos-peksos"
ON_DUTY = {"sms": "+62800111004", "mail": "piket@dinsos-peksos.example"}
REPORT = {
    # A child in danger at home: the agreement asks the social workers for a shelter.
    "channel": "walk_in", "violence": ["physical"], "kelurahan": "Bandar Lor", "safe_now": "no",
    "perpetrator_relation": "step_parent", "perpetrator_lives_with_child": "yes",
}  # fmt: skip
IMAGES = (*SERVICES, "cli", "agency")


@pytest.mark.parametrize("image", IMAGES)
def test_every_image_says_what_it_is(deployment: Deployment, image: str) -> None:
    done = deployment.engine.docker("run", "--rm", "--network=none", f"simpul-{image}:{deployment.version}", "--help")

    assert done.returncode == 0, done.stdout + done.stderr
    expected = "SIMPUL_DATABASE_URL (required)" if image in SERVICES else "Commands"
    assert expected in done.stdout


def test_a_report_reaches_an_agency_over_tls_and_the_people_on_duty(deployment: Deployment, tmp_path: Path) -> None:
    deployment.compose("up", "--no-start")
    gateway = _gateway(deployment)
    with _handset(deployment, gateway, tmp_path), _logs_on_failure(deployment):
        _fill_in_env(deployment, gateway, tmp_path)
        _enrol_agency(deployment)
        _enrol_others_and_sign(deployment)
        deployment.compose("up", "--detach")
        _eventually(lambda: _all_healthy(deployment), within=240)

        status = _post_report(deployment)
        referral = _eventually(lambda: _referral_at_agency(deployment), within=60)
        arrivals = _eventually(lambda: _alerts(deployment, gateway, referral["code"]), within=60)

        assert status == 202
        assert referral["service"] == "shelter"
        assert {found["channel"]: found["to"] for found in arrivals} == ON_DUTY
    deployment.down()
    assert deployment.left_over() == []


def _gateway(deployment: Deployment) -> str:
    """The address of this machine in the network of the containers."""
    network = f"simpul-{deployment.version}-{deployment.root.name}_default"
    found = deployment.engine.docker("network", "inspect", network, "--format", "{{(index .IPAM.Config 0).Gateway}}")
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@contextmanager
def _handset(deployment: Deployment, host: str, folder: Path) -> Iterator[None]:
    """An SMS gateway and a mail server outside the containers."""
    ports = [str(deployment.ports[name]) for name in ("HANDSET", "SMTP")]
    command = [sys.executable, "-m", "simpul_dev", "handset", str(folder), *ports, "--host", host]
    with subprocess.Popen(command, preexec_fn=die_with_parent) as process:
        try:
            _eventually(ca_file(folder).exists, within=30)
            yield
        finally:
            process.kill()


@contextmanager
def _logs_on_failure(deployment: Deployment) -> Iterator[None]:
    try:
        yield
    except AssertionError:
        print(deployment.logs())
        raise


def _fill_in_env(deployment: Deployment, gateway: str, folder: Path) -> None:
    """What `simpul prepare` leaves to be filled in."""
    city = deployment.root / "deploy" / "kediri"
    (city / "mail-ca.pem").write_bytes(ca_file(folder).read_bytes())
    values = {
        "AGENCY_BROKER": f"amqps://127.0.0.1:{deployment.ports['AMQPS']}/",
        "KANNEL_URL": f"http://{gateway}:{deployment.ports['HANDSET']}/cgi-bin/sendsms",
        "KANNEL_USER": ACCOUNT,
        "KANNEL_PASSWORD": PASSWORD,
        "SMTP_HOST": gateway,
        "SMTP_PORT": str(deployment.ports["SMTP"]),
        "SMTP_USER": ACCOUNT,
        "SMTP_PASSWORD": PASSWORD,
        "MAIL_FROM": "simpul@kota.example",
        "SIMPUL_SMTP_CA_FILE": "/city/mail-ca.pem",
    }
    env = deployment.root / ".env"
    kept = [line for line in env.read_text().splitlines() if line.partition("=")[0] not in values]
    env.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in values.items())]) + "\n")


def _enrol_agency(deployment: Deployment) -> None:
    """deploy/agency/README.md at the agency, deploy/README.md at the operator."""
    data, enrolment, welcome = "deploy/agency/data", f"{AGENCY}.enrolment.json", f"{AGENCY}.welcome.json"
    deployment.as_root("install", "--directory", "--mode=700", "--owner=10001", data)
    deployment.compose("run", "--rm", "agency", "init", AGENCY, folder=deployment.agency)
    deployment.as_root("install", "--mode=644", f"{data}/{enrolment}", "deploy/enrolment/")
    add = ("run", "--rm", "operator", "agency", "add", AGENCY, "--enrolment", enrolment, "--to", welcome)
    assert "would become active" in deployment.compose(*add, "--dry-run")
    deployment.compose(*add)
    deployment.as_root("install", "--mode=600", "--owner=10001", f"deploy/enrolment/{welcome}", data)
    deployment.compose("run", "--rm", "agency", "join", welcome, folder=deployment.agency)
    deployment.as_root("sh", "-c", f"echo SIMPUL_AGENCY_SPOOL_FOLDER=/data/spool >> {data}/simpul-agency.env")
    deployment.compose("run", "--rm", "agency", "doctor", folder=deployment.agency)
    deployment.compose("up", "--detach", folder=deployment.agency)


def _enrol_others_and_sign(deployment: Deployment) -> None:
    """The public keys of the other agencies, whose consumers do not run here, and the signature of every party."""
    city = City.read(deployment.root / "deploy" / "kediri")
    version = deployment.root / "deploy" / "kediri" / "agreement" / "2026-11"
    path = deployment.root / "deploy" / "directory" / "directory.json"
    directory, now = Directory.read(path), datetime.now(UTC)
    files = {AGENCY: deployment.root.parent / f"{AGENCY}.key.json"}
    files[AGENCY].write_text(deployment.as_root("cat", "deploy/agency/data/agency.key.json"))
    for code in sorted(city.agency_codes - {AGENCY}):
        ring, public = make_keys(code, now)
        files[code] = deployment.root.parent / f"{code}.key.json"
        ring.write(files[code])
        directory = enrol(directory, public, now, overlap=now - now)
    directory.write(path)
    parties = signatories(read_agreement(version, city), city)
    deployment.simpul("agreement", "sign", str(version), *(f"--key-file={files[party]}" for party in parties))
    standing = deployment.simpul("agreement", "status", str(version), "--directory-file", str(path))
    assert "active" in standing


def _all_healthy(deployment: Deployment) -> bool:
    """Servers are healthy and every job has ended well."""
    states = deployment.states()
    jobs = {name: state for name, state in states.items() if name == "topology" or name.startswith("migrate-")}
    assert {name: code for name, (_, _, code) in jobs.items() if code} == {}
    servers = {name: state for name, state in states.items() if name in (*SERVICES, "postgres", "rabbitmq")}
    return len(servers) == 6 and all(health == "healthy" for _, health, _ in servers.values())


def _post_report(deployment: Deployment) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{deployment.ports['INTAKE']}/reports",
        json.dumps(REPORT | {"report_id": str(uuid4())}).encode(), {"content-type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


def _referral_at_agency(deployment: Deployment) -> dict[str, str] | None:
    """The agency's own table of what it received."""
    show = "cat spool/referrals.csv 2>/dev/null || true"
    text = deployment.compose("exec", "--no-TTY", "agency", "sh", "-c", show, folder=deployment.agency)
    return next((row for row in csv.DictReader(text.splitlines()) if row["service"] == "shelter"), None)


def _alerts(deployment: Deployment, gateway: str, code: str) -> list[dict[str, Any]]:
    """SMS and mail that name the referral, once both have arrived."""
    address = f"http://{gateway}:{deployment.ports['HANDSET']}/messages"
    with urllib.request.urlopen(address, timeout=5) as answer:
        arrivals = [found for found in json.load(answer) if code in found["text"] + found["subject"]]
    return arrivals if {found["channel"] for found in arrivals} == {"sms", "mail"} else []


def _eventually(found: Callable[[], T | None], *, within: float) -> T:
    deadline = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < deadline, f"nothing within {within} s"
        time.sleep(0.5)
    return value
