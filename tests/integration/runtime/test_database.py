"""How the engines of the services let PostgreSQL plan their statements."""

from sqlalchemy import text

from simpul_dev.backends import Backends
from simpul_runtime.database import create_engine


async def test_statements_read_an_index_even_while_their_table_is_small(backends: Backends) -> None:
    engine = create_engine(backends.postgres_url, connections=1)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TEMPORARY TABLE note (note_id int PRIMARY KEY, body text)"))
        await connection.execute(text("INSERT INTO note SELECT n, 'body' FROM generate_series(1, 50) AS n"))
        await connection.execute(text("ANALYZE note"))
        explained = await connection.execute(text("EXPLAIN SELECT body FROM note WHERE note_id = 7"))
        plan = [line for (line,) in explained]
    await engine.dispose()

    assert "Index Scan" in plan[0], plan
