"""`simpul --help` is quick, and its table of commands is true."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from simpul_cli.app import COMMANDS, load_command

_LOADED = """
import sys
from simpul_cli.app import main
sys.argv[1:] = ["--help"]
try:
    main()
except SystemExit:
    print(" ".join(sys.modules), file=sys.stderr)
"""
ROOT = Path(__file__).parents[3]
PRINTING = ("deploy/cli/simpul_cli", "deploy/dev/simpul_dev", "shared/agency/simpul_agency", "shared/agreement")
"""Packages whose commands print what people and messages contain."""
SLOW = {"fastapi", "sqlalchemy", "pydantic", "aio_pika", "faststream", "aiohttp", "ruamel.yaml", "cryptography", "rich"}


@pytest.mark.slow
def test_help_imports_no_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", _LOADED],
        env=os.environ | {"LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(COMMANDS) <= set(shown.stdout.split())
    assert all(line in " ".join(shown.stdout.split()) for line in COMMANDS.values())
    assert not SLOW & set(shown.stderr.split())


def test_every_command_has_the_help_of_the_table() -> None:
    for name, line in COMMANDS.items():
        command = load_command(name)
        # A group has its line in the table only.
        assert hasattr(command, "commands") or command.help.startswith(line), name


def _consoles_with_markup(folder: str) -> Iterator[str]:
    """Consoles that take square brackets in what they print for markup; those that are only measured print nothing."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        text = path.read_text()
        if "Console(" not in text:
            continue
        tree = ast.parse(text)
        measured = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Console":
                given = {named.arg for named in node.keywords}
                if "markup" not in given and id(node) not in measured:
                    yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_no_command_reads_markup_in_what_it_prints() -> None:
    table = Table.grid()
    table.add_row("(inbox|[a-z0-9-]+)")
    console = Console(markup=False, file=StringIO())
    console.print(table)

    # Patterns of permissions have square brackets, which would be taken for markup and left out.
    assert console.file.getvalue().strip() == "(inbox|[a-z0-9-]+)"  # type: ignore[attr-defined]
    assert [place for folder in PRINTING for place in _consoles_with_markup(folder)] == []
