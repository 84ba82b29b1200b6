"""The store's Alembic migrations, run when a store is opened or by `simpul-agency upgrade`."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from simpul_agency.store.version import read_version


@dataclass(frozen=True)
class Step:
    """One migration."""

    revision: str
    title: str


def upgrade(connection: Connection) -> list[Step]:
    """Runs the missing migrations in the caller's transaction; raises StoreNewer for an unknown revision.

    A store from before the first revision has the tables but no version; the first migration leaves it unchanged.
    """
    version = read_version(connection)
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config).iterate_revisions("head", version or "base")
    steps = [Step(script.revision, script.doc.splitlines()[0]) for script in scripts]
    if steps:
        command.upgrade(config, "head")
    return steps[::-1]
