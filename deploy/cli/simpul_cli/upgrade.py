"""Plans an upgrade: the migrations that a database lacks, the tables that they touch, and about how long they take."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Any, Final

import asyncpg
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

SECONDS_PER_MIGRATION: Final = 0.5
ROWS_PER_SECOND: Final = 50_000
"""How many rows a migration reads or writes in a second; a cautious value for one machine with a disk of its own."""
_SQL: Final = re.compile(
    r"(?:UPDATE|DELETE FROM|INSERT INTO|ALTER TABLE|INDEX \w+\s+ON)\s+(?:ONLY\s+)?\"?(\w+)", re.IGNORECASE
)
_OPERATIONS: Final = re.compile(
    r"op\.(?:add_column|alter_column|drop_column|drop_table|create_(?:\w+_)?constraint|create_index)\(\s*(?:\"\w+\",\s*)?\"(\w+)\""
)
_DELETES: Final = re.compile(r"DELETE FROM|op\.drop_(?:column|table)|DROP (?:TABLE|COLUMN)", re.IGNORECASE)
_SIZES: Final = "SELECT relname, greatest(reltuples, 0)::bigint FROM pg_class WHERE relkind = 'r'"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration."""

    revision: str
    title: str
    tables: frozenset[str]
    """The names that its statements contain; those of new tables too."""
    deletes: bool
    """Whether it deletes something, so that only a backup brings the state before back."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an upgrade does to the database of one service."""

    service: str
    revision: str
    is_newer: bool
    steps: list[Step]
    tables: list[str]
    """Existing tables that are touched."""
    rows: int
    """The rows of these tables, as the server estimates them."""

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return len(self.steps) * SECONDS_PER_MIGRATION + self.rows / ROWS_PER_SECOND


async def plan_upgrade(databases: Mapping[str, str]) -> list[Plan]:
    """Plans the upgrade of each service's database; changes nothing."""
    return [await _plan(service, url) for service, url in databases.items()]


async def _plan(service: str, url: str) -> Plan:
    connection: Any = await asyncpg.connect(url)
    try:
        has_revision = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        revision = await connection.fetchval("SELECT version_num FROM alembic_version") if has_revision else None
        sizes = dict(await connection.fetch(_SIZES))
    finally:
        await connection.close()
    script = scripts_of(service)
    is_newer = revision is not None and revision not in {one.revision for one in script.walk_revisions()}
    steps = [] if is_newer else list(find_steps(script, revision))
    touched = sorted({table for step in steps for table in step.tables} & sizes.keys())
    return Plan(service, revision or "-", is_newer, steps, touched, sum(sizes[table] for table in touched))


def scripts_of(service: str) -> ScriptDirectory:
    """Returns the migrations of a service."""
    with as_file(files(f"simpul_{service}") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        return ScriptDirectory.from_config(config)


def find_steps(script: ScriptDirectory, revision: str | None) -> Iterator[Step]:
    """Yields the migrations after a revision, the next one first."""
    yield from map(_describe, reversed(list(script.iterate_revisions("head", revision or "base"))))


def _describe(script: Script) -> Step:
    source = inspect.getsource(script.module)
    body = source.partition("def upgrade")[2].partition("def downgrade")[0]
    tables = frozenset(_SQL.findall(body)) | frozenset(_OPERATIONS.findall(body))
    title = (script.doc or "").splitlines()[0] if script.doc else ""
    return Step(script.revision, title, tables, bool(_DELETES.search(body)))
