"""docs/operators.md has a row for every line that a service logs as an error, and names existing metrics."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from simpul_runtime.logging import ALLOWED
from tests.support.source_files import ROOT, modules_in, nodes_of

ALARMS = (ROOT / "docs" / "operators.md").read_text().partition("## Alarms")[2].partition("\n## ")[0]
# The kit runs at agencies, whose engineers read docs/agencies.md.
RUN_BY_OPERATORS = ("shared/runtime", "shared/city", "shared/agreement", "services", "deploy/cli")


@cache
def every_call() -> tuple[tuple[str, ast.Call], ...]:
    """Every call in the code that operators run, with the name of what is called."""
    return tuple(
        (name_of(node.func), node)
        for folder in RUN_BY_OPERATORS
        for path in modules_in(folder)
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
    )


def name_of(called: ast.expr) -> str:
    """The dotted name of what is called, as in the code; brackets stand for a call before it."""
    match called:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            return f"{name_of(owner)}.{name}"
        case ast.Call(func=func):
            return f"{name_of(func)}()"
        case _:
            return ""


def calls(*names: str) -> Iterator[str]:
    """The first argument of every call of these names, where it is a string."""
    for name, node in every_call():
        first = node.args[0] if name in names and node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def first_column() -> list[str]:
    """The names in the first column of both tables."""
    rows = re.findall(r"^\| (`.+?) \|", ALARMS, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)", row)]


def test_every_logged_error_has_a_row_and_every_row_its_log_line() -> None:
    documented = [name for name in first_column() if not name.startswith("simpul_")]

    assert documented == sorted(set(documented))
    assert set(documented) == set(calls("log.error", "log.exception", "log.critical"))


def test_every_value_of_a_log_line_is_written_and_not_redacted() -> None:
    redacted = [
        f"{ast.unparse(node.args[0])}: {given.arg}={ast.unparse(given.value)}"
        for name, node in every_call()
        if name.startswith("log.")
        for given in node.keywords
        # The keys of an unpacked mapping are tried in tests of the code that fills it.
        if given.arg is not None
        # The sentence of an error has spaces, which an id or a code has not.
        and (given.arg not in ALLOWED | {"exc_info"} or ast.unparse(given.value) == "str(error)")
    ]

    assert redacted == []


def test_every_metric_with_an_alarm_exists() -> None:
    known = {name for kind in ("Counter", "Gauge") for name in calls(kind)}
    documented = {name.removesuffix("_total") for name in first_column() if name.startswith("simpul_")}

    assert documented
    assert documented <= known
