"""A city with two processes of each service behind the real gateway, which restarts one process after another."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from simpul_agency.sandbox.process import answers_http, free_port, spawn, stop_process, wait_until
from simpul_dev.local_city import LocalCity
from simpul_schema.catalog import SERVICES

_CADDYFILE = Path(__file__).parents[2] / "deploy" / "gateway" / "Caddyfile"
_STOP_TIMEOUT = 60.0
"""Seconds until a process has finished what it had begun."""


@dataclass
class ReplicatedCity(LocalCity):
    """A city whose processes `intake` and `intake-2` share the work of intake, and so on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.second:
            self.ports[name], self.metrics_ports[name] = free_port(), free_port()

    @property
    def second(self) -> tuple[str, ...]:
        """The second process of each service."""
        return tuple(f"{service}-2" for service in SERVICES)

    def _command(self, name: str) -> list[str]:
        return super()._command(name.removesuffix("-2"))

    def _environment(self, name: str) -> dict[str, str]:
        environment = super()._environment(name.removesuffix("-2"))
        if name in self.second:
            environment["SIMPUL_HTTP_PORT"] = str(self.ports[name])
            environment["SIMPUL_METRICS_PORT"] = str(self.metrics_ports[name])
        return environment

    def end(self, name: str) -> None:
        """Ends a process as Docker does; it finishes what it has begun."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_TIMEOUT)


@dataclass
class Gateway:
    """The gateway with its own rules, which finds the processes by their ports instead of by Docker's names."""

    city: ReplicatedCity

    def __post_init__(self) -> None:
        self.folder = self.city.folder / "gateway"
        self.folder.mkdir()
        self.port, self._health = free_port(), f"http://127.0.0.1:{free_port()}"
        rules = self.folder / "Caddyfile"
        rules.write_text(self._rules())
        environment = {
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "PATH": os.defpath,
            "XDG_CONFIG_HOME": str(self.folder / "configuration"),
            "SITE_HOST": "localhost",
        }
        program, log = Path(sys.executable).with_name("caddy"), self.folder / "log"
        command = [str(program), "run", "--config", str(rules), "--adapter", "caddyfile"]
        self._process: subprocess.Popen[bytes] = spawn(
            command, log=log, env=environment, death_signal=signal.SIGTERM, account={}
        )
        wait_until(self._shows_its_certificate, self._process, log=log, timeout=60, name="the gateway")

    def _shows_its_certificate(self) -> bool:
        """Whether it has issued the site's certificate, which it does after it listens."""
        if not (self._authority.exists() and answers_http(self._health)):
            return False
        try:
            with socket.create_connection(("localhost", self.port), timeout=5) as plain:
                self.trust().wrap_socket(plain, server_hostname="localhost").close()
        except OSError:
            return False
        return True

    def _rules(self) -> str:
        text = _CADDYFILE.read_text().replace("http://127.0.0.1:2020", self._health)
        text = text.replace("admin off", f"admin off\n\thttp_port {free_port()}\n\thttps_port {self.port}", 1)

        def addresses(found: re.Match[str]) -> str:
            names = (found[1], f"{found[1]}-2")
            return f"to {' '.join(f'127.0.0.1:{self.city.ports[name]}' for name in names)}"

        text, count = re.subn(r"dynamic a (\w+) 8000 \{[^}]*\}", addresses, text)
        assert count == len(SERVICES)
        return text

    @property
    def url(self) -> str:
        """The address of the city's site."""
        return f"https://localhost:{self.port}"

    @property
    def _authority(self) -> Path:
        return self.folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def trust(self) -> ssl.SSLContext:
        """Trusts the gateway's own authority only."""
        return ssl.create_default_context(cafile=str(self._authority))

    def stop(self) -> None:
        """Ends the gateway."""
        stop_process(self._process, signal.SIGTERM, timeout=20)
