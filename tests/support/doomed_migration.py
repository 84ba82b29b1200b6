"""Migrates a database again and again, and kills itself (SIGKILL) at a later statement each time.

    python -m tests.support.doomed_migration routing postgresql://... 5

Prints one JSON object: the number of statements of the upgrade, and after which of them, with which signal and with
which schema each run ended. One process imports everything and forks for each run, so that many points are cheap.
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
from typing import Any

import asyncpg
from sqlalchemy import Engine, event

from simpul_runtime.migrations import migrate_async

_SCHEMA = """
    SELECT 'column', table_name, column_name, concat_ws(' ', data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'revision', version_num, '', '' FROM alembic_version
    ORDER BY 1, 2, 3, 4"""


async def read_schema(url: str) -> str:
    """Returns a digest of tables, indexes, constraints and the revision."""
    connection: Any = await asyncpg.connect(url)
    try:
        rows = [tuple(row) for row in await connection.fetch(_SCHEMA)]
    finally:
        await connection.close()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _run(service: str, url: str, last: int) -> tuple[int, int]:
    """Migrates in a child that dies before the statement after `last`; returns its statements and its signal."""
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as counted:
            return len(counted.read()), os.WTERMSIG(status)

    def count(*_: object) -> None:
        nonlocal last
        if last == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        last -= 1
        os.write(writing, b".")

    event.listen(Engine, "before_cursor_execute", count)
    asyncio.run(migrate_async(url, f"simpul_{service}"))
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main(service: str, urls: list[str], points: int) -> None:
    """Counts the statements on the first database, and interrupts the upgrade of the second one."""
    counted, interrupted = urls
    total, _ = _run(service, counted, -1)
    runs = []
    for last in sorted({*range(0, total, max(total // points, 1)), total - 1}):
        done, killed_by = _run(service, interrupted, last)
        runs.append((done, killed_by, asyncio.run(read_schema(interrupted))))
    done, killed_by = _run(service, interrupted, -1)
    after_commit = (done, killed_by, asyncio.run(read_schema(interrupted)))
    complete = asyncio.run(read_schema(counted))
    print(json.dumps({"total": total, "runs": runs, "after_commit": after_commit, "complete": complete}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:4], int(sys.argv[4]))
