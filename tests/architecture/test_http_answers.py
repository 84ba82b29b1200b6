"""An HTTP answer that nobody closes keeps its connection until the collector of garbage meets it, and warns then."""

import ast
from collections.abc import Iterator

from tests.support.source_files import ROOT, modules_in, text_of

METHODS = frozenset({"request", "get", "post", "put", "patch", "delete", "head", "options", "ws_connect"})


def unreleased(source: str) -> Iterator[int]:
    """Yields the lines that await a request of an aiohttp session where `async with` belongs."""
    if "ClientSession" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            call = node.value.func
            if isinstance(call, ast.Attribute) and call.attr in METHODS and "session" in ast.unparse(call.value):
                yield node.lineno


def test_every_http_answer_is_read_within_async_with() -> None:
    files = [path for folder in ("services", "shared", "deploy", "tests") for path in modules_in(folder)]
    found = [f"{path.relative_to(ROOT)}:{line}" for path in files for line in unreleased(text_of(path))]

    assert len(files) > 600
    assert found == []


def test_an_awaited_answer_is_found_inside_other_expressions() -> None:
    session = "async with aiohttp.ClientSession() as session:"

    assert list(unreleased(f"async def f():\n  {session}\n    return (await session.get('/')).status")) == [3]
    assert not list(unreleased(f"async def f():\n  {session}\n    async with session.get('/') as answer:\n      pass"))
