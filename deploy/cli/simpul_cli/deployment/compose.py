"""Runs `docker` and `docker compose` for one city, and says in one sentence why a command failed."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from simpul_cli.deployment.refusal import Refusal
from simpul_cli.languages import Message
from simpul_cli.languages import Message as _

Run: TypeAlias = Callable[..., "subprocess.CompletedProcess[str]"]
BUILD_TIMEOUT: Final = 3600.0
"""Seconds for all images on a slow connection."""
COMMAND_TIMEOUT: Final = 600.0
"""Seconds for any other command; the first start may pull images."""
_CAUSES: Final = (
    (
        r"required variable (?:POSTGRES|RABBITMQ)_PASSWORD",
        _("A password is missing in .env, which is of an older version: run `deploy/up settings`, which completes it."),
    ),
    (
        r"Cannot connect to the Docker daemon|Is the docker daemon running|error during connect",
        _("Docker does not answer: start it (sudo systemctl start docker), then run this again."),
    ),
    (
        r"permission denied while trying to connect|Got permission denied",
        _("This account may not use Docker: run as root, or add it to the group docker and log in again."),
    ),
    (
        r"(?:port is already allocated|address already in use)",
        _("A port is in use: stop what listens there, or set HTTP_PORT, HTTPS_PORT or AMQPS_PORT in .env."),
    ),
    (r"no space left on device", _("The disk is full: free some space, then run this again.")),
    (
        r"(?:failed to resolve|pull access denied|error getting credentials|no such host|TLS handshake timeout)",
        _("An image cannot be pulled: check the connection, or name other images in .env (deploy/README.md)."),
    ),
)


@dataclass(frozen=True, slots=True)
class Container:
    """The state of a service's containers, the worst of them if there are several."""

    state: str
    """`running`, `exited`, `restarting`, ..."""
    health: str
    """`healthy`, `unhealthy`, `starting`; empty without a health check."""
    exit_code: int = 0
    count: int = 1

    @property
    def is_up(self) -> bool:
        """Whether it runs and is healthy."""
        return self.state == "running" and self.health in ("", "healthy")

    @property
    def has_ended_well(self) -> bool:
        """Whether it is a job that succeeded."""
        return self.state == "exited" and self.exit_code == 0 and not self.health


@dataclass(frozen=True)
class Compose:
    """The containers of one city."""

    checkout: Path
    env_file: Path
    run_program: Run = subprocess.run
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def docker(self, *arguments: str, within: float = COMMAND_TIMEOUT, stdin: str = "") -> str:
        """Runs `docker`; returns its output, and raises Refusal when it fails."""
        done = self._run(arguments, within, stdin)
        if done.returncode:
            raise Refusal(explain_failure(done.stdout + done.stderr))
        return done.stdout

    def compose(self, *arguments: str, within: float = COMMAND_TIMEOUT, stdin: str = "") -> str:
        """Runs `docker compose`; returns its output, and raises Refusal when it fails."""
        return self.docker(*self._project(), *arguments, within=within, stdin=stdin)

    def run_job(self, service: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Runs a command of a service in a new container, without starting others; raises Refusal when it fails."""
        variables = [f"--env={name}={value}" for name, value in (environment or {}).items()]
        options = ("run", "--rm", "--no-deps", "--no-TTY", "--quiet-pull", *variables)
        return self.compose(*options, service, *arguments)

    def follow(self, *arguments: str) -> int:
        """Runs `docker compose` in the foreground, such as for logs; returns its exit code."""
        command = ["docker", *self._project(), *arguments]
        return self.run_program(command, cwd=self.checkout, env=dict(self.environment), check=False).returncode

    def containers(self) -> dict[str, Container]:
        """Returns the state of each service that has containers."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        found: dict[str, Container] = {}
        for entry in (json.loads(line) for line in lines if line.startswith("{")):
            name = entry["Service"]
            one = Container(entry["State"], entry["Health"], entry["ExitCode"])
            before = found.get(name)
            worst = one if before is None or before.is_up else before
            found[name] = replace(worst, count=before.count + 1 if before else 1)
        return found

    def has_image(self, image: str) -> bool:
        """Whether the engine has an image."""
        return self._run(("image", "inspect", "--format", "{{.Id}}", image), COMMAND_TIMEOUT, "").returncode == 0

    def last_line(self, service: str) -> str:
        """Returns the last line that a service logged, or an empty text."""
        log = self.compose("logs", "--no-color", "--no-log-prefix", "--tail", "5", service)
        return next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "")

    def _project(self) -> Sequence[str]:
        return ("compose", "--ansi", "never", "--progress", "quiet", "--env-file", str(self.env_file))

    def _run(self, arguments: Sequence[str], within: float, stdin: str) -> "subprocess.CompletedProcess[str]":
        try:
            return self.run_program(
                ["docker", *arguments],
                cwd=self.checkout,
                env=dict(self.environment),
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=within,
            )
        except FileNotFoundError as error:
            raise Refusal(_("Docker is not installed: install Docker Engine with Compose v2.")) from error
        except subprocess.TimeoutExpired as error:
            raise Refusal(
                _("`docker {command}` has not ended after {seconds} s.", command=arguments[0], seconds=int(within))
            ) from error


def explain_failure(output: str) -> Message:
    """Finds the cause in what a failed command printed; otherwise its last line."""
    for pattern, sentence in _CAUSES:
        if re.search(pattern, output, re.IGNORECASE):
            return sentence
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return _("{line}", line=lines[-1] if lines else "docker")
