"""The production compose file and images are as the manual says."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from simpul_agency.sandbox.rabbitmq import tls_port_configuration
from simpul_cli.deployment.sources import SOURCES
from simpul_intake.settings import IntakeSettings

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/pyproject.toml"))
COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())

DOCKERFILE = (ROOT / "deploy" / "images" / "Dockerfile").read_text()
IMAGES = [*SERVICES, "cli", "dev", "agency"]
MEMBERS = {f"simpul-{path.parent.name}": path.parent for path in ROOT.glob("*/*/pyproject.toml")}


def _stage(name: str) -> tuple[str, str]:
    """Returns the stage that a stage starts from, and its lines."""
    found = re.search(rf"^FROM (\S+) AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1], found[2]


def _lines_of(name: str) -> str:
    """Returns the lines of a stage and of those that it starts from, the first ones first."""
    base, lines = _stage(name)
    return lines if base == "scratch" or base.startswith("$") else _lines_of(base) + lines


def _members_for(distribution: str) -> set[str]:
    declared = tomllib.loads((MEMBERS[distribution] / "pyproject.toml").read_text())["project"]["dependencies"]
    needed = {re.split(r"[^\w-]", line)[0] for line in declared} & MEMBERS.keys()
    return {distribution}.union(*(_members_for(name) for name in needed))


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_holds_the_members_that_its_distribution_needs_and_no_other(image: str) -> None:
    lines = _lines_of(f"{image}-build")
    copied = set(re.findall(r"^COPY (shared/\w+|services/\w+|deploy/(?:cli|dev)) \1$", lines, re.MULTILINE))
    installed = set(" ".join(re.findall(r"install\.sh members (.*)", lines)).split())
    declared = re.findall(r"install\.sh foreign (.*)", lines)
    needed = {str(MEMBERS[name].relative_to(ROOT)) for name in _members_for(f"simpul-{image}")}

    assert copied == installed == needed
    assert {name.partition("[")[0] for name in shlex.split(declared[-1])} == needed
    # What an earlier stage installs is in the image too.
    assert {name.partition("[")[0] for name in shlex.split(" ".join(declared))} == needed
    assert f"COPY --from={image}-build /opt/simpul /opt/simpul" in _stage(image)[1]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_takes_arguments_such_as_help(image: str) -> None:
    assert re.search(r"^ENTRYPOINT \[", _stage(image)[1], re.MULTILINE)


def test_every_image_of_the_compose_files_is_a_stage() -> None:
    agency = YAML(typ="safe").load((ROOT / "deploy" / "agency" / "docker-compose.yml").read_text())
    services = {**COMPOSE["services"], **agency["services"]}
    built = {service["image"]: service["build"] for service in services.values() if "build" in service}

    assert {image.partition(":")[0]: build["target"] for image, build in built.items()} == {
        f"simpul-{image}": image for image in IMAGES
    }
    assert {build["dockerfile"] for build in built.values()} == {"deploy/images/Dockerfile"}


def test_a_change_of_anything_that_an_image_copies_is_a_reason_to_build_it_again() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {Path(name) for line in lines for name in line.split()}

    # A container reads the city from its own folder.
    unnoticed = [path for path in copied if not any(path.is_relative_to(source) for source in SOURCES)]
    assert unnoticed == [Path("deploy/kediri")]


def test_services_jobs_and_operator_read_the_city_that_is_set() -> None:
    others = ("postgres", "rabbitmq", "gateway", "handset", "prometheus", "grafana")
    ours = {name: service for name, service in COMPOSE["services"].items() if name not in others}

    for name, service in ours.items():
        assert "${SIMPUL_CITY:-./deploy/kediri}:/city:ro" in service["volumes"], name


def test_intake_gets_every_setting_of_a_key_service_and_reads_its_token() -> None:
    intake = COMPOSE["services"]["intake"]
    settings = {f"SIMPUL_{name}".upper() for name in IntakeSettings.model_fields if name.startswith("vault_transit_")}
    shared = COMPOSE["x-service"]["volumes"]
    manual = (ROOT / "deploy" / "README.md").read_text()

    # Without a value here, Docker Compose passes those that .env sets, and no others.
    passed = {name for name, value in intake["environment"].items() if value is None}
    assert passed == settings | set(COMPOSE["x-traces"])
    assert intake["volumes"] == [*shared, "${SIMPUL_DATA:-./deploy}/openbao:/openbao:ro"]
    assert "SIMPUL_VAULT_TRANSIT_TOKEN_FILE=/openbao/token" in manual


def test_every_variable_has_a_line_in_the_example() -> None:
    example = (ROOT / "deploy" / ".env.example").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))

    assert {name for name in required if not re.search(rf"^{name}=", example, re.MULTILINE)} == set()


def test_compose_refuses_every_value_that_the_example_leaves_open() -> None:
    example = (ROOT / "deploy" / ".env.example").read_text()
    settings = dict(line.split("=", 1) for line in example.splitlines() if re.match(r"\w+=", line))
    required = set(re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()))

    # `:?` refuses a variable that is unset or empty.
    assert {name for name, value in settings.items() if not value} == required


def test_the_operators_command_belongs_to_no_start_and_opens_no_port() -> None:
    operator = COMPOSE["services"]["operator"]

    assert operator["profiles"] == ["operator"]
    assert "ports" not in operator
    assert operator["read_only"]
    assert operator["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("service", SERVICES)
def test_image_runs_as_an_unprivileged_user_with_a_health_check(service: str) -> None:
    lines = _lines_of(service)

    assert re.search(r"^USER 10001$", lines, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n.*/health/ready", lines, re.MULTILINE)
    assert "ARG PYTHON_IMAGE=" in DOCKERFILE
    assert "# syntax" not in DOCKERFILE


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
    private = {f"{service}_key": f"${{SIMPUL_DATA:-./deploy}}/secrets/{service}.key.json" for service in SERVICES}
    private["vault_key"] = "${SIMPUL_DATA:-./deploy}/secrets/vault.key"
    others = [described for name, described in COMPOSE["services"].items() if name not in SERVICES]

    assert {name: COMPOSE["secrets"][name]["file"] for name in private} == private
    assert not any(set(described.get("secrets", ())) & set(private) for described in others)


def test_base_images_can_be_replaced() -> None:
    assert COMPOSE["services"]["postgres"]["image"] == "${POSTGRES_IMAGE:-postgres:17}"
    assert COMPOSE["services"]["rabbitmq"]["image"] == "${RABBITMQ_IMAGE:-rabbitmq:4-management}"
    assert COMPOSE["services"]["gateway"]["image"] == "${GATEWAY_IMAGE:-caddy:2.11}"


def test_only_the_gateway_and_the_encrypted_port_of_the_broker_are_open_to_others() -> None:
    published = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}

    assert published == {
        "gateway": ["${HTTP_PORT:-80}:80", "${HTTPS_PORT:-443}:443"],
        "rabbitmq": ["${AMQPS_PORT:-5671}:5671"],
        # Of a demonstration, and for this machine only.
        "handset": ["127.0.0.1:${HANDSET_PORT:-8085}:8080"],
        # For this machine only.
        "prometheus": ["127.0.0.1:${PROMETHEUS_PORT:-9090}:9090"],
        "grafana": ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"],
    }


def test_the_gateway_reaches_the_services_with_pages_and_neither_database_nor_broker() -> None:
    reached = {name for name, service in COMPOSE["services"].items() if "gateway" in service.get("networks", ())}
    gateway = COMPOSE["services"]["gateway"]

    assert reached == {"gateway", "intake", "routing", "desk"}
    assert gateway["networks"] == ["gateway"]
    assert gateway["read_only"]
    assert (gateway["cap_drop"], gateway["cap_add"]) == (["ALL"], ["NET_BIND_SERVICE"])


def test_every_log_is_rotated() -> None:
    rotated = {name for name, service in COMPOSE["services"].items() if service.get("logging", {}).get("options")}

    assert rotated == set(COMPOSE["services"])


def test_every_container_has_a_memory_limit() -> None:
    assert [name for name, service in COMPOSE["services"].items() if not service.get("mem_limit")] == []


def _settings(conf: str) -> dict[str, str]:
    lines = (line.partition("=") for line in conf.splitlines() if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in lines if name.startswith("ssl_options")}


def test_the_encrypted_port_requires_certificates_as_the_tested_one_does(tmp_path: Path) -> None:
    deployed = _settings((ROOT / "deploy" / "rabbitmq" / "tls.conf").read_text())
    tried = _settings(tls_port_configuration(Path("/etc/rabbitmq/tls"), 5671))

    assert deployed == tried
    assert deployed["ssl_options.fail_if_no_peer_cert"] == "true"


def test_an_agencys_compose_file_reads_the_settings_that_the_command_writes() -> None:
    agency: dict[str, Any] = YAML(typ="safe").load((ROOT / "deploy" / "agency" / "docker-compose.yml").read_text())
    [service] = agency["services"].values()
    lines = _lines_of("agency")

    assert service["volumes"] == ["./data:/data"]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"]
    assert "WORKDIR /data" in lines
    assert re.search(r"^USER 10001$", lines, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .*\n.*/health/ready", lines, re.MULTILINE)


@pytest.mark.parametrize(
    "private",
    [
        ".env",
        "deploy/secrets/vault.key",
        "deploy/tls/broker.key",
        "deploy/enrolment/ylpa.enrolment-response.json",
        "deploy/agency/data/agency.key.json",
        "deploy/openbao/token",
        "deploy/backups/operator.key",
    ],
)
def test_what_is_private_gets_into_no_repository_and_no_image(private: str) -> None:
    ignored = subprocess.run(["git", "check-ignore", "--quiet", private], cwd=ROOT, check=False)
    left_out = (ROOT / ".dockerignore").read_text().splitlines()

    assert ignored.returncode == 0
    assert any(private == line or private.startswith(f"{line}/") for line in left_out)


@pytest.mark.slow
def test_the_key_commands_of_the_manual_run_twice_destroy_nothing(tmp_path: Path) -> None:
    manual = (ROOT / "deploy" / "README.md").read_text().partition("docker compose build")[0]
    commands = [line.strip() for line in manual.splitlines() if line.startswith("    ")]
    script = "\n".join(commands[1:]).replace(".venv/bin/simpul", str(Path(sys.executable).with_name("simpul")))
    (tmp_path / "deploy").mkdir()
    for name in ("kediri", ".env.example"):
        (tmp_path / "deploy" / name).symlink_to(ROOT / "deploy" / name)

    def run() -> dict[str, bytes]:
        subprocess.run(["sh", "-e", "-c", script], cwd=tmp_path, check=True, capture_output=True)
        files = (path for name in ("secrets", "directory", "tls") for path in (tmp_path / "deploy" / name).rglob("*"))
        return {str(path): path.read_bytes() for path in (*files, tmp_path / ".env") if path.is_file()}

    once = run()
    twice = run()

    made = {Path(path).name for path in once}
    assert made >= {Path(COMPOSE["secrets"][f"{name}_key"]["file"]).name for name in (*SERVICES, "vault")}
    assert made >= {"directory.json", "broker.key", ".env"}
    assert twice == once
