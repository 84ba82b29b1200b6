"""The production shape keeps its promises; whether it is valid for Compose v2 is checked with `config -q`."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

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
    secrets = {f"{service}_key", "directory"} | ({"vault_key"} if service == "intake" else set())

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


def test_only_intake_and_desk_are_reachable_and_only_from_this_machine() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}

    assert set(published) == {"intake", "desk"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
