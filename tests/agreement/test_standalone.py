"""A city uses the agreement with the wheels of four packages and nothing else of Simpul."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from simpul_agreement.commands import app
from simpul_cli.commands.agreement import app as operators_app
from tests.support.agreements import KEDIRI

ROOT = Path(__file__).parents[2]
PACKAGES = ("schema", "seal", "city", "agreement")
UV = shutil.which("uv") or str(ROOT / ".venv-uv" / "bin" / "uv")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the four wheels and what they declare, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("standalone")
    for name in PACKAGES:
        _uv("build", "--quiet", "--wheel", "--out-dir", str(folder / "wheels"), str(ROOT / "shared" / name))
    _uv("venv", "--quiet", str(folder / "venv"))
    wheels = [str(path) for path in (folder / "wheels").glob("*.whl")]
    agreement = next(path for path in wheels if "agreement" in path)
    _uv(
        "pip",
        "install",
        "--quiet",
        "--python",
        str(folder / "venv" / "bin" / "python"),
        "--constraint",
        str(ROOT / "requirements.lock"),
        *(path for path in wheels if path != agreement),
        f"simpul-agreement[commands,prove,render] @ file://{agreement}",
    )
    return folder / "venv"


def _uv(*arguments: str) -> None:
    done = subprocess.run([UV, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def _blocks(language: str) -> list[str]:
    readme = (ROOT / "shared" / "agreement" / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(600)
def test_the_tour_of_the_readme_runs_with_four_wheels(environment: Path, tmp_path: Path) -> None:
    shutil.copytree(KEDIRI, tmp_path / "deploy" / "kediri")
    commands = [line for block in _blocks("sh") for line in block.splitlines() if not line.startswith("pip install")]
    given = {"PATH": f"{environment / 'bin'}:{os.defpath}", "HOME": str(tmp_path), "COLUMNS": "200"}

    done = subprocess.run(
        ["sh", "-e"],
        input="\n".join(commands),
        cwd=tmp_path,
        env=given,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    decided = subprocess.run(
        [environment / "bin" / "python", "-"],
        input=_blocks("python")[0],
        cwd=tmp_path,
        env=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "0 gaps, 0 overlaps, 0 dead clauses" in done.stdout
    assert "Urgency: HIGH" in done.stdout
    assert re.search(r"^[1-9]\d* of \d+ scenarios of 2027-01 are referred differently", done.stdout, re.MULTILINE)
    assert "200 invented reports: high " in done.stdout
    assert (tmp_path / "document" / "agreement-2026-11.en.pdf").exists()
    assert "2026-11: proven" in done.stdout
    assert "signature of polres-ppa" not in done.stdout
    assert "URG-H1" in decided.stdout, decided.stderr


def test_the_environment_holds_nothing_else_of_simpul(environment: Path) -> None:
    listing = "import pkgutil; print(*sorted(m.name for m in pkgutil.iter_modules() if m.name.startswith('simpul')))"

    done = subprocess.run([environment / "bin" / "python", "-c", listing], capture_output=True, text=True, check=True)

    assert done.stdout.split() == sorted(f"simpul_{name}" for name in PACKAGES)


def test_both_command_lines_have_the_same_commands() -> None:
    alone = get_command(app).commands  # type: ignore[attr-defined]
    mounted = get_command(operators_app).commands  # type: ignore[attr-defined]

    assert mounted.keys() - alone.keys() == {"explain-case"}
    for name, command in alone.items():
        assert [parameter.opts for parameter in command.params] == [p.opts for p in mounted[name].params]
