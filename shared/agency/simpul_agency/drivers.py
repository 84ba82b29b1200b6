"""SQLite and PostgreSQL behind the few calls that the store needs; `?` stands for a value in both."""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
Row = tuple[Any, ...]


class Tables(Protocol):
    """One transaction."""

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        """The rows of a query."""

    async def write(self, query: str, rows: Sequence[Row]) -> None:
        """The same statement for each row."""


Work = Callable[[Tables], Coroutine[Any, Any, T]]
"""What is done in one transaction."""


class Driver(Protocol):
    """A database."""

    types: dict[str, str]
    """What differs in a table's definition: `blob` and `serial`."""

    async def open(self) -> None:
        """Connect."""

    async def run(self, work: Work[T], *, survives_power_cut: bool = True) -> T:
        """Do everything of a piece of work or nothing; the last word only where it must outlive the machine."""

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
    """One file and one thread: a whole piece of work is one step of that thread."""

    types = {"blob": "BLOB", "serial": "INTEGER PRIMARY KEY AUTOINCREMENT"}  # noqa: RUF012 - never changed

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simpul-store")

    async def open(self) -> None:
        """Connect, making the folder where it is missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        await self._do(self._connect)
        # The inbox holds sealed events and the outbox signed replies, but who has how many is nobody's business.
        self._path.chmod(0o600)

    async def run(self, work: Work[T], *, survives_power_cut: bool = True) -> T:
        """In the thread, from begin to commit."""
        return await self._do(partial(self._run, work, survives_power_cut=survives_power_cut))

    async def close(self) -> None:
        """Disconnect."""
        await self._do(self._disconnect)
        self._thread.shutdown()

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")

    def _disconnect(self) -> None:
        self._connection.close()

    def _run(self, work: Work[T], *, survives_power_cut: bool) -> T:
        # What is committed without waiting for the disk becomes safe with the next commit that waits.
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if survives_power_cut else 'NORMAL'}")
        self._connection.execute("BEGIN IMMEDIATE" if survives_power_cut else "BEGIN")
        try:
            result = _at_once(work(_SqliteTables(self._connection)))
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        return result

    async def _do(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


class _SqliteTables:
    """Never waits, so that the work can be done to its end inside the thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def fetch(self, query: str, *values: Any) -> list[Row]:
        return self._connection.execute(query, values).fetchall()

    async def write(self, query: str, rows: Sequence[Row]) -> None:
        if rows:
            self._connection.executemany(query, rows)


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    msg = "work on SQLite waited for something else than the database"
    raise RuntimeError(msg)


class PostgresDriver:
    """A PostgreSQL of the agency's own; needs the extra `simpul-agency[postgresql]`."""

    types = {"blob": "bytea", "serial": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"}  # noqa: RUF012 - never changed

    def __init__(self, url: str) -> None:
        self._url = url

    async def open(self) -> None:
        """Connect."""
        import asyncpg  # noqa: PLC0415 - an extra that most agencies do without

        self._pool = await asyncpg.create_pool(self._url, min_size=1, max_size=4, command_timeout=30)

    async def run(self, work: Work[T], *, survives_power_cut: bool = True) -> T:
        """On a connection of the pool, from begin to commit."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not survives_power_cut:
                await connection.execute("SET LOCAL synchronous_commit = off")
            return await work(_PostgresTables(connection))

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
