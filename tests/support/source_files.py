"""The project's own source, read and parsed once for all tests that examine it."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def modules_in(folder: str) -> tuple[Path, ...]:
    """Lists the modules of a folder of the repository."""
    return tuple(sorted((ROOT / folder).rglob("*.py")))


@cache
def text_of(path: Path) -> str:
    """Returns the text of a file."""
    return path.read_text("utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    """Returns the syntax tree of a module; a test changes nothing in it."""
    return ast.parse(text_of(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Returns every node of a module's syntax tree."""
    return tuple(ast.walk(tree_of(path)))
