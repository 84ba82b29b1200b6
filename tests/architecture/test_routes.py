"""FastAPI runs a plain function in a thread: a hop for each request, and up to forty threads in a service."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.support.source_files import ROOT, modules_in, nodes_of

METHODS = frozenset({"get", "post", "put", "patch", "delete", "exception_handler", "middleware"})


def modules() -> Iterator[tuple[Path, tuple[ast.AST, ...]]]:
    for folder in ("services", "shared/runtime"):
        for path in modules_in(folder):
            yield path.relative_to(ROOT), nodes_of(path)


def is_route(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    calls = (decorator.func for decorator in function.decorator_list if isinstance(decorator, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr in METHODS for call in calls)


def depended_on(nodes: Iterable[ast.AST]) -> set[str]:
    calls = [node for node in nodes if isinstance(node, ast.Call) and node.args]
    depends = [call.args[0] for call in calls if getattr(call.func, "id", "") == "Depends"]
    return {argument.id for argument in depends if isinstance(argument, ast.Name)}


def test_routes_and_their_dependencies_are_coroutines() -> None:
    checked, plain = 0, []
    for path, nodes in modules():
        names = depended_on(nodes)
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (is_route(node) or node.name in names):
                checked += 1
                plain += [f"{path}:{node.lineno} {node.name}"] if isinstance(node, ast.FunctionDef) else []

    assert plain == []
    assert checked > 20


def is_paged(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = (*function.args.args, *function.args.kwonlyargs)
    return any(isinstance(one.annotation, ast.Name) and one.annotation.id == "Limit" for one in arguments)


def test_every_list_of_routing_says_how_many_there_are_and_how_to_go_on() -> None:
    """A board of 1,259 open referrals once showed 200, without a total and without a next page."""
    checked, silent = set(), []
    for path in sorted((ROOT / "services/routing/simpul_routing/api").glob("*.py")):
        for node in nodes_of(path):
            if isinstance(node, ast.AsyncFunctionDef) and is_paged(node):
                checked.add(node.name)
                answered = {
                    key.value
                    for one in ast.walk(node)
                    if isinstance(one, ast.Dict)
                    for key in one.keys
                    if isinstance(key, ast.Constant)
                }
                silent += [] if answered >= {"total", "next"} else [f"{path.name}:{node.lineno} {node.name}"]

    assert silent == []
    assert len(checked) >= 7
