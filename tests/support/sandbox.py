"""Runs `simpul-agency sandbox up` and other commands as an agency's engineer does."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from simpul_agency.sandbox.process import die_with_parent

COMMAND = str(Path(sys.executable).with_name("simpul-agency"))


class Sandbox:
    """A running sandbox; commands run in the folder of its settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.parent / "sandbox.log"

    def run(self, *arguments: str, expected: int = 0, **environment: str) -> str:
        """Runs a command and returns what it printed."""
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self._environment(environment),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def running(self, *arguments: str, program: str = COMMAND, **environment: str) -> Iterator[Path]:
        """Runs a command in the background; yields its log, and ends it afterwards."""
        log = self.folder / f"{Path(arguments[0]).name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [program, *arguments],
                cwd=self.folder,
                env=self._environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in (0, -signal.SIGTERM), log.read_text()

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {"PATH": path, "HOME": str(self.folder), "COLUMNS": "200", **more}


def until(holds: Callable[[], bool], within: float = 240.0) -> None:
    """Waits for a condition; raises AssertionError when it does not hold in time."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"did not hold within {within} s"
        time.sleep(0.1)


@contextmanager
def sandbox(folder: Path, agency: str = "dinsos-peksos") -> Iterator[Sandbox]:
    """Runs a sandbox during the block."""
    folder.mkdir(parents=True)
    found = Sandbox(folder / "box")
    with found.log.open("w") as output:
        process = subprocess.Popen(
            [COMMAND, "sandbox", "up", "--as", agency, "--folder", str(found.folder)],
            cwd=folder,
            env=found._environment({"PYTHONUNBUFFERED": "1"}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        until(lambda: "the city is open" in found.log.read_text() or process.poll() is not None)
        assert process.poll() is None, found.log.read_text()
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, found.log.read_text()
