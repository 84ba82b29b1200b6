"""The production shape keeps its promises; whether it is valid for Compose v2 is checked with `config -q`."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from simpul_agency.sandbox.rabbitmq import encrypted_port

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml"))
COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())

DOCKERFILES = sorted(ROOT.glob("*/*/Dockerfile"))
MEMBERS = {f"simpul-{path.parent.name}": path.parent for path in ROOT.glob("*/*/pyproject.toml")}


def _members_for(distribution: str) -> set[str]:
    declared = tomllib.loads((MEMBERS[distribution] / "pyproject.toml").read_text())["project"]["dependencies"]
    needed = {re.split(r"[^\w-]", line)[0] for line in declared} & MEMBERS.keys()
    return {distribution}.union(*(_members_for(name) for name in needed))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_holds_the_members_that_its_distribution_needs_and_no_other(dockerfile: Path) -> None:
    lines = dockerfile.read_text()
    copied = set(re.findall(r"^COPY (shared/\w+|services/\w+|deploy/cli) \1$", lines, re.MULTILINE))
    needed = {str(MEMBERS[name].relative_to(ROOT)) for name in _members_for(f"simpul-{dockerfile.parent.name}")}

    assert copied == needed
    listed = re.search(r"printf '%s\\n' (.*) > members.txt", lines)
    assert listed is not None
    assert {name.strip("'").partition("[")[0].removeprefix("./") for name in listed[1].split()} == needed
    assert set(re.findall(r"--no-emit-package simpul-(\w+)", lines)) == {Path(name).name for name in needed}


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_an_image_takes_arguments_such_as_help(dockerfile: Path) -> None:
    assert re.search(r"^ENTRYPOINT \[", dockerfile.read_text(), re.MULTILINE)


def test_services_jobs_and_operator_read_the_city_that_is_set() -> None:
    ours = {name: service for name, service in COMPOSE["services"].items() if name not in ("postgres", "rabbitmq")}

    for name, service in ours.items():
        assert "${SIMPUL_CITY:-./deploy/kediri}:/city:ro" in service["volumes"], name


def test_every_variable_has_a_line_in_the_example() -> None:
    example = (ROOT / "deploy" / ".env.example").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))

    assert {name for name in required if not re.search(rf"^{name}=", example, re.MULTILINE)} == set()


def test_the_operators_command_belongs_to_no_start_and_opens_no_port() -> None:
    operator = COMPOSE["services"]["operator"]

    assert operator["profiles"] == ["operator"]
    assert "ports" not in operator
    assert operator["read_only"]
    assert operator["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("service", SERVICES)
def test_image_runs_as_nobody_special_and_tells_its_health(service: str) -> None:
    lines = (ROOT / "services" / service / "Dockerfile").read_text()

    assert re.search(r"^USER 10001$", lines, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n.*/health/ready", lines, re.MULTILINE)
    assert "ARG PYTHON_IMAGE=" in lines
    assert "# syntax" not in lines


def test_every_server_has_a_health_check_and_every_job_ends() -> None:
    for name, service in COMPOSE["services"].items():
        assert "healthcheck" in service or service["restart"] == "no", name


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_its_own_keys_and_database_only(service: str) -> None:
    described = COMPOSE["services"][service]
    secrets = {f"{service}_key"} | ({"vault_key"} if service == "intake" else set())

    assert set(described["secrets"]) == secrets
    assert f"/simpul_{service}" in described["environment"]["SIMPUL_DATABASE_URL"]
    assert described["read_only"]
    assert described["cap_drop"] == ["ALL"]


def test_private_keys_are_files_of_their_owner_and_no_job_or_backend_has_any() -> None:
    private = {f"{service}_key": f"./deploy/secrets/{service}.key.json" for service in SERVICES}
    private["vault_key"] = "./deploy/secrets/vault.key"
    others = [described for name, described in COMPOSE["services"].items() if name not in SERVICES]

    assert {name: COMPOSE["secrets"][name]["file"] for name in private} == private
    assert not any(set(described.get("secrets", ())) & set(private) for described in others)


def test_base_images_can_be_replaced() -> None:
    assert COMPOSE["services"]["postgres"]["image"] == "${POSTGRES_IMAGE:-postgres:17}"
    assert COMPOSE["services"]["rabbitmq"]["image"] == "${RABBITMQ_IMAGE:-rabbitmq:4-management}"


def test_only_the_encrypted_port_of_the_broker_is_open_to_others() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}

    assert set(published) == {"intake", "routing", "desk", "rabbitmq"}
    assert published.pop("rabbitmq") == ["${AMQPS_PORT:-5671}:5671"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def _settings(conf: str) -> dict[str, str]:
    lines = (line.partition("=") for line in conf.splitlines() if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in lines if name.startswith("ssl_options")}


def test_the_encrypted_port_asks_for_certificates_as_the_one_that_was_tried(tmp_path: Path) -> None:
    deployed = _settings((ROOT / "deploy" / "rabbitmq" / "tls.conf").read_text())
    tried = _settings(encrypted_port(Path("/etc/rabbitmq/tls"), 5671))

    assert deployed == tried
    assert deployed["ssl_options.fail_if_no_peer_cert"] == "true"


def test_an_agencys_compose_file_reads_the_settings_that_the_command_writes() -> None:
    agency: dict[str, Any] = YAML(typ="safe").load((ROOT / "deploy" / "agency" / "docker-compose.yml").read_text())
    [service] = agency["services"].values()
    lines = (ROOT / "deploy" / "agency" / "Dockerfile").read_text()

    assert service["volumes"] == ["./data:/data"]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"]
    assert "WORKDIR /data" in lines
    assert re.search(r"^USER 10001$", lines, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n.*/health/ready", lines, re.MULTILINE)
    assert "simpul-runtime" not in lines


@pytest.mark.parametrize(
    "private",
    [".env", "deploy/secrets/vault.key", "deploy/tls/broker.key", "deploy/enrolment/ylpa.welcome.json",
     "deploy/agency/data/agency.key.json"],
)  # fmt: skip
def test_what_is_private_gets_into_no_repository_and_no_image(private: str) -> None:
    ignored = subprocess.run(["git", "check-ignore", "--quiet", private], cwd=ROOT, check=False)
    left_out = (ROOT / ".dockerignore").read_text().splitlines()

    assert ignored.returncode == 0
    assert any(private == line or private.startswith(f"{line}/") for line in left_out)


def test_the_key_commands_of_the_manual_run_twice_destroy_nothing(tmp_path: Path) -> None:
    manual = (ROOT / "deploy" / "README.md").read_text().partition("docker compose build")[0]
    commands = [line.strip() for line in manual.splitlines() if line.startswith("    ")]
    script = "\n".join(commands[1:]).replace(".venv/bin/simpul", str(Path(sys.executable).with_name("simpul")))
    (tmp_path / "deploy").mkdir()
    for name in ("kediri", ".env.example"):
        (tmp_path / "deploy" / name).symlink_to(ROOT / "deploy" / name)

    def run() -> dict[str, bytes]:
        subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, check=True, capture_output=True)
        files = (path for name in ("secrets", "directory", "tls") for path in (tmp_path / "deploy" / name).iterdir())
        return {str(path): path.read_bytes() for path in (*files, tmp_path / ".env")}

    once = run()
    twice = run()

    made = {Path(path).name for path in once}
    assert made >= {Path(COMPOSE["secrets"][f"{name}_key"]["file"]).name for name in (*SERVICES, "vault")}
    assert made >= {"directory.json", "broker.key", ".env"}
    assert twice == once
