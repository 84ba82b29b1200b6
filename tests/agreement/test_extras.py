"""The engine and the commands start without the optional solver and typesetter."""

import subprocess
import sys

import pytest

from tests.support.agreements import VERSION

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
