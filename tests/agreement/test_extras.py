"""The engine and the commands start without the optional solver and typesetter."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.agreements import VERSION

ROOT = Path(__file__).parents[2]
_MEMBERS = {
    tomllib.loads(path.read_text())["project"]["name"]: str(path.parent.relative_to(ROOT))
    for group in ("shared", "services", "deploy")
    for path in (ROOT / group).glob("*/pyproject.toml")
}
_WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"z3", "typst"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from simpul_cli.app import app
app(sys.argv[1:])
"""


@pytest.mark.parametrize(("command", "extra"), [("check", "prove"), ("render", "render"), ("simulate", "render")])
def test_a_command_without_its_extra_names_what_to_install(command: str, extra: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, "agreement", command, str(VERSION)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert f'pip install "simpul-agreement[{extra}]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_the_other_commands_need_no_extra() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT, "agreement", "--help"], capture_output=True, check=False)

    assert done.returncode == 0


@pytest.mark.parametrize(
    ("image", "banned"),
    [
        ("intake", {"z3-solver", "typst"}),
        ("routing", {"z3-solver", "typst"}),
        ("notify", {"z3-solver", "typst"}),
        # It typesets the papers that people print.
        ("desk", {"z3-solver"}),
        ("cli", {"z3-solver", "typst"}),
    ],
)
def test_an_image_carries_no_solver_and_only_the_desk_the_typesetter(image: str, banned: set[str]) -> None:
    dockerfile = (ROOT / "deploy" / "images" / "Dockerfile").read_text()
    [members] = re.findall(rf"^FROM \S+ AS {image}-build\nRUN \S+ foreign (.*)", dockerfile, re.MULTILINE)
    installed = [re.match(r"([a-z/]+)(?:\[([a-z,]+)\])?$", one) for one in shlex.split(members)]

    needed: set[str] = set().union(
        *(_needs(one[1], set((one[2] or "").split(","))) for one in installed if one is not None)
    )

    assert all(installed)
    assert "pydantic" in needed
    assert needed.isdisjoint(banned)


def _needs(member: str, extras: set[str]) -> set[str]:
    """The packages that an installation of a member with these extras brings, those of other members included."""
    project = tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
    optional = project.get("optional-dependencies", {})
    lines = project["dependencies"] + [line for extra in extras for line in optional.get(extra, [])]
    needed: set[str] = set()
    for requirement in map(Requirement, lines):
        needed.add(requirement.name)
        if requirement.name in _MEMBERS:
            needed |= _needs(_MEMBERS[requirement.name], requirement.extras)
    return needed
