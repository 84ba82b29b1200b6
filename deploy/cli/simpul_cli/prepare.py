"""Creates the files that docker-compose.yml needs and that no repository may contain."""

import os
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from simpul_agency.enrolment import write_secret
from simpul_cli.agency.certificates import Authority
from simpul_cli.keys import init_city, key_file, vault_file
from simpul_intake.vault import create_master_key
from simpul_schema.catalog import SERVICES

SERVICE_ACCOUNT = 10001
"""The account in Simpul's images."""
BROKER_ACCOUNT = 999
"""The account in RabbitMQ's image."""
_GENERATED = re.compile(r"^(\w*(?:POSTGRES|RABBITMQ)_PASSWORD\w*|ROUTING_API_TOKEN)=.*$", re.MULTILINE)
_KNOWN = re.compile(r"^(AGENCY_BROKER|OPERATOR_UID)=.*$", re.MULTILINE)


class PartlyPrepared(Exception):
    """A set of files is incomplete; the message names the missing ones."""


class Preparation:
    """The files of one checkout. Each set is created as a whole, and existing files are never replaced."""

    def __init__(self, root: Path) -> None:
        self.secrets, self.tls = root / "deploy" / "secrets", root / "deploy" / "tls"
        self.directory = root / "deploy" / "directory" / "directory.json"
        self.example, self.env = root / "deploy" / ".env.example", root / ".env"
        self.key_files = [*(key_file(self.secrets, service) for service in SERVICES), vault_file(self.secrets)]
        self.broker_key = self.tls / "broker.key"

    def create_keys(self, now: datetime) -> bool:
        """Keys of the services, the vault's key and the directory of public keys; False when they exist."""

        def create() -> None:
            init_city(self.secrets, SERVICES, self.directory, now, create_master_key)

        return _create_set((*self.key_files, self.directory), create)

    def create_certificates(self, city: str, hosts: Sequence[str], now: datetime) -> bool:
        """The city's authority and the broker's certificate; False when they exist."""
        names = ("authority.pem", "broker.pem", "broker.key")
        return _create_set([self.tls / name for name in names], lambda: self._write_certificates(city, hosts, now))

    def _write_certificates(self, city: str, hosts: Sequence[str], now: datetime) -> None:
        authority = Authority.create(city, now)
        certificate, key = authority.for_broker(hosts, now)
        authority.write(self.tls)
        write_secret(self.broker_key, key)
        (self.tls / "broker.pem").write_text(certificate)

    def create_env(self, host: str) -> bool:
        """`.env` with random passwords; the accounts at the gateway and the mail server stay to be filled in."""
        return _create_set([self.env], lambda: write_secret(self.env, _filled_in(self.example.read_text(), host)))

    def open_values(self) -> list[str]:
        """Settings in `.env` that still have the example's value."""
        lines = self.env.read_text().splitlines()
        examples = {line for line in self.example.read_text().splitlines() if "example" in line or "replace-me" in line}
        return [line.partition("=")[0] for line in lines if line in examples and not line.startswith("#")]

    def owners(self) -> dict[int, list[Path]]:
        """Account in the containers -> files that must belong to it and do not yet."""
        wanted = {SERVICE_ACCOUNT: self.key_files, BROKER_ACCOUNT: [self.broker_key]}
        wrong = {uid: [path for path in paths if path.stat().st_uid != uid] for uid, paths in wanted.items()}
        return {uid: paths for uid, paths in wrong.items() if paths}

    def give_away(self) -> None:
        """Gives each file to the account that reads it; only root may."""
        for uid, paths in self.owners().items():
            for path in paths:
                os.chown(path, uid, -1)


def _create_set(paths: Sequence[Path], create: Callable[[], None]) -> bool:
    missing = [path for path in paths if not path.exists()]
    if not missing:
        return False
    if len(missing) < len(paths):
        msg = f"{', '.join(map(str, missing))} missing, but others of the set are there: restore the backup"
        raise PartlyPrepared(msg)
    create()
    return True


def _filled_in(example: str, host: str) -> str:
    known = {"AGENCY_BROKER": f"amqps://{host}:5671/", "OPERATOR_UID": str(os.getuid())}
    filled = _GENERATED.sub(lambda found: f"{found[1]}={secrets.token_hex(24)}", example)
    return _KNOWN.sub(lambda found: f"{found[1]}={known[found[1]]}", filled)
