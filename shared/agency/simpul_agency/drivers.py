"""SQLite and PostgreSQL behind the few calls that the store needs: what they do not have in common is here."""

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
# Any number does, as long as it is the same in every process that opens the store.
_ADVISORY_LOCK: Final = 7_135_712


class Tables(Protocol):
    """One transaction. Values are what both databases take as they are: str, int, float, bytes, None."""

    async def fetch(self, statement: CompilerElement, **values: Any) -> list[Row]:
        """The rows of a query."""

    async def write(self, statement: CompilerElement, rows: Sequence[Mapping[str, Any]]) -> None:
        """The same statement for each row; nothing without rows."""


Work = Callable[[Tables], Coroutine[Any, Any, T]]
"""What is done in one transaction."""


class Driver(Protocol):
    """A database.

    Statements are SQLAlchemy's, compiled once for each database, and carried out by the database's own driver: through
    SQLAlchemy's connections, an event costs half as much again on SQLite and twice as much on PostgreSQL.
    """

    async def open(self) -> None:
        """Connect."""

    async def run(self, work: Work[T], *, survives_power_cut: bool = True) -> T:
        """Do all of a piece of work or nothing; wait for the disk where it must outlive the machine."""

    async def run_exclusively(self, work: Callable[[Connection], T]) -> T:
        """Do all of a piece of work or nothing, table definitions included, while no other process does so."""

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


@dataclass(frozen=True)
class _Compiled:
    """A statement in the words of one database, with the order of its values."""

    sql: str
    pick: Callable[[Mapping[str, Any]], Row]
    constants: Mapping[str, Any]

    @classmethod
    def of(cls, statement: CompilerElement, dialect: Dialect) -> "_Compiled":
        compiled = statement.compile(dialect=dialect)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        names: list[str] = compiled.positiontup or []  # type: ignore[attr-defined]  # of SQL compilers
        # itemgetter makes a tuple only of several.
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
    """One file and one thread: a whole piece of work is one step of that thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simpul-store")
        self._connection: Optional[sqlite3.Connection] = None
        self._waits_for_disk: Optional[bool] = None

    async def open(self) -> None:
        """Connect, making the folder where it is missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = await self._do(self._connect)
        # The inbox holds sealed events and the outbox signed replies, but who has how many is nobody's business.
        self._path.chmod(0o600)

    async def run(self, work: Work[T], *, survives_power_cut: bool = True) -> T:
        """In the thread, from begin to commit."""
        return await self._do(partial(self._run, work, survives_power_cut=survives_power_cut))

    async def run_exclusively(self, work: Callable[[Connection], T]) -> T:
        """SQLite's definitions of tables are transactional; other processes wait for the commit."""
        return await self._do(partial(self._run_exclusively, work))

    async def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            await self._do(self._connection.close)
        self._thread.shutdown()

    def _connect(self) -> sqlite3.Connection:
        # Two processes that make the same file at once may both want its journal.
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA busy_timeout = 5000")
        return connection

    def _run(self, work: Work[T], *, survives_power_cut: bool) -> T:
        connection = self._connection
        if connection is None:
            msg = "the store is not open"
            raise RuntimeError(msg)
        # What is committed without waiting for the disk becomes safe with the next commit that waits.
        if survives_power_cut is not self._waits_for_disk:
            connection.execute(f"PRAGMA synchronous = {'FULL' if survives_power_cut else 'NORMAL'}")
            self._waits_for_disk = survives_power_cut
        connection.execute("BEGIN IMMEDIATE" if survives_power_cut else "BEGIN")
        try:
            result = _at_once(work(_SqliteTables(connection)))
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
            # Python's driver would begin with the first change of a row, after the tables are made.
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            return work(connection)

    async def _do(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


class _SqliteTables:
    """Never waits, so that the work can be done to its end inside the thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: CompilerElement, **values: Any) -> list[Row]:
        compiled = _for_sqlite(statement)
        return self._connection.execute(compiled.sql, compiled.values(values)).fetchall()

    async def write(self, statement: CompilerElement, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            compiled = _for_sqlite(statement)
            self._connection.executemany(compiled.sql, [compiled.values(row) for row in rows])


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

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: Any = None

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

    async def run_exclusively(self, work: Callable[[Connection], T]) -> T:
        """PostgreSQL's definitions of tables are transactional; other processes wait for the lock."""
        import asyncpg  # noqa: PLC0415 - an extra that most agencies do without
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - as above

        # asyncpg reads the address itself, so that all its parameters work. A migration may take its time.
        connect = partial(asyncpg.connect, self._url)
        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT:.0f}s'"))
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
            result: T = await connection.run_sync(work)
            return result

    async def close(self) -> None:
        """Disconnect."""
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
