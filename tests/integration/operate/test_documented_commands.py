"""Every command in docs/operate is one that exists; those of `simpul` run against the running city."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_cli.commands import city as city_command
from simpul_dev.local_city import LocalCity
from simpul_schema.catalog import SERVICES

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs" / "operate").rglob("*.md"))
COMPOSE = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())["services"]
_INDENTED = re.compile(r"^    (\S.*)$", re.MULTILINE)
_INLINE = re.compile(r"`((?:simpul|deploy/up|docker compose) [^`]+)`")
_RUNS = {"operator": "", **{f"migrate-{service}": service for service in SERVICES}}
"""Container -> the service whose database it has."""
CHANGING = re.compile(
    r"^(agency (add|remove|suspend|rotate-key|enrol|connect)|topology|outbox|reconcile --repair|keys rotate$|tls"
    r"|vault (rotate|retire)|agreement|backup (restore|secrets|pitr)|breach draft|migrate|case|token|parked replay|city"
    r"|upgrade$|desk|notify (retry|called)|drill( --party.*)?$)"
)
"""Commands that would change the shared city or need what a page cannot name; only their arguments are parsed."""


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
        if not arguments or CHANGING.match(" ".join(arguments)) or (arguments, service) in ran:
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
