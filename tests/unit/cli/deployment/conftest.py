"""A city's folder, and a Docker that records commands instead of running them."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from simpul_cli.deployment.answers import DEMO, Answers
from simpul_cli.deployment.city_files import CityFiles
from simpul_cli.deployment.compose import Compose
from simpul_cli.deployment.containers_setup import ContainersSetup
from simpul_cli.deployment.files_setup import FilesSetup
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES

ROOT = Path(__file__).parents[4]
REAL = {
    "site": "simpul.kota.example",
    "certificate": "admin@kota.example",
    "sms_gateway": "https://simpul:s%40fe@sms.example/cgi-bin/sendsms",
    "mail_server": "smtp://robot:p%2Fw@mail.example",
    "mail_sender": "robot@kota.example",
}


class Killed(BaseException):
    """Ends a run where a machine would lose its power."""


@dataclass
class FakeDocker:
    """Answers like an engine on which everything is healthy once it was started."""

    commands: list[str] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)
    """Part of a command -> what it prints before it fails."""
    started: dict[str, str] = field(default_factory=dict)
    """Service -> health."""
    inputs: list[str] = field(default_factory=list)
    images: set[str] = field(default_factory=lambda: {*SERVICES, "cli", "dev"})
    killed_after: int | None = None
    """The number of commands after which the machine loses its power."""

    def run(self, command: Sequence[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        if len(self.commands) == self.killed_after:
            raise Killed
        text = " ".join(command[1:])
        _, is_compose, compose = text.partition(".env ")
        self.commands.append(compose if is_compose else text)
        self.inputs.append(str(options.get("input", "")))
        for part, printed in self.failing.items():
            if part in text:
                return subprocess.CompletedProcess(command, 1, "", printed)
        if compose.startswith("up "):
            self.started |= {name: "healthy" for name in compose.split() if name[0] != "-" and name != "up"}
        return subprocess.CompletedProcess(command, self._code(text), self._output(compose), "")

    def _code(self, text: str) -> int:
        image = text.partition("image inspect")[2].rpartition("simpul-")[2].partition(":")[0]
        return 1 if image and image not in self.images else 0

    def _output(self, compose: str) -> str:
        if compose.startswith("ps --quiet "):
            return f"{compose.rsplit(maxsplit=1)[-1]}-1\n{compose.rsplit(maxsplit=1)[-1]}-2\n"
        if compose.startswith("ps "):
            rows = [{"Service": n, "State": "running", "Health": h, "ExitCode": 0} for n, h in self.started.items()]
            return "\n".join(map(json.dumps, rows))
        return "-----BEGIN CERTIFICATE-----\n" if " cat " in compose else "the last line\n"

    def replaced(self) -> list[str]:
        """Returns the services whose containers were started or replaced, in order."""
        return [command.split()[-1] for command in self.commands if command.startswith("up ")]


def make_checkout(folder: Path) -> Path:
    (folder / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / ".env.example", folder / "deploy")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


@pytest.fixture
def files(checkout: Path) -> CityFiles:
    return CityFiles(checkout, checkout.parent / "data")


def a_setup(files: CityFiles, *, is_demo: bool = False, answers: dict[str, str] | None = None) -> FilesSetup:
    given = answers if answers is not None else (DEMO if is_demo else REAL)
    return FilesSetup(files, ROOT / "deploy" / "kediri", Answers(given), None, utc_now, is_demo)


def run_all(setup: FilesSetup) -> list[str]:
    return [str(step.run()) for step in setup.steps()]


def containers_of(files: CityFiles, docker: FakeDocker, **options: Any) -> ContainersSetup:
    compose = Compose(files.checkout, files.env, docker.run, dict(os.environ))
    ports = {"HTTP_PORT": "0", "HTTPS_PORT": "0", "AMQPS_PORT": "0"}
    return ContainersSetup(files, compose, sleep=lambda _: None, environment=ports, **options)


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> CityFiles:
    folder = tmp_path_factory.mktemp("prepared") / "checkout"
    files = CityFiles(make_checkout(folder), folder.parent / "data")
    run_all(a_setup(files))
    return files


@pytest.fixture
def prepared(files: CityFiles, prepared_once: CityFiles, monkeypatch: pytest.MonkeyPatch) -> CityFiles:
    """A city whose files exist; none is given to another account."""
    shutil.copytree(prepared_once.data, files.data)
    (files.checkout / ".env").symlink_to(files.env)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return files
