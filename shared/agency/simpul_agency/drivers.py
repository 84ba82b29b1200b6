"""Hides the differences between SQLite and PostgreSQL behind the few calls that the store needs."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Optional, Protocol, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import URL, Connection, Dialect, NullPool, create_engine, text
from sqlalchemy.sql.elements import CompilerElement

T = TypeVar("T")
Row = tuple[Any, ...]

LOCK_TIMEOUT: Final = 600.0
"""Seconds to wait while another process migrates the same store."""
# An arbitrary number that every process uses for the same lock.
_ADVISORY_LOCK: Final = 7_135_712


class Tables(Protocol):
    """One transaction; values are str, int, float, bytes or None, which both databases take unconverted."""

    async def fetch(self, statement: CompilerElement, **values: Any) -> list[Row]:
        """Returns the rows of a query."""

    async def write(self, statement: CompilerElement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Executes the statement once for each row."""


Work = Callable[[Tables], Coroutine[Any, Any, T]]
"""The work of one transaction."""


class Driver(Protocol):
    """A database.

    SQLAlchemy compiles each statement once; the database's own driver executes it. SQLAlchemy's connections would make
    an event 1.5 times as expensive on SQLite and twice as expensive on PostgreSQL.
    """

    async def open(self) -> None:
        """Connects."""

    async def run(self, work: Work[T], *, survives_power_cut: bool = True) -> T:
        """Runs work in one transaction; waits for the disk when the result must survive a power cut."""

    async def run_exclusively(self, work: Callable[[Connection], T]) -> T:
        """Runs work in one transaction, table definitions included, while no other process does the same."""

    async def close(self) -> None:
        """Disconnects."""


class UnsupportedStore(Exception):
    """The kit does not support the store's URL; the message says what it supports."""


def driver_for(url: str) -> Driver:
    """Returns the driver of `sqlite:///path/of/the.db` or `postgresql://...`; raises UnsupportedStore."""
    match urlsplit(url).scheme:
        case "sqlite":
            return SqliteDriver(Path(url.removeprefix("sqlite:///")))
        case "postgresql":
            return PostgresDriver(url)
        case _:
            msg = "the URL of a store must begin with sqlite:/// or postgresql://: check SIMPUL_AGENCY_STORE_URL"
            raise UnsupportedStore(msg)


@dataclass(frozen=True)
class _Compiled:
    """A statement in the dialect of one database, with the order of its values."""

    sql: str
    pick: Callable[[Mapping[str, Any]], Row]
    constants: Mapping[str, Any]

    @classmethod
    def of(cls, statement: CompilerElement, dialect: Dialect) -> "_Compiled":
        compiled = statement.compile(dialect=dialect)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        names: list[str] = compiled.positiontup or []  # type: ignore[attr-defined]  # of SQL compilers
        # itemgetter returns a tuple only for several names.
        pick = itemgetter(*names) if len(names) > 1 else lambda row: tuple(row[name] for name in names)
        return cls(str(compiled), pick, constants)

    def values(self, row: Mapping[str, Any]) -> Row:
        return self.pick({**self.constants, **row} if self.constants else row)


@cache
def _for_sqlite(statement: CompilerElement) -> _Compiled:
    return _Compiled.of(statement, _dialect("sqlite"))


@cache
def _for_postgresql(statement: CompilerElement) -> _Compiled:
    return _Compiled.of(statement, _dialect("postgresql+asyncpg"))


@cache
def _dialect(name: str) -> Dialect:
    return URL.create(name).get_dialect()()


class SqliteDriver:
    """One file and one thread, which runs a whole transaction in one step."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simpul-store")
        self._connection: Optional[sqlite3.Connection] = None
        self._waits_for_disk: Optional[bool] = None

    async def open(self) -> None:
        """Connects, and creates the missing folder."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = await self._run_in_thread(self._connect)
        # Facts are sealed in it, but even the number of an agency's referrals is confidential.
        self._path.chmod(0o600)

    async def run(self, work: Work[T], *, survives_power_cut: bool = True) -> T:
        """Runs the work in the thread, from begin to commit."""
        return await self._run_in_thread(partial(self._run, work, survives_power_cut=survives_power_cut))

    async def run_exclusively(self, work: Callable[[Connection], T]) -> T:
        """Runs the work in an exclusive transaction, which includes table definitions on SQLite."""
        return await self._run_in_thread(partial(self._run_exclusively, work))

    async def close(self) -> None:
        """Disconnects."""
        if self._connection is not None:
            await self._run_in_thread(self._connection.close)
        self._thread.shutdown()

    def _connect(self) -> sqlite3.Connection:
        # Two processes that create the same file at once compete for its journal.
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection

    def _run(self, work: Work[T], *, survives_power_cut: bool) -> T:
        connection = self._connection
        if connection is None:
            msg = "the store is not open"
            raise RuntimeError(msg)
        # A commit that does not wait for the disk becomes safe with the next commit that does.
        if survives_power_cut is not self._waits_for_disk:
            connection.execute(f"PRAGMA synchronous = {'FULL' if survives_power_cut else 'NORMAL'}")
            self._waits_for_disk = survives_power_cut
        connection.execute("BEGIN IMMEDIATE" if survives_power_cut else "BEGIN")
        try:
            result = _run_without_waiting(work(_SqliteTables(connection)))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        return result

    def _run_exclusively(self, work: Callable[[Connection], T]) -> T:
        arguments = {"isolation_level": None, "timeout": LOCK_TIMEOUT}
        url = URL.create("sqlite", database=str(self._path))
        engine = create_engine(url, poolclass=NullPool, connect_args=arguments)
        with engine.begin() as connection:
            # Python's driver would begin with the first change of a row, after the tables are created.
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            return work(connection)

    async def _run_in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


class _SqliteTables:
    """Never waits, so that a whole transaction runs in one step of the thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: CompilerElement, **values: Any) -> list[Row]:
        compiled = _for_sqlite(statement)
        return self._connection.execute(compiled.sql, compiled.values(values)).fetchall()

    async def write(self, statement: CompilerElement, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            compiled = _for_sqlite(statement)
            self._connection.executemany(compiled.sql, [compiled.values(row) for row in rows])


def _run_without_waiting(work: Coroutine[Any, Any, T]) -> T:
    """Returns the result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    msg = "work on SQLite must not wait for anything but the database"
    raise RuntimeError(msg)


class PostgresDriver:
    """The agency's own PostgreSQL; needs the extra `simpul-agency[postgresql]`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: Any = None

    async def open(self) -> None:
        """Connects."""
        import asyncpg  # noqa: PLC0415 - an extra that most agencies do not install

        self._pool = await asyncpg.create_pool(self._url, min_size=1, max_size=4, command_timeout=30)

    async def run(self, work: Work[T], *, survives_power_cut: bool = True) -> T:
        """Runs the work on a connection of the pool, from begin to commit."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not survives_power_cut:
                await connection.execute("SET LOCAL synchronous_commit = off")
            return await work(_PostgresTables(connection))

    async def run_exclusively(self, work: Callable[[Connection], T]) -> T:
        """Runs the work under an advisory lock, in a transaction that includes table definitions."""
        import asyncpg  # noqa: PLC0415 - an extra that most agencies do not install
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - as above

        # asyncpg parses the URL itself, so that all its parameters work. Migrations have no command timeout.
        connect = partial(asyncpg.connect, self._url)
        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT:.0f}s'"))
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            result: T = await connection.run_sync(work)
            return result

    async def close(self) -> None:
        """Disconnects."""
        if self._pool is not None:
            await self._pool.close()


class _PostgresTables:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: CompilerElement, **values: Any) -> list[Row]:
        compiled = _for_postgresql(statement)
        return [tuple(row) for row in await self._connection.fetch(compiled.sql, *compiled.values(values))]

    async def write(self, statement: CompilerElement, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            compiled = _for_postgresql(statement)
            await self._connection.executemany(compiled.sql, [compiled.values(row) for row in rows])
