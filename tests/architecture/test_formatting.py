"""The formatter decides how code looks, except where each line is a row of a table."""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.support.source_files import ROOT, modules_in, nodes_of, text_of

MIN_ROWS = 4
MIN_CONSTANTS = 12
"""A list of so many constants would take a screen with one on each line."""


def is_table(node: ast.AST) -> bool:
    """Whether a literal has rows, three quarters of them with two columns or more, or is a long list of constants."""
    values = node.values if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    rows = sum(map(has_columns, values))
    is_long = len(values) >= MIN_CONSTANTS and all(isinstance(value, ast.Constant) for value in values)
    return is_long or (len(values) >= MIN_ROWS and rows * 4 >= len(values) * 3)


def has_columns(node: ast.AST) -> bool:
    """Whether a value is a row of a table."""
    match node:
        case ast.Tuple(elts=cells) | ast.List(elts=cells) | ast.Set(elts=cells) | ast.Dict(values=cells):
            return len(cells) > 1
        case ast.Call():
            return len(node.args) + len(node.keywords) > 1
        case _:
            return False


def unformatted_lines(path: Path) -> Iterator[int]:
    """Yields the number of each line at which a statement that is not formatted ends."""
    if "fmt: skip" not in text_of(path):
        return
    for token in tokenize.generate_tokens(io.StringIO(text_of(path)).readline):
        if token.type == tokenize.COMMENT and "fmt: skip" in token.string:
            yield token.start[0]


def test_only_tables_are_not_formatted() -> None:
    files = [path for folder in ("services", "shared", "deploy", "tests") for path in modules_in(folder)]
    unformatted = {path: lines for path in files if (lines := set(unformatted_lines(path)))}
    ends = {
        path: {
            whole.end_lineno
            for whole in nodes_of(path)
            if isinstance(whole, ast.expr | ast.stmt)
            and whole.end_lineno in lines
            and any(map(is_table, ast.walk(whole)))
        }
        for path, lines in unformatted.items()
    }

    assert len(unformatted) > 10
    assert [
        f"{path.relative_to(ROOT)}:{line}" for path, lines in unformatted.items() for line in sorted(lines - ends[path])
    ] == []
