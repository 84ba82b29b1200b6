"""The store's Alembic migrations: carried out when a store is opened, or by `simpul-agency upgrade`."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from simpul_agency.store.version import version_of


@dataclass(frozen=True)
class Step:
    """One migration."""

    revision: str
    title: str


def upgrade(connection: Connection) -> list[Step]:
    """Carry out the migrations that the store lacks, in the caller's transaction; StoreNewer when it has unknown ones.

    A store made before there were revisions has its tables and no row that says so; the first migration leaves it as
    it is.
    """
    version = version_of(connection)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config).iterate_revisions("head", version or "base")
    steps = [Step(script.revision, script.doc.splitlines()[0]) for script in scripts]
    if steps:
        command.upgrade(config, "head")
    return steps[::-1]
