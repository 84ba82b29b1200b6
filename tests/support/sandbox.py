"""`simpul-agency sandbox up`, as an agency's engineer starts it, and the other commands beside it."""

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
    """A running sandbox; commands run where its settings are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.parent / "sandbox.log"

    def run(self, *words: str, expected: int = 0, **environment: str) -> str:
        """A command to its end; returns what it printed."""
        done = subprocess.run(
            [COMMAND, *words], cwd=self.folder, env=self._environment(environment), capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def running(self, *words: str, **environment: str) -> Iterator[Path]:
        """A command that goes on; gives its log, and asks it to end afterwards."""
        log = self.folder / f"{words[0]}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [COMMAND, *words], cwd=self.folder, env=self._environment(environment), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        try:
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in (0, -signal.SIGTERM), log.read_text()

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {"PATH": path, "HOME": str(self.folder), "COLUMNS": "200", **more}


def until(holds: Callable[[], bool], within: float = 20.0) -> None:
    """Return once it holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"did not hold within {within} s"
        time.sleep(0.1)


@contextmanager
def sandbox(folder: Path, agency: str = "dinsos-peksos") -> Iterator[Sandbox]:
    """A sandbox that is open."""
    folder.mkdir(parents=True)
    found = Sandbox(folder / "box")
    with found.log.open("w") as output:
        process = subprocess.Popen(
            [COMMAND, "sandbox", "up", "--as", agency, "--folder", str(found.folder)], cwd=folder,
            env=found._environment({"PYTHONUNBUFFERED": "1"}), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
    try:
        until(lambda: "the city is open" in found.log.read_text() or process.poll() is not None, 90)
        assert process.poll() is None, found.log.read_text()
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, found.log.read_text()
