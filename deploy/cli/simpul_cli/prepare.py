"""Creates the files that docker-compose.yml needs: keys, certificates and `.env`."""

import os
import re
import secrets
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from simpul_agency.enrolment import write_secret
from simpul_cli.agency.certificates import Authority
from simpul_cli.deployment.env_file import write_env
from simpul_cli.keys import directory_file, init_city, key_file, vault_file
from simpul_cli.staging import create_set
from simpul_intake.vault import create_master_key
from simpul_schema.catalog import SERVICES

SERVICE_ACCOUNT = 10001
"""User id in Simpul's images."""
BROKER_ACCOUNT = 999
"""User id in RabbitMQ's image."""
_GENERATED = re.compile(r"^(\w*(?:POSTGRES|RABBITMQ)_PASSWORD\w*)=", re.MULTILINE)
RENEW_BEFORE: Final = timedelta(days=60)
"""A certificate that ends sooner is renewed by the next `up`."""


class Preparation:
    """The files of one city. Each set is created as a whole, and existing files are never replaced."""

    def __init__(self, checkout: Path, data: Path | None = None) -> None:
        """Takes the folder of the city's data; `deploy` in the checkout when omitted."""
        self.data = data or checkout / "deploy"
        self.secrets, self.tls = self.data / "secrets", self.data / "tls"
        self.directory = self.data / "directory" / "directory.json"
        self.example = checkout / "deploy" / ".env.example"
        self.env = data / ".env" if data else checkout / ".env"
        self.key_files = [*(key_file(self.secrets, service) for service in SERVICES), vault_file(self.secrets)]
        self.broker_key = self.tls / "broker" / "broker.key"

    def create_keys(self, now: datetime) -> bool:
        """Creates the keys of services and vault and the directory of public keys; returns False when they exist."""

        def create(stage: Path) -> None:
            init_city(stage, SERVICES, directory_file(stage), now, create_master_key)

        files = {path.name: path for path in (*self.key_files, self.directory)}
        is_new = create_set(files, self.secrets / "new" / "stage", create)
        if is_new:
            self.secrets.chmod(0o700)
            shutil.rmtree(self.secrets / "new")
        return is_new

    def create_certificates(self, city: str, hosts: Sequence[str], now: datetime) -> bool:
        """Creates the city's authority and the broker's certificate; returns False when they exist."""
        authority = {name: self.tls / name for name in ("authority.key", "authority.pem")}
        broker = {name: self.tls / "broker" / name for name in ("broker.pem", "broker.key")}

        def create(stage: Path) -> None:
            created = Authority.create(city, now)
            created.write(stage)
            write_broker_certificate(created, stage, hosts, now)

        # The operator may keep the authority's private key elsewhere.
        wanted = authority if not broker["broker.key"].exists() else {"authority.pem": authority["authority.pem"]}
        is_new = create_set(wanted | broker, self.tls / "new", create)
        shown = self.tls / "broker" / "authority.pem"
        if not shown.exists():
            shutil.copyfile(self.tls / "authority.pem", shown)
        return is_new

    def renew_broker_certificate(self, hosts: Sequence[str], now: datetime) -> bool:
        """Replaces a broker's certificate that ends soon; returns False when it does not.

        Raises FileNotFoundError when the authority's private key is kept elsewhere.
        """
        folder = self.broker_key.parent
        stage = self.tls / "renewed"
        if not (stage / "complete").exists():
            if ends_at(folder / "broker.pem") - now > RENEW_BEFORE:
                return False
            shutil.rmtree(stage, ignore_errors=True)
            authority = Authority.read(self.tls)
            stage.mkdir(mode=0o700)
            write_broker_certificate(authority, stage, hosts, now)
            (stage / "complete").touch()
        # A run that was killed in between is completed by the next one.
        for name in ("broker.key", "broker.pem"):
            if (stage / name).exists():
                if os.geteuid() == 0 and name == "broker.key":
                    os.chown(stage / name, BROKER_ACCOUNT, -1)
                (stage / name).replace(folder / name)
        shutil.rmtree(stage)
        return True

    def create_env(self, host: str) -> bool:
        """Creates `.env` with random passwords, without the accounts at the SMS gateway and the mail server."""
        if self.env.exists():
            return False
        example = self.example.read_text()
        known = {"SITE_HOST": host, "AGENCY_BROKER": f"amqps://{host}:5671/", "OPERATOR_UID": str(os.getuid())}
        write_env(self.env, random_settings(example) | known, example)
        return True

    def missing_values(self) -> list[str]:
        """Names the settings in `.env` that are empty; Docker Compose refuses to start without them."""
        return re.findall(r"^(\w+)=$", self.env.read_text(), re.MULTILINE)

    def owners(self) -> dict[int, list[Path]]:
        """Returns the files that do not yet belong to the account that reads them, by user id in the containers."""
        wanted = {SERVICE_ACCOUNT: self.key_files, BROKER_ACCOUNT: [self.broker_key]}
        wrong = {uid: [path for path in paths if path.stat().st_uid != uid] for uid, paths in wanted.items()}
        return {uid: paths for uid, paths in wrong.items() if paths}

    def give_to_owners(self) -> None:
        """Gives each file to the account that reads it; requires root."""
        for uid, paths in self.owners().items():
            for path in paths:
                os.chown(path, uid, -1)


def write_broker_certificate(authority: Authority, folder: Path, hosts: Sequence[str], now: datetime) -> None:
    """Writes `broker.pem` and `broker.key` into a folder that has neither."""
    certificate, key = authority.for_broker(hosts, now)
    write_secret(folder / "broker.key", key)
    (folder / "broker.pem").write_text(certificate)


def ends_at(certificate: Path) -> datetime:
    """Returns when a certificate in PEM ends."""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def random_settings(example: str) -> dict[str, str]:
    """Returns a random value for each password and token of the example."""
    return {name: secrets.token_hex(24) for name in _GENERATED.findall(example)}
