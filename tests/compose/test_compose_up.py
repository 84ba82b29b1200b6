"""`deploy/up --demo` starts a city on a real engine, and an agency connects as deploy/agency/README.md says.

A report that is posted to the gateway reaches an agency over TLS with the agency's own certificate, and the people on
duty by SMS and e-mail.
"""

import csv
import json
import os
import re
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from simpul_schema.catalog import SERVICES
from tests.compose.conftest import BUILD, ROOT, Deployment

# The first test builds the images.
pytestmark = pytest.mark.timeout(BUILD + 900)
T = TypeVar("T")
AGENCY = "dinsos-peksos"
ON_DUTY = {"sms": "+6283400111004", "mail": "piket@dinsos-peksos.example"}
REPORT = {
    # A child in danger at home: the agreement asks the social workers for a shelter.
    "channel": "walk_in",
    "violence": ["physical"],
    "kelurahan": "Bandar Lor",
    "safe_now": "no",
    "perpetrator_relation": "step_parent",
    "perpetrator_lives_with_child": "yes",
}
IMAGES = (*SERVICES, "cli", "dev", "agency")
SINGLE = (*SERVICES, "reconcile", "postgres", "rabbitmq", "gateway")
"""The containers of a city on one machine; a demonstration has a handset and agencies besides."""
LARGEST = dict.fromkeys(SERVICES, 160) | {"desk": 250}
"""Megabytes of an image; the aim is 150. The desk's has the typesetter, 68 MB."""


@pytest.mark.parametrize("image", IMAGES)
def test_every_image_says_what_it_is(deployment: Deployment, image: str) -> None:
    done = deployment.engine.docker("run", "--rm", "--network=none", f"simpul-{image}:{deployment.version}", "--help")

    assert done.returncode == 0, done.stdout + done.stderr
    expected = "SIMPUL_DATABASE_URL (required)" if image in SERVICES else "Commands"
    assert expected in done.stdout


def test_the_packages_and_licences_of_every_image_are_listed(deployment: Deployment, tmp_path: Path) -> None:
    images = [f"simpul-{image}:{deployment.version}" for image in IMAGES if image != "dev"]

    done = subprocess.run(
        ["make", "--silent", "sbom", f"IMAGES={' '.join(images)}", f"SBOM={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        env={**os.environ, **deployment.engine.environment},
        text=True,
        check=False,
    )
    documents = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("*.cdx.json")}
    packages = {one["name"]: one for one in documents.get("simpul-intake.cdx.json", {}).get("components", ())}

    assert done.returncode == 0, done.stdout + done.stderr
    assert documents.keys() == {f"simpul-{image}.cdx.json" for image in IMAGES if image != "dev"}
    assert packages["fastapi"]["licenses"]
    assert packages["asyncpg"]["purl"].startswith("pkg:pypi/asyncpg@")
    assert packages["libc6"]["purl"].startswith("pkg:deb/debian/libc6@")
    assert "z3-solver" not in packages


def test_the_image_of_a_service_is_small_and_has_no_shell(deployment: Deployment, record_property: Any) -> None:
    sizes = {}
    for image in IMAGES:
        shown = deployment.engine.docker(
            "image", "inspect", "--format={{.Size}}", f"simpul-{image}:{deployment.version}"
        )
        sizes[image] = int(shown.stdout) // 1_000_000
    record_property("measured", f"MB of each image: {sizes}")

    run = ("run", "--rm", "--network=none", "--entrypoint=sh")
    shells = [deployment.engine.docker(*run, f"simpul-{service}:{deployment.version}") for service in SERVICES]

    assert [image for image, largest in LARGEST.items() if sizes[image] > largest] == []
    assert all("executable file not found" in shell.stderr for shell in shells)


def test_one_command_starts_a_city_and_a_second_run_changes_nothing(deployment: Deployment) -> None:
    before = deployment.containers()
    servers = {*SERVICES, "reconcile", "postgres", "rabbitmq", "gateway", "handset", "agencies"}

    output = deployment.city("up")
    state = deployment.city("status")

    assert set(before) == servers
    assert deployment.containers() == before
    assert "2026-11, INTERIM: signed by the hub alone, 1 of 9 signatures" in output
    assert "agreement: 2026-11, INTERIM" in state
    assert len(re.findall(r"^\S+ +healthy +1$", state, re.MULTILINE)) == len(servers)


def test_a_city_starts_again_soon_and_rests_in_little_memory(deployment: Deployment, record_property: Any) -> None:
    """The aims: ready within 60 s on a machine that does nothing else, and 1 GiB for everything."""
    deployment.city("down")
    begun = time.monotonic()
    deployment.city("up")
    seconds = time.monotonic() - begun
    # The broker and the services take some memory in their first seconds only.
    memory = _eventually(lambda: found if sum((found := _memory(deployment)).values()) < 1024 else None, within=120)

    record_property("measured", f"`up` with images and volumes that exist: {seconds:.0f} s until all was healthy")
    record_property("measured", f"MiB of each container at rest: {memory}, together {sum(memory.values())}")
    assert set(memory) == set(SINGLE)
    assert seconds < 240


def test_a_report_by_the_gateway_reaches_an_invented_agency_and_the_people_on_duty(deployment: Deployment) -> None:
    with _logs_on_failure(deployment):
        status = _post_report(deployment)
        referral = _eventually(lambda: _hosted_referral(deployment), within=60)
        arrivals = _eventually(lambda: _alerts(deployment, referral["code"]), within=120)

    assert status == 202
    assert {found["channel"]: found["to"] for found in arrivals} == ON_DUTY
    assert _request(deployment, "desk.localhost", "/", {}) == 401
    assert _request(deployment, "desk.localhost", "/login", {}) == 200


def test_only_the_gateway_and_the_agencies_port_are_open(deployment: Deployment) -> None:
    listed = deployment.compose("ps", "--format", "json").splitlines()
    ports = {
        found["Service"]: sorted({entry["PublishedPort"] for entry in found["Publishers"] if entry["PublishedPort"]})
        for found in map(json.loads, listed)
    }
    opened = {name: found for name, found in ports.items() if found}

    assert opened == {
        "gateway": sorted([deployment.ports["HTTP"], deployment.ports["HTTPS"]]),
        "rabbitmq": [deployment.ports["AMQPS"]],
        "handset": [deployment.ports["HANDSET"]],
    }


def test_an_agency_of_its_own_receives_over_tls_also_while_services_restart(
    deployment: Deployment, record_property: Any
) -> None:
    with _logs_on_failure(deployment):
        deployment.compose("stop", "agencies")
        _enrol_agency(deployment)
        first = _post_report(deployment)
        _eventually(lambda: len(_referrals_at_agency(deployment)) == 1, within=60)
        with ThreadPoolExecutor(1) as pool:
            restarting = pool.submit(deployment.city, "restart", "intake", "routing")
            answers = [_post_until_taken(deployment) for _ in range(20)]
            restarting.result(timeout=300)
        _eventually(lambda: len(_referrals_at_agency(deployment)) == 21, within=90)

    record_property(
        "measured", f"{sum(map(bool, answers))} of 20 reports were refused at first while two services restarted"
    )
    assert first == 202


def test_two_of_each_service_share_the_work_while_each_restarts(deployment: Deployment, record_property: Any) -> None:
    """The agency is the one of the test before."""
    services = ("intake", "routing", "notify", "desk")
    before = len(_referrals_at_agency(deployment))
    deployment.set(**{f"{service.upper()}_REPLICAS": "2" for service in services})

    with _logs_on_failure(deployment):
        deployment.city("up")
        state = deployment.city("status")
        # It would take messages from the queue of the agency that runs on its own.
        deployment.compose("stop", "agencies")
        with ThreadPoolExecutor(1) as pool:
            restarting = pool.submit(deployment.city, "restart", *services)
            answers = [_post_until_taken(deployment) for _ in range(40)]
            restarting.result(timeout=300)
        _eventually(lambda: len(_referrals_at_agency(deployment)) >= before + 40, within=120)
        found = _referrals_at_agency(deployment)

    assert [name for name in services if not re.search(rf"^{name} +healthy +2$", state, re.MULTILINE)] == []
    # Earlier versions end a POST with 502 when the first process that they try does not listen:
    # https://github.com/caddyserver/caddy/issues/7546
    if _version_of_gateway(deployment) >= (2, 11, 2):
        assert answers == [0] * 40
    refused = f"{sum(map(bool, answers))} of 40 reports were refused at first while two of each service restarted"
    record_property("measured", refused)
    assert len({row["referral_id"] for row in found}) == len(found) == before + 40


def test_every_container_restarts_under_load_and_every_report_arrives_once(
    deployment: Deployment, record_property: Any
) -> None:
    """Database, broker, services and gateway, as `deploy/up restart` does; the agency is that of the tests before."""
    before, refused = len(_referrals_at_agency(deployment)), []

    with _logs_on_failure(deployment), ThreadPoolExecutor(1) as pool:
        restarting = pool.submit(deployment.city, "restart", within=900)
        while not restarting.done():
            refused.append(_post_until_taken(deployment))
            time.sleep(0.5)
        output = restarting.result()
        _eventually(lambda: len(_referrals_at_agency(deployment)) >= before + len(refused), within=240)
    found = _referrals_at_agency(deployment)

    at_first = (
        f"{sum(map(bool, refused))} of {len(refused)} reports were refused at first while every container restarted"
    )
    record_property("measured", at_first)
    assert {line.partition(":")[0] for line in output.splitlines() if line.endswith(": healthy")} >= set(SINGLE)
    assert len({row["referral_id"] for row in found}) == len(found) == before + len(refused)


def test_a_backup_from_a_container_is_restored_in_a_drill(deployment: Deployment) -> None:
    """The commands of docs/operate/backup.md."""
    key, mount = deployment.root.parent / "operator.key", "/operator.key"
    with _logs_on_failure(deployment):
        deployment.simpul("backup", "key", "--to", str(key), "--backups", str(deployment.backups))
        deployment.operator("backup", "create")
        verified = deployment.operator("backup", "verify")
        listed = deployment.operator("backup", "list")
        report = deployment.operator("backup", "drill", "--identity", mount, options=(f"--volume={key}:{mount}:ro",))

    print(report)
    [archive] = deployment.backups.glob("secrets-*.tar.age")
    assert archive.name.removeprefix("secrets-").removesuffix(".tar.age") in listed
    assert "every" in verified
    assert "ok" in report


def test_the_doctor_examines_a_city_in_containers(deployment: Deployment) -> None:
    """Whether something is critical depends on what the agencies of the demonstration have answered meanwhile."""
    with _logs_on_failure(deployment):
        found = json.loads(deployment.operator("doctor", "--json", expected=(1, 2)))
        deployment.compose("stop", "notify")
        # The broker's statistics are some seconds old.
        _eventually(
            lambda: "inbox_without_consumer" in deployment.operator("doctor", expected=(1, 2)) or None, within=120
        )
        deployment.compose("up", "--detach", "--no-build", "--no-deps", "notify")

    print(found)
    assert found["skipped"] == []
    assert "inbox_without_consumer" not in [one["code"] for one in found["findings"]]
    assert not [one for one in found["findings"] if one["code"].startswith("backup_")]


def test_prometheus_reads_every_service_and_hands_alarms_on(deployment: Deployment) -> None:
    """Grafana is not among them, because Debian has no package of it."""
    deployment.set(COMPOSE_PROFILES="demo,observe", OPERATIONS_MAIL="operasi@kota.example")
    with _logs_on_failure(deployment):
        deployment.compose("up", "--detach", "--no-build", "--no-deps", "prometheus", "alertmanager")
        jobs = {"intake", "routing", "notify", "desk", "reconcile", "rabbitmq", "queues"}
        _eventually(lambda: _healthy_jobs(deployment) == jobs or None, within=300)
        rules = _prometheus(deployment, "rules")["groups"]
        managers = _eventually(lambda: _prometheus(deployment, "alertmanagers")["activeAlertmanagers"], within=60)

    assert len([rule for group in rules for rule in group["rules"]]) > 20
    assert [manager["url"] for manager in managers] == ["http://alertmanager:9093/api/v2/alerts"]


def test_the_other_commands_of_the_manual_run_too(deployment: Deployment) -> None:
    """Of docs/operate; `tests/integration/operate/test_documented_commands.py` compares them."""
    with _logs_on_failure(deployment):
        running = set(deployment.compose("ps", "--all", "--quiet").split())
        # The script itself, which makes a .venv of its own; a test before has stopped the invented agencies.
        shown = deployment.run("deploy/up", "status", expected=(0, 1))
        deployment.city("up", "--dry-run")
        deployment.city("settings")
        logged = deployment.city("logs", "intake")
        deployment.compose("up", "--detach", "postgres", "rabbitmq")
        queues = deployment.compose("exec", "--no-TTY", "rabbitmq", "rabbitmqctl", "list_queues", "name", "messages")
        after = set(deployment.compose("ps", "--all", "--quiet").split())

    assert "agreement: 2026-11, INTERIM" in shown
    assert "intake" in logged
    assert "routing.inbox" in queues
    assert after == running


def test_down_leaves_nothing_but_the_citys_folder(deployment: Deployment) -> None:
    deployment.down()

    assert deployment.left_over() == []
    assert deployment.files.prepared.directory.exists()


def _prometheus(deployment: Deployment, what: str) -> dict[str, Any]:
    address = f"http://127.0.0.1:{deployment.ports['PROMETHEUS']}/api/v1/{what}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)["data"]
    return found


def _healthy_jobs(deployment: Deployment) -> set[str]:
    """Returns the jobs whose every target answers Prometheus; none while Prometheus starts."""
    try:
        targets = _prometheus(deployment, "targets")["activeTargets"]
    except OSError:
        return set()
    failing = {target["labels"]["job"] for target in targets if target["health"] != "up"}
    return {target["labels"]["job"] for target in targets} - failing


@contextmanager
def _logs_on_failure(deployment: Deployment) -> Iterator[None]:
    try:
        yield
    except BaseException:
        print(deployment.logs())
        raise


def _enrol_agency(deployment: Deployment) -> None:
    """Follows deploy/agency/README.md as the agency and docs/operate as the operator."""
    data, request, response = (
        "checkout/deploy/agency/data",
        f"{AGENCY}.enrolment-request.json",
        f"{AGENCY}.enrolment-response.json",
    )
    deployment.as_root("install", "--directory", "--mode=700", "--owner=10001", data)
    deployment.compose("run", "--rm", "agency", "init", AGENCY, folder=deployment.agency)
    deployment.as_root("rm", "--force", f"data/enrolment/{response}")
    deployment.as_root("install", "--mode=644", f"{data}/{request}", "data/enrolment/")
    add = ("run", "--rm", "operator", "agency", "add", AGENCY, "--renew", "--enrolment", request, "--to", response)
    assert "no change" not in deployment.compose(*add, "--dry-run")
    deployment.compose(*add)
    deployment.as_root("install", "--mode=600", "--owner=10001", f"data/enrolment/{response}", data)
    deployment.compose("run", "--rm", "agency", "join", response, folder=deployment.agency)
    deployment.as_root("sh", "-c", f"echo SIMPUL_AGENCY_SPOOL_FOLDER=/data/spool >> {data}/simpul-agency.env")
    deployment.compose("run", "--rm", "agency", "doctor", folder=deployment.agency)
    deployment.compose("up", "--detach", folder=deployment.agency)


def _request(deployment: Deployment, host: str, path: str, headers: dict[str, str], body: bytes | None = None) -> int:
    """Sends a request to the gateway over TLS, and verifies its certificate; returns the status."""
    trust = ssl.create_default_context(cafile=str(deployment.files.gateway_authority))
    plain = socket.create_connection(("127.0.0.1", deployment.ports["HTTPS"]), timeout=60)
    connection = HTTPSConnection(host, context=trust, timeout=60)
    with trust.wrap_socket(plain, server_hostname=host) as connection.sock:
        connection.request("POST" if body else "GET", path, body, headers)
        return connection.getresponse().status


def _post_report(deployment: Deployment, report_id: str = "") -> int:
    body = json.dumps(REPORT | {"report_id": report_id or str(uuid4())}).encode()
    return _request(deployment, "localhost", "/reports", {"content-type": "application/json"}, body)


def _memory(deployment: Deployment) -> dict[str, int]:
    """Returns the mebibytes that each service of a city on one machine uses."""
    names = {found[:12]: name for name, found in deployment.containers().items() if name in SINGLE}
    shown = deployment.engine.docker("stats", "--no-stream", "--format={{.ID}} {{.MemUsage}}", *names)
    units = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}
    used = re.findall(r"^(\w+) ([\d.]+)([KMG]iB) /", shown.stdout, re.MULTILINE)
    return {names[found]: round(float(value) * units[unit]) for found, value, unit in used}


def _version_of_gateway(deployment: Deployment) -> tuple[int, ...]:
    shown = deployment.compose("exec", "--no-TTY", "gateway", "caddy", "version")
    return tuple(map(int, re.findall(r"\d+", shown.partition("-")[0])[:3]))


def _post_until_taken(deployment: Deployment) -> int:
    """Posts a report as a complaint centre does, again with the same id until it is taken; returns the refusals."""
    report_id = str(uuid4())
    for refusals in range(120):
        with suppress(OSError, HTTPException):
            if _post_report(deployment, report_id) == 202:
                return refusals
        time.sleep(1)
    pytest.fail("a report was refused for two minutes")


def _hosted_referral(deployment: Deployment) -> dict[str, Any] | None:
    """Reads what the invented agencies have received."""
    received = deployment.data / "demo" / "state" / "received.jsonl"
    lines = map(json.loads, received.read_text().splitlines()) if received.exists() else ()
    return next((line for line in lines if line["agency"] == AGENCY and "shelter" in line["services"]), None)


def _referrals_at_agency(deployment: Deployment) -> list[dict[str, str]]:
    """Reads the offers in the agency's table of received events."""
    show = "cat spool/referrals.csv 2>/dev/null || true"
    text = deployment.compose("exec", "--no-TTY", "agency", "sh", "-c", show, folder=deployment.agency)
    rows = csv.DictReader(text.splitlines())
    return [row for row in rows if (row["type"], row["service"]) == ("referral.offered.v1", "shelter")]


def _alerts(deployment: Deployment, code: str) -> list[dict[str, Any]]:
    """Returns SMS and mail that name the referral, once both have arrived."""
    address = f"http://127.0.0.1:{deployment.ports['HANDSET']}/messages"
    with urllib.request.urlopen(address, timeout=5) as answer:
        arrivals = [found for found in json.load(answer) if code in found["text"] + found["subject"]]
    return arrivals if {found["channel"] for found in arrivals} == {"sms", "mail"} else []


def _eventually(found: Callable[[], T | None], *, within: float) -> T:
    deadline = time.monotonic() + within
    while not (value := found()):
        assert time.monotonic() < deadline, f"nothing within {within} s"
        time.sleep(0.5)
    return value
