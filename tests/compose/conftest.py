"""A copy of the checkout, from which `deploy/up --demo` starts a city with Docker Compose."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from ruamel.yaml import YAML

from simpul_agency.sandbox.process import free_port
from simpul_cli.deployment.city_files import CityFiles
from tests.support.docker_engine import Engine, EngineImpossible, EngineUnavailable, docker_engine

ROOT = Path(__file__).parents[2]
BUILD = 1500.0
"""Seconds for all images without any cache."""


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine; in CI its absence is a failure unless this machine cannot have one at all."""
    try:
        with docker_engine() as found:
            yield found
    except EngineImpossible as error:
        pytest.skip(f"THE COMPOSE FILE WAS NOT TRIED: {error}")
    except EngineUnavailable as error:
        if os.environ.get("CI"):
            pytest.fail(f"THE COMPOSE FILE WAS NOT TRIED: {error}", pytrace=False)
        pytest.skip(f"THE COMPOSE FILE WAS NOT TRIED: {error}")


@dataclass
class Deployment:
    """A checkout whose project name, image version and ports differ from any other on the engine."""

    engine: Engine
    root: Path
    version: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("HTTP", "HTTPS", "AMQPS", "HANDSET", "AGENCY_HEALTH", "AGENCY_PAGES", "PROMETHEUS"):
            self.ports[name] = free_port()

    @property
    def agency(self) -> Path:
        """The folder that an agency has on its own machine."""
        return self.root / "deploy" / "agency"

    @property
    def data(self) -> Path:
        """The folder of the city's data."""
        return self.root.parent / "data"

    @property
    def files(self) -> CityFiles:
        """The files of the city."""
        return CityFiles(self.root, self.data)

    def city(self, *arguments: str, within: float = 600) -> str:
        """Runs `simpul city` as `deploy/up` does, with the checkout's environment."""
        command = [sys.executable, "-m", "simpul_cli", "city", *arguments, "--language", "en"]
        environment = {**self.engine.environment, **self._environment(self.root)}
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=within
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, *command: str, expected: tuple[int, ...] = (0,), within: float = 600) -> str:
        """Runs a script of the checkout."""
        environment = {**self.engine.environment, **self._environment(self.root), "LANG": "en_US.UTF-8"}
        done = subprocess.run(
            ["sh", *command],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=within,
        )
        assert done.returncode in expected, done.stdout + done.stderr
        return done.stdout

    def compose(self, *arguments: str, folder: Path | None = None, within: float = 300) -> str:
        """Runs `docker compose` in the root of the checkout or in another of its folders."""
        where = folder or self.root
        done = self.engine.docker("compose", *arguments, folder=where, within=within, **self._environment(where))
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}:\n{(done.stdout + done.stderr)[-6000:]}"
        return done.stdout

    def _environment(self, folder: Path) -> dict[str, str]:
        # Loopback only: a test opens no port to other machines.
        loopback = {f"{name}_PORT": f"127.0.0.1:{self.ports[name]}" for name in ("HTTP", "HTTPS", "AMQPS")}
        return loopback | {
            "COMPOSE_PROJECT_NAME": f"simpul-{self.version}-{folder.name}",
            "SIMPUL_VERSION": self.version,
            "HANDSET_PORT": str(self.ports["HANDSET"]),
            "PROMETHEUS_PORT": str(self.ports["PROMETHEUS"]),
            "AGENCY_BROKER": f"amqps://localhost:{self.ports['AMQPS']}/",
            "SIMPUL_AGENCY_HEALTH_PORT": str(self.ports["AGENCY_HEALTH"]),
            "SIMPUL_AGENCY_WEB_INBOX_PORT": str(self.ports["AGENCY_PAGES"]),
            # The classic builder shares finished layers only, so images are built one after another.
            **({"COMPOSE_PARALLEL_LIMIT": "1"} if self.engine.environment.get("DOCKER_BUILDKIT") == "0" else {}),
        }

    def set(self, **values: str) -> None:
        """Adds settings to .env, as an operator does; the last line of a name counts."""
        with (self.data / ".env").open("a") as settings:
            settings.writelines(f"{name}={value}\n" for name, value in values.items())

    @property
    def backups(self) -> Path:
        """The folder of backups."""
        return Path(self.files.settings()["SIMPUL_BACKUPS"])

    def simpul(self, *arguments: str) -> str:
        """Runs `simpul` on the machine itself."""
        command = [sys.executable, "-m", "simpul_cli", *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def operator(self, *arguments: str, options: tuple[str, ...] = (), expected: tuple[int, ...] = (0,)) -> str:
        """Runs `simpul` in the operator's container as root, which reads the keys of every account."""
        command = ("compose", "run", "--rm", "--no-TTY", "--user=0", *options, "operator", *arguments)
        done = self.engine.docker(*command, folder=self.root, within=600, **self._environment(self.root))
        assert done.returncode in expected, f"simpul {' '.join(arguments)}:\n{(done.stdout + done.stderr)[-6000:]}"
        return done.stdout

    def as_root(self, *command: str) -> str:
        """Runs a command as root next to the checkout, such as to give files to the accounts of the containers."""
        mounted = ("--volume", f"{self.root.parent}:/work", "--workdir", "/work", "--entrypoint", command[0])
        image = f"simpul-cli:{self.version}"
        done = self.engine.docker("run", "--rm", "--user=0", "--network=none", *mounted, image, *command[1:])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def containers(self) -> dict[str, str]:
        """Returns the id of each service's container."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        return {found["Service"]: found["ID"] for found in map(json.loads, lines)}

    def logs(self) -> str:
        """Returns the end of every container's log."""
        return self.compose("logs", "--no-color", "--tail", "60")

    def down(self) -> None:
        """Stops the containers and removes their volumes."""
        self.compose("down", "--volumes", "--remove-orphans", folder=self.agency)
        self.city("down", "--volumes", "--yes")

    def remove_images(self) -> None:
        """Removes the images; a private engine keeps the newest ones as a cache for the next run."""
        listed = self.engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        ours = [name for name in listed if re.fullmatch(r"simpul-\w+:test-[0-9a-f]{8}", name)]
        removed = [name for name in ours if name.endswith(self.version) != self.engine.is_private]
        if removed:
            self.engine.docker("image", "rm", *removed)

    def left_over(self) -> list[str]:
        """Lists containers, networks and volumes of this deployment that still exist."""
        kinds = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        project = f"label=com.docker.compose.project=simpul-{self.version}"
        found = [
            self.engine.docker(*kind, "--quiet", "--filter", f"{project}-{folder.name}").stdout.split()
            for kind in kinds
            for folder in (self.root, self.agency)
        ]
        return [name for names in found for name in names]


@pytest.fixture(scope="session")
def deployment(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A fresh checkout from which one command has started a demonstration, with every image built."""
    found = Deployment(engine, tmp_path_factory.mktemp("compose") / "checkout")
    _copy_checkout(found.root)
    if engine.is_private:
        _build_on_host_network(found.root)
        _build_on_host_network(found.agency)
    try:
        print(found.city("up", "--demo", "--data", str(found.data), within=BUILD))
    except AssertionError:
        if (found.data / ".env").exists():
            print(found.logs())
        raise
    found.compose("build", folder=found.agency, within=BUILD)
    yield found
    found.down()
    # These files belong to other accounts, so pytest cannot remove them.
    found.as_root("rm", "-rf", "data", "checkout/deploy/agency/data")
    found.remove_images()


def _copy_checkout(target: Path) -> None:
    """Copies the present content of the files that a clone of the repository would have."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _build_on_host_network(folder: Path) -> None:
    """Writes an override that Compose reads by itself; it changes how images are built, not what runs."""
    services = YAML(typ="safe").load((folder / "docker-compose.yml").read_text())["services"]
    built = {name: {"build": {"network": "host"}} for name, service in services.items() if "build" in service}
    YAML(typ="safe").dump({"services": built}, folder / "docker-compose.override.yml")
