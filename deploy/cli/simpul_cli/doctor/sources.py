"""Where the doctor finds a city: folders, databases, broker. What is not given is not examined."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from simpul_city import City
from simpul_cli.deployment.env_file import read_env
from simpul_seal import Directory


@dataclass(frozen=True)
class Sources:
    """The places of one city."""

    city_dir: Path
    data: Path | None = None
    """The folder of the city's data: secrets, tls, directory, `.env`."""
    backups: Path | None = None
    compose_file: Path | None = None
    databases: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Service -> address."""
    rabbitmq_api: str = field(default="", repr=False)
    broker_host: str = ""
    """Host and port of the broker's TLS listener."""
    broker_passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of the broker users of services and operator."""

    def settings(self) -> dict[str, str] | None:
        """Reads `.env`; None where it is not visible."""
        env = self.data / ".env" if self.data else None
        return read_env(env) if env and env.exists() else None

    def read_city(self) -> City | None:
        """Reads the city; None when it cannot be read, which a check of its own reports."""
        try:
            return City.read(self.city_dir)
        except Exception:
            return None

    def read_directory(self) -> Directory | None:
        """Reads the public keys; None when they cannot be read, which a check of its own reports."""
        if self.data is None:
            return None
        try:
            return Directory.read(self.data / "directory" / "directory.json")
        except (OSError, ValueError, KeyError):
            return None
