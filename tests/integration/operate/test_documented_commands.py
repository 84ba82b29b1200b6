"""Every command in docs/operate is run by a test: here against a running city, or where `ELSEWHERE` says."""

import asyncio
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner

from simpul_agency.command.files import AgencyFiles
from simpul_cli.app import app
from simpul_cli.commands import city as city_command
from simpul_dev.backends import Backends
from simpul_dev.local_city import LocalCity
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES
from simpul_seal import Directory
from tests.conftest import KEDIRI, broker_of_its_own
from tests.integration.operate.conftest import environment_of, write_data

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs" / "operate").rglob("*.md"))
COMPOSE = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())["services"]
_INDENTED = re.compile(r"^    (\S.*)$", re.MULTILINE)
_INLINE = re.compile(r"`((?:simpul|deploy/up|docker compose) [^`]+)`")
_RUNS = {"operator": "", **{f"migrate-{service}": service for service in SERVICES}}
"""Container -> the service whose database it has."""
CHANGING = re.compile(
    r"^(topology|outbox|reconcile --repair|keys rotate$|vault rotate|agreement|breach draft|case|parked replay"
    r"|desk|notify retry|agency enrol)"
)
"""Commands that would change the shared city or need what a page cannot name; they run in a city of their own."""
ELSEWHERE = {
    r"simpul agency add.*": ("isolation/test_commands.py", '"agency", "add"'),
    r"simpul agency rotate-key.*": ("isolation/test_commands.py", '"agency", "rotate-key"'),
    r"simpul backup restore.*": ("operate/test_backups.py", '"backup", "restore"'),
    r"simpul backup secrets.*": ("operate/test_backups.py", '"backup", "secrets"'),
    r"simpul backup pitr create.*": ("operate/test_point_in_time.py", 'simpul("create")'),
    r"simpul backup pitr list.*": ("operate/test_point_in_time.py", 'simpul("list")'),
    r"simpul backup pitr verify.*": ("operate/test_point_in_time.py", 'simpul("verify")'),
    r"simpul backup pitr restore.*": ("operate/test_point_in_time.py", 'simpul("restore"'),
    # It sends to people, so a test plays it with providers of its own.
    r"simpul drill( --party \S+)?": ("notify/test_drill.py", '"drill"'),
    r"(\./)?deploy/up( --demo| --build)?": ("../compose/conftest.py", '"up", "--demo"'),
    r"deploy/up status": ("../compose/test_compose_up.py", '"deploy/up", "status"'),
    r"deploy/up logs [a-z]+( --follow)?": ("../compose/test_compose_up.py", '"logs", "intake"'),
    r"deploy/up restart( [a-z]+)?": ("../compose/test_compose_up.py", '"restart"'),
    r"deploy/up down": ("../compose/conftest.py", '"down"'),
    r"deploy/up settings": ("../compose/test_compose_up.py", '"settings"'),
    r"deploy/up --dry-run": ("../compose/test_compose_up.py", '"--dry-run"'),
    r"deploy/up --new-passwords": ("../unit/cli/deployment/test_files_setup.py", "new_passwords=True"),
    r"deploy/up --answers FILE": ("../unit/cli/deployment/test_answers.py", "Answers.read(good)"),
    r"docker compose build": ("../compose/conftest.py", '"build"'),
    r"docker compose up --detach postgres rabbitmq": ("../compose/test_compose_up.py", '"postgres", "rabbitmq"'),
    r"docker compose exec rabbitmq .*": ("../compose/test_compose_up.py", '"rabbitmqctl", "list_queues"'),
    r"make sbom": ("../compose/test_compose_up.py", '"sbom"'),
    r"simpul-agency init .*": ("../compose/test_compose_up.py", '"init"'),
    r"simpul-agency join .*": ("../compose/test_compose_up.py", '"join"'),
}
"""Pattern of a command -> the file of tests/integration that runs it, and how the command is written there."""
NOT_OURS = re.compile(r"(cd|mkdir|chown|mail|docker system prune) ?.*|[a-z-]+ = .*")
"""Programs of the system, and the lines of a settings file of Kannel."""


def commands_of(page: Path) -> Iterator[str]:
    text = page.read_text()
    for line in (*_INDENTED.findall(text), *_INLINE.findall(text)):
        # A line of a crontab begins with its times.
        parts = shlex.split(re.sub(r"^(?:[\d*/]+ ){5}", "", line), comments=True)
        ends = [place for place, word in enumerate(parts) if word in ("&&", "||", ">")]
        for first, last in zip([0, *(end + 1 for end in ends)], [*ends, len(parts)], strict=True):
            yield shlex.join(parts[first:last])


DOCUMENTED = sorted({command for page in PAGES for command in commands_of(page) if command})


def simpul_arguments(command: str) -> tuple[list[str], str] | None:
    """Returns the arguments of `simpul` and the service whose database it needs; None for another program."""
    parts = shlex.split(command)
    if parts[0] in ("simpul", ".venv/bin/simpul"):
        return parts[1:], ""
    if parts[:3] == ["docker", "compose", "run"]:
        name = next((word for word in parts if word in COMPOSE), "")
        assert name in _RUNS, command
        return parts[parts.index(name) + 1 :], _RUNS[name]
    return None


def runs_in_the_shared_city(command: str) -> bool:
    arguments, _ = simpul_arguments(command) or ([], "")
    return bool(arguments) and not CHANGING.match(" ".join(arguments)) and not place_elsewhere(command)


def place_elsewhere(command: str) -> tuple[str, str] | None:
    return next((place for pattern, place in ELSEWHERE.items() if re.fullmatch(pattern, command)), None)


@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_documented_command_is_run_by_a_test(command: str) -> None:
    place, found = place_elsewhere(command), simpul_arguments(command)
    if place:
        file, written = place
        assert written in re.sub(r"\s+", " ", (ROOT / "tests" / "integration" / file).read_text())
    else:
        # Those of `simpul` run below; those without arguments are the beginning of every other.
        assert found is not None or NOT_OURS.fullmatch(command)


def test_no_place_is_named_in_vain() -> None:
    used = {place_elsewhere(command) for command in DOCUMENTED}

    assert [pattern for pattern, place in ELSEWHERE.items() if place not in used] == []


def test_the_pages_have_commands() -> None:
    assert len(DOCUMENTED) > 40
    # A runbook without one says what is wrong and not what to do.
    assert [page.name for page in PAGES if page.parent.name == "runbooks" and not any(commands_of(page))] == []


@pytest.mark.parametrize("command", DOCUMENTED)
def test_a_documented_command_has_arguments_that_exist(command: str) -> None:
    parts = shlex.split(command)
    if parts[0] == "deploy/up" and len(parts) > 1 and not parts[1].startswith("-"):
        assert parts[1] in typer.main.get_command(city_command.app).commands  # type: ignore[attr-defined]
        assert set(parts[2:]) - {"--follow", "--volumes"} <= COMPOSE.keys()
    elif parts[:3] == ["docker", "compose", "exec"]:
        assert parts[3] in COMPOSE
    elif parts[:3] == ["docker", "compose", "up"]:
        assert set(parts[3:]) - {"--detach"} <= COMPOSE.keys()
    elif parts[0] == "make":
        assert f"\n{parts[1]}: " in (ROOT / "Makefile").read_text()
    elif parts[:2] == ["docker", "run"]:
        assert any(word.startswith("simpul-") for word in parts)
    elif parts[0] in ("simpul", ".venv/bin/simpul") or parts[:3] == ["docker", "compose", "run"]:
        found = simpul_arguments(command)
        assert found
        # The help of the command itself; a word that is not a command ends with 2.
        depth = 3 if found[0][:2] == ["backup", "pitr"] else 2
        subcommands = [word for word in found[0][:depth] if re.fullmatch("[a-z-]+", word) and not word.startswith("-")]
        shown = CliRunner().invoke(app, [*subcommands, "--help"])
        if shown.exit_code:
            shown = CliRunner().invoke(app, [*subcommands[:1], "--help"])
        assert shown.exit_code == 0
        for option in (word for word in found[0] if word.startswith("--")):
            assert option in re.sub(r"\s+", " ", shown.output), option


def test_documented_commands_run_in_a_running_city(
    city: LocalCity, environment: dict[str, str], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    given = {
        **environment,
        "SIMPUL_DIRECTORY_FILE": str(data / "directory" / "directory.json"),
        "SIMPUL_SECRETS_DIR": str(data / "secrets"),
        "SIMPUL_VAULT_KEY_FILE": str(data / "secrets" / "vault.key"),
        "SIMPUL_AMQP_URL": city.backends.amqp_url,
        "SIMPUL_PUBLIC_URL": "https://simpul.example",
    }
    run = CliRunner()
    key, failed = str(tmp_path / "work" / "operator.key"), []
    ran: list[tuple[list[str], str]] = []
    for command in ["simpul backup key --to operator.key", "simpul backup create", *DOCUMENTED]:
        parts, service = simpul_arguments(command) or ([], "")
        arguments = [key if word.lstrip("/") == "operator.key" else word for word in parts]
        if not arguments or not runs_in_the_shared_city(command) or (arguments, service) in ran:
            continue
        ran.append((arguments, service))
        if arguments[:2] == ["backup", "key"] and Path(key).exists():
            continue
        database = {"SIMPUL_DATABASE_URL": city.database_url(service)} if service else {}
        done = run.invoke(app, arguments, env={**given, **database})
        is_crash = done.exception is not None and not isinstance(done.exception, SystemExit)
        if is_crash or "Usage:" in done.output or done.exit_code not in _EXPECTED.get(arguments[0], (0,)):
            failed.append(f"{command}: {done.exit_code} {done.exception!r} {done.output[-300:]}")

    assert failed == []


_EXPECTED = {"doctor": (0, 1, 2), "reconcile": (0, 1)}
"""Exit codes of checks that may find something in a city that other tests share."""


@pytest.fixture
def own_city(backends: Backends, tmp_path: Path) -> Iterator[LocalCity]:
    """A city that the commands of one test may change."""
    with broker_of_its_own(backends) as own:
        found = LocalCity(tmp_path / "city", own, KEDIRI, database_prefix=f"commands_{uuid4().hex[:6]}_")
        try:
            asyncio.run(found.prepare())
            found.start("handset", "intake", "routing", "notify")
            found.wait_ready("handset", "intake", "routing", "notify")
            yield found
        finally:
            found.stop()
            shutil.rmtree(found.folder, ignore_errors=True)


def test_documented_commands_that_change_a_city_run_in_one_of_their_own(own_city: LocalCity, tmp_path: Path) -> None:
    data = write_data(own_city, tmp_path / "data")
    version = next((own_city.city_dir / "agreement").glob("*/agreement.yaml")).parent
    directory = data / "directory" / "directory.json"
    given = environment_of(own_city, data, tmp_path / "backups") | {
        "SIMPUL_DIRECTORY_FILE": str(directory),
        "SIMPUL_SECRETS_DIR": str(data / "secrets"),
        "SIMPUL_VAULT_KEY_FILE": str(data / "secrets" / "vault.key"),
        "SIMPUL_AMQP_URL": own_city.backends.amqp_url,
        "SIMPUL_ROUTING_URL": own_city.url("routing"),
        "SIMPUL_DESK_URL": "https://desk.simpul.example",
    }
    run, request = CliRunner(), tmp_path / "to-sign.json"
    database = {"SIMPUL_DATABASE_URL": own_city.database_url("intake")}
    breach = ["breach", "open", "--since", "2026-11-26", "--by", "operator", "--whole-vault", "--json"]
    opened = run.invoke(app, breach, env=given | database)
    assert opened.exit_code == 0, opened.output
    assert run.invoke(app, ["agreement", "request", str(version), "--to", str(request)], env=given).exit_code == 0
    party = AgencyFiles(tmp_path / "polres-ppa")
    enrolment, _ = party.create_keys(own_city.city.code, "polres-ppa", utc_now())
    signature, _ = party.sign_agreement(request, utc_now(), is_interim=False)
    enrolments = tmp_path / "enrolment"
    enrolments.mkdir()
    # Whoever is not enrolled yet and sends a request; its signature counts from then on.
    shutil.copy(enrolment, enrolments)
    entries = Directory.read(directory).entries
    Directory([entry for entry in entries if entry.party != "polres-ppa"]).write(directory)
    values = {
        "VERSION": str(version),
        "city/agreement/VERSION": str(version),
        "FILES": str(signature),
        "FOLDER": str(enrolments),
        "FILE": str(tmp_path / "new.json"),
        "ID": json.loads(opened.output)["breach_id"],
        "token.json": str(own_city.coordinator_token),
    }
    failed, ran = [], 0
    changing = [one for one in DOCUMENTED if CHANGING.match(" ".join((simpul_arguments(one) or ([], ""))[0]))]
    # What a signature needs comes first.
    for command in sorted(changing, key=lambda one: "agency enrol" not in one):
        parts, service = simpul_arguments(command) or ([], "")
        arguments = [values.get(word, word) for word in parts]
        if arguments in (["agreement", "check"], ["agreement", "status"]):
            arguments.append(str(version))
        service = service or {"outbox": "routing"}.get(arguments[0], "")
        database = {"SIMPUL_DATABASE_URL": own_city.database_url(service)} if service else {}
        # Whether fingerprints were compared by phone.
        done = run.invoke(app, arguments, env=given | database, input="y\n")
        ran += 1
        if done.exit_code or (done.exception and not isinstance(done.exception, SystemExit)):
            failed.append(f"{command}: {done.exit_code} {done.exception!r} {done.output[-300:]}")

    assert failed == []
    assert ran > 18
