"""The revisions that a service's start compares are those that Alembic runs."""

import subprocess
import sys
from importlib.resources import as_file, files

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from simpul_runtime.revisions import newest_revision

_LOADED = "import sys; import simpul_{0}.app; print('alembic' in sys.modules)"
SERVICES = ("desk", "intake", "notify", "routing")


@pytest.mark.parametrize("service", SERVICES)
def test_revisions_are_those_of_alembic(service: str) -> None:
    with as_file(files(f"simpul_{service}") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder))
        script = ScriptDirectory.from_config(config)
        expected = script.get_current_head(), frozenset(found.revision for found in script.walk_revisions())

    assert newest_revision(f"simpul_{service}") == expected


@pytest.mark.slow
def test_service_does_not_load_alembic() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", _LOADED.format("routing")], capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "False"
