"""Statements that PostgreSQL may run in another way than they read."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SUBQUERY = re.compile(r"\bIN\s*\(\s*SELECT\b")


def limited_subqueries(text: str) -> Iterator[str]:
    """Yields each `IN (SELECT ... LIMIT ...)`, up to the bracket that ends it."""
    for begin in (match.start() for match in _SUBQUERY.finditer(text)):
        depth = 0
        for place in range(text.index("(", begin), len(text)):
            depth += {"(": 1, ")": -1}.get(text[place], 0)
            if depth == 0:
                if re.search(r"\bLIMIT\b", found := text[begin : place + 1]):
                    yield found
                break


def test_no_row_is_chosen_by_a_subquery_that_may_run_more_than_once() -> None:
    """A plan may run `IN (SELECT ... LIMIT ...)` once for each row, and then takes more rows than the limit.

    `= ANY (ARRAY(SELECT ...))` and `WITH ... AS MATERIALIZED` run it once.
    """
    files = [path for folder in ("services", "shared", "deploy") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)) for path in files if list(limited_subqueries(path.read_text("utf-8")))}

    assert len(files) > 300
    assert found == set()


def test_a_limited_subquery_is_found_behind_others() -> None:
    inner = "SELECT 1 FROM b WHERE x = ANY(y)"

    assert list(limited_subqueries(f"WHERE id IN (SELECT id FROM a WHERE NOT EXISTS ({inner}) LIMIT 5)"))
    assert not list(limited_subqueries(f"WHERE id IN (SELECT id FROM a WHERE EXISTS ({inner})) LIMIT 5"))
