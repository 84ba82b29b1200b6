"""A copy of the checkout, deployed by Docker Compose as deploy/README.md says."""

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
    """A checkout with its own project name, image version and ports, so that it meets no other on the engine."""

    engine: Engine
    root: Path
    version: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("INTAKE", "ROUTING", "DESK", "AMQPS", "AGENCY_HEALTH", "AGENCY_PAGES", "HANDSET", "SMTP"):
            self.ports[name] = free_port()

    @property
    def agency(self) -> Path:
        """The folder that an agency has on its own machine."""
        return self.root / "deploy" / "agency"

    def simpul(self, *arguments: str) -> str:
        """The operator's command from the checkout's environment."""
        command = [sys.executable, "-m", "simpul_cli", *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def compose(self, *arguments: str, folder: Path | None = None, within: float = 300) -> str:
        """`docker compose` in the root of the checkout, or in another folder of it."""
        where = folder or self.root
        done = self.engine.docker(
            "compose",
            *arguments,
            folder=where,
            within=within,
            **self._environment(f"simpul-{self.version}-{where.name}"),
        )
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}:\n{(done.stdout + done.stderr)[-6000:]}"
        return done.stdout

    def build(self) -> None:
        """Builds every image."""
        # The classic builder shares a layer between images only once it is there: one image after the other.
        one_by_one = self.engine.environment.get("DOCKER_BUILDKIT") == "0"
        for folder in (self.root, self.agency):
            self.compose(*(("--parallel", "1") if one_by_one else ()), "build", folder=folder, within=BUILD)

    def _environment(self, project: str) -> dict[str, str]:
        return {
            "COMPOSE_PROJECT_NAME": project,
            "SIMPUL_VERSION": self.version,
            "INTAKE_PORT": str(self.ports["INTAKE"]),
            "ROUTING_PORT": str(self.ports["ROUTING"]),
            "DESK_PORT": str(self.ports["DESK"]),
            # Only from this machine: a test opens no port to others.
            "AMQPS_PORT": f"127.0.0.1:{self.ports['AMQPS']}",
            "SIMPUL_AGENCY_HEALTH_PORT": str(self.ports["AGENCY_HEALTH"]),
            "SIMPUL_AGENCY_PAGES_PORT": str(self.ports["AGENCY_PAGES"]),
        }

    def as_root(self, *command: str) -> str:
        """A command in the root of the checkout, with which files are given to the accounts of the containers."""
        mounted = ("--volume", f"{self.root}:/checkout", "--workdir", "/checkout", "--entrypoint", command[0])
        image = f"simpul-cli:{self.version}"
        done = self.engine.docker("run", "--rm", "--user=0", "--network=none", *mounted, image, *command[1:])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def states(self) -> dict[str, tuple[str, str, int]]:
        """Service -> (state, health, exit code) of its container."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        containers = [json.loads(line) for line in lines if line.startswith("{")]
        return {found["Service"]: (found["State"], found["Health"], found["ExitCode"]) for found in containers}

    def logs(self) -> str:
        """What every container has written."""
        return self.compose("logs", "--no-color", "--tail", "60")

    def down(self) -> None:
        """Ends what was started and removes its volumes."""
        for folder in (self.agency, self.root):
            self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", folder=folder)

    def remove_images(self) -> None:
        """Removes what was built; a private engine keeps the newest images for the next run, which builds less."""
        listed = self.engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        ours = [name for name in listed if re.fullmatch(r"simpul-\w+:test-[0-9a-f]{8}", name)]
        removed = [name for name in ours if name.endswith(self.version) != self.engine.is_private]
        if removed:
            self.engine.docker("image", "rm", *removed)

    def left_over(self) -> list[str]:
        """Containers, networks and volumes of this deployment that are still there."""
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
    """A fresh checkout with `.env`, keys and certificates, and every image built."""
    found = Deployment(engine, tmp_path_factory.mktemp("compose") / "checkout")
    _copy_checkout(found.root)
    told = found.simpul("prepare", "--host", "127.0.0.1")
    if engine.is_private:
        _build_on_host_network(found.root)
        _build_on_host_network(found.agency)
    found.build()
    for line in told.splitlines():
        # Printed only where `prepare` does not run as root.
        if line.startswith("next: sudo "):
            found.as_root(*line.removeprefix("next: sudo ").split())
    yield found
    # Files of other accounts, which pytest could not remove.
    found.as_root("rm", "-rf", "deploy/secrets", "deploy/tls", "deploy/agency/data")
    found.down()
    found.remove_images()


def _copy_checkout(target: Path) -> None:
    """The files that a clone of the repository would have, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def _build_on_host_network(folder: Path) -> None:
    """Compose reads this file by itself; it changes how images are built and nothing of what runs."""
    services = YAML(typ="safe").load((folder / "docker-compose.yml").read_text())["services"]
    built = {name: {"build": {"network": "host"}} for name, service in services.items() if "build" in service}
    YAML(typ="safe").dump({"services": built}, folder / "docker-compose.override.yml")
