"""The production shape keeps its promises; whether it is valid for Compose v2 is checked with `config -q`."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from simpul_agency.sandbox.rabbitmq import encrypted_port

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml"))
COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())


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

    assert set(published) == {"intake", "desk", "rabbitmq"}
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


def test_the_key_commands_of_the_manual_run_twice_destroy_nothing(tmp_path: Path) -> None:
    manual = (ROOT / "deploy" / "README.md").read_text().split("tls init")[0]
    commands = [line.strip() for line in manual.splitlines() if line.startswith("    ") and "sudo" not in line]
    script = "\n".join(commands[1:]).replace(".venv/bin/simpul", str(Path(sys.executable).with_name("simpul")))
    for folder in ("secrets", "directory"):
        (tmp_path / "deploy" / folder).mkdir(parents=True)
    (tmp_path / "deploy" / "kediri").symlink_to(ROOT / "deploy" / "kediri")

    def run() -> dict[str, bytes]:
        subprocess.run(["sh", "-c", script], cwd=tmp_path, check=False, capture_output=True)
        files = (path for folder in ("secrets", "directory") for path in (tmp_path / "deploy" / folder).iterdir())
        return {path.name: path.read_bytes() for path in files}

    once = run()
    twice = run()

    private = {Path(COMPOSE["secrets"][f"{name}_key"]["file"]).name for name in (*SERVICES, "vault")}
    assert set(once) == private | {"directory.json"}
    assert twice == once
