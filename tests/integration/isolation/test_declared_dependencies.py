"""Each distribution runs with its declared dependencies; unlike an image, the development environment has more.

Each runs in an interpreter that refuses every module of a distribution outside the declared closure.
"""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
MEMBERS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
NEEDS_AN_EXTRA = {
    # The extras `commands`, `prove` and `render`; tests/agreement/test_extras.py tries the commands without them.
    "simpul-agreement": (
        "simpul_agreement.commands",
        "simpul_agreement.check",
        "simpul_agreement.document.page",
        "simpul_agreement.provers.solver",
        "simpul_agreement.render",
    ),
    # `amqp` and `traces`.
    "simpul-schema": ("simpul_schema.amqp_properties", "simpul_schema.amqp_channels", "simpul_schema.otlp_traces"),
}
"""Modules that need an optional dependency; no other module imports them before a command that needs them runs."""
SIMULATIONS = ("simpul_agency.sandbox", "simpul_agency.conformance")
"""For agencies' engineers; no operator's command uses it."""

_REFUSE = """
import importlib, json, pkgutil, sys
given = json.loads(sys.argv[1])

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in given["undeclared"] or name in given["refused"]:
            raise ModuleNotFoundError(f"No module named {name!r}: not declared by {given['distribution']}", name=name)

sys.meta_path.insert(0, Refusal())
"""
_IMPORT_EVERYTHING = (
    _REFUSE
    + """
imported = []
def walk(name):
    module = importlib.import_module(name)
    imported.append(name)
    for found in pkgutil.iter_modules(getattr(module, "__path__", ()), name + "."):
        last = found.name.rpartition(".")[2]
        if last not in ("__main__", "migrations", "starter_files") and found.name not in given["refused"]:
            walk(found.name)
walk(given["package"])
print(len(imported))
"""
)
_HELP_OF_EVERY_COMMAND = (
    _REFUSE
    + """
from typer.testing import CliRunner
from simpul_cli.app import COMMANDS, app, load_command

def commands(command, *path):
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, *path, name)

for path in [(), *(path for name in COMMANDS for path in commands(load_command(name), name))]:
    done = CliRunner().invoke(app, [*path, "--help"])
    assert done.exit_code == 0, (path, done.output, done.exception)
    print(" ".join(path))
"""
)


def _name(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _closure(distribution: str) -> set[str]:
    """Returns every distribution that an installation includes."""
    found: set[tuple[str, str]] = set()
    waiting = [(distribution, "")]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            declared = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:  # for another platform
            continue
        for requirement in declared:
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(_name(requirement.name), wanted) for wanted in ("", *requirement.extras)]
    return {name for name, _ in found}


def _refusals(distribution: str) -> str:
    closure = _closure(distribution)
    installed = {package: {_name(name) for name in names} for package, names in packages_distributions().items()}
    installed |= {f"simpul_{member.name}": {f"simpul-{member.name}"} for member in MEMBERS}
    return json.dumps(
        {
            "distribution": distribution,
            "package": distribution.replace("-", "_"),
            "undeclared": sorted(package for package, names in installed.items() if not names & closure),
            "refused": [*NEEDS_AN_EXTRA.get(distribution, ()), *(SIMULATIONS if distribution == "simpul-cli" else ())],
        }
    )


def _run(program: str, distribution: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, _refusals(distribution)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_every_module_is_imported_with_the_declared_dependencies_alone(member: Path) -> None:
    distribution = tomllib.loads((member / "pyproject.toml").read_text())["project"]["name"]

    assert int(_run(_IMPORT_EVERYTHING, distribution)) > 1


def test_every_operators_command_has_its_help_without_the_demo_and_the_sandbox() -> None:
    commands = _run(_HELP_OF_EVERY_COMMAND, "simpul-cli").splitlines()

    assert {"topology apply", "migrate", "agency add", "agreement check", "tls init", "keys init"} <= set(commands)


@pytest.mark.parametrize("package", ["trustme", "testcontainers", "docker", "aiosmtpd", "pytest"])
def test_the_development_environment_holds_what_an_image_does_not(package: str) -> None:
    """Shows that the tests above can fail."""
    assert package in json.loads(_refusals("simpul-cli"))["undeclared"]
