"""SQLite and PostgreSQL behind the few calls that the store needs; `?` stands for a value in both."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

Row = tuple[Any, ...]


class Tables(Protocol):
    """One transaction."""

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        """The rows of a query."""

    async def write(self, query: str, rows: Sequence[Row]) -> None:
        """The same statement for each row."""


class Driver(Protocol):
    """A database."""

    types: dict[str, str]
    """What differs in a table's definition: `blob` and `serial`."""

    async def open(self) -> None:
        """Connect."""

    def transaction(self) -> AbstractAsyncContextManager[Tables]:
        """Everything inside happens or nothing does."""

    async def close(self) -> None:
        """Disconnect."""


class StoreMissing(Exception):
    """The store's URL is not one of those the kit knows; the message says which it knows."""


def driver_for(url: str) -> Driver:
    """`sqlite:///path/of/the.db` or `postgresql://...`; StoreMissing for anything else."""
    match urlsplit(url).scheme:
        case "sqlite":
            return SqliteDriver(Path(url.removeprefix("sqlite:///")))
        case "postgresql":
            return PostgresDriver(url)
        case _:
            msg = "SIMPUL_AGENCY_STORE_URL begins with sqlite:/// or postgresql://"
            raise StoreMissing(msg)


class SqliteDriver:
    """One file and one thread; what is committed survives a power cut."""

    types = {"blob": "BLOB", "serial": "INTEGER PRIMARY KEY AUTOINCREMENT"}  # noqa: RUF012 - never changed

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simpul-store")
        self._one_at_a_time = asyncio.Lock()

    async def open(self) -> None:
        """Connect, making the folder where it is missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connect = partial(sqlite3.connect, self._path, isolation_level=None, check_same_thread=False)
        self._connection: sqlite3.Connection = await self._do(connect)
        # The inbox holds sealed events and the outbox signed replies, but who has how many is nobody's business.
        self._path.chmod(0o600)
        await self._do(self._connection.execute, "PRAGMA journal_mode = WAL")
        await self._do(self._connection.execute, "PRAGMA synchronous = FULL")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tables]:
        """Everything inside happens or nothing does."""
        async with self._one_at_a_time:
            await self._do(self._connection.execute, "BEGIN IMMEDIATE")
            try:
                yield self
            except BaseException:
                await self._do(self._connection.execute, "ROLLBACK")
                raise
            await self._do(self._connection.execute, "COMMIT")

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        """The rows of a query."""
        found: list[Row] = await self._do(lambda: self._connection.execute(query, values).fetchall())
        return found

    async def write(self, query: str, rows: Sequence[Row]) -> None:
        """The same statement for each row."""
        if rows:
            await self._do(self._connection.executemany, query, rows)

    async def close(self) -> None:
        """Disconnect."""
        await self._do(self._connection.close)
        self._thread.shutdown()

    async def _do(self, call: Any, *values: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(call, *values))


class PostgresDriver:
    """A PostgreSQL of the agency's own; needs the extra `simpul-agency[postgresql]`."""

    types = {"blob": "bytea", "serial": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"}  # noqa: RUF012 - never changed

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect."""
        import asyncpg  # noqa: PLC0415 - an extra that most agencies do without

        self._pool = await asyncpg.create_pool(self._url, min_size=1, max_size=4, command_timeout=30)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tables]:
        """Everything inside happens or nothing does."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield _PostgresTables(connection)

    async def close(self) -> None:
        """Disconnect."""
        await self._pool.close()


class _PostgresTables:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        return [tuple(row) for row in await self._connection.fetch(_numbered(query), *values)]

    async def write(self, query: str, rows: Sequence[Row]) -> None:
        if rows:
            await self._connection.executemany(_numbered(query), rows)


@cache
def _numbered(query: str) -> str:
    """PostgreSQL's $1, $2 for `?`."""
    count = iter(range(1, 1000))
    return re.sub(r"\?", lambda _: f"${next(count)}", query)
