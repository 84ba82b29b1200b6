"""A whole city on this machine, each service in its own process; for the demo and the tests."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from simpul_agency.enrolment import write_secret
from simpul_agency.sandbox.process import answers_http, die_with_parent, free_port
from simpul_agreement import read_agreement
from simpul_agreement.versions import sign_version, signatories
from simpul_city import City
from simpul_cli.agency.accounts import add_all
from simpul_cli.databases import create_databases, migrate_services
from simpul_cli.keys import create_keys, directory_file, key_file
from simpul_cli.topology import prepare_broker
from simpul_dev.backends.acquire import Backends
from simpul_dev.demo.handset import ACCOUNT, PASSWORD, ca_file
from simpul_intake.centre_tokens import add_token
from simpul_intake.vault import create_master_key
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES
from simpul_seal import KeyRing


class NotStarted(Exception):
    """A process of the city did not start; the message shows the end of its log."""


@dataclass
class LocalCity:
    """Keys, databases, topology and processes of one city, in one folder."""

    folder: Path
    backends: Backends
    city_dir: Path
    accept: bool = True
    consuming: tuple[str, ...] = ()
    """Agencies whose consumers run; all of the city's when empty."""
    database_prefix: str = "simpul_"
    environment: dict[str, str] = field(default_factory=dict)
    api_token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    """The token of routing's HTTP API."""
    centre_tokens: dict[str, str] = field(default_factory=dict, repr=False)
    """The token of each complaint centre for intake; every agency of the city is one."""
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.city = City.read(self.city_dir)
        for name in (*SERVICES, "handset", "smtp"):
            self.ports[name] = free_port()

    @property
    def keys(self) -> Path:
        """Where all private keys of this city lie; on one machine only because it is a simulation."""
        return self.folder / "keys"

    @property
    def ledger(self) -> Path:
        """The file in which the agencies record what they received."""
        return self.folder / "received.jsonl"

    def token_of(self, centre: str) -> dict[str, str]:
        """The header by which a complaint centre proves itself to intake."""
        return {"Authorization": f"Bearer {self.centre_tokens[centre]}"}

    @property
    def _centre_tokens_file(self) -> Path:
        return self.folder / "centre-tokens.json"

    def url(self, name: str) -> str:
        """Address of a service or of the handset."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def database_url(self, service: str) -> str:
        """Address of a service's database."""
        return self.backends.database_url(self.database_prefix + service)

    async def prepare(self) -> None:
        """Keys, databases, topology."""
        create_keys(self.keys, (*SERVICES, *(agency.code for agency in self.city.agencies)), utc_now())
        create_master_key(self.folder / "vault.key")
        self.centre_tokens |= {code: add_token(self._centre_tokens_file, code) for code in self.city.agency_codes}
        self._sign_agreement()
        names = {service: self.database_prefix + service for service in SERVICES}
        await create_databases(self.backends.postgres_url, names)
        _, addresses = await asyncio.gather(
            migrate_services({service: self.database_url(service) for service in SERVICES}), self._prepare_broker()
        )
        write_secret(self.folder / "addresses.json", json.dumps(addresses))

    async def _prepare_broker(self) -> dict[str, str]:
        codes = [agency.code for agency in self.city.agencies]
        await prepare_broker(self.backends.rabbitmq_api, self.backends.amqp_url, self.city)
        return await add_all(self.backends.rabbitmq_api, self.backends.amqp_url, codes)

    def _sign_agreement(self) -> None:
        """Every party signs a copy; the agreement in the repository stays unsigned."""
        signed = self.folder / "signed-city"
        shutil.copytree(self.city_dir, signed)
        self.city_dir = signed
        for version in (path.parent for path in (signed / "agreement").glob("*/agreement.yaml")):
            for party in signatories(read_agreement(version, self.city), self.city):
                sign_version(version, KeyRing.read(key_file(self.keys, party)), utc_now())

    def start(self, *names: str) -> None:
        """Start processes: services, `handset`, `agencies`. Call it from the main thread."""
        for name in names:
            self.processes[name] = self._spawn(name, self._command(name))
            if name == "handset":
                self._wait_for_mail_authority()

    def _wait_for_mail_authority(self) -> None:
        """The mailbox makes its certificate when it starts, and notify reads it when it does."""
        deadline = time.monotonic() + 30
        while not ca_file(self.folder).exists():
            if self.processes["handset"].poll() is not None or time.monotonic() > deadline:
                msg = f"handset did not start; see {self.log('handset')}"
                raise NotStarted(msg)
            time.sleep(0.02)

    def wait_ready(self, *names: str, within: float = 60) -> None:
        """Wait until all of them are ready; NotStarted names the one that is not, with its log."""
        deadline = time.monotonic() + within
        for name in names:
            while not self._is_ready(name):
                ended = self.processes[name].poll() is not None
                if ended or time.monotonic() > deadline:
                    tail = self.log(name).read_text(errors="replace")[-1500:]
                    msg = f"{name} {'ended' if ended else 'is not ready'}; the end of {self.log(name)}:\n{tail}"
                    raise NotStarted(msg)
                time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kill a process."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)

    def stop(self) -> None:
        """Stop all processes, and kill those that do not end in time."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 15
        for process in self.processes.values():
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        self.processes.clear()

    def log(self, name: str) -> Path:
        """A process's output."""
        return self.folder / f"{name}.log"

    def _is_ready(self, name: str) -> bool:
        if name == "agencies":
            return (self.folder / "agencies.ready").exists()
        path = "/messages" if name == "handset" else "/health/ready"
        return answers_http(self.url(name) + path)

    def _command(self, name: str) -> list[str]:
        if name == "handset":
            ports = [str(self.ports["handset"]), str(self.ports["smtp"])]
            return ["-m", "simpul_dev", "handset", str(self.folder), *ports]
        if name == "agencies":
            (self.folder / "agencies.ready").unlink(missing_ok=True)
            answer = "--accept" if self.accept else "--no-accept"
            only = [f"--only={code}" for code in self.consuming]
            paths = [str(self.city_dir), str(self.keys), str(self.ledger), str(self.folder / "addresses.json")]
            return ["-m", "simpul_dev", "agencies", *paths, answer, *only]
        return ["-m", f"simpul_{name}"]

    def _spawn(self, name: str, arguments: list[str]) -> "subprocess.Popen[bytes]":
        with self.log(name).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *arguments], env=self._environment(name), stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip

    def _environment(self, name: str) -> dict[str, str]:
        given = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "SIMPUL_AMQP_URL": self.backends.amqp_url,
            "SIMPUL_DIRECTORY_FILE": str(directory_file(self.keys)),
            "SIMPUL_CITY_DIR": str(self.city_dir),
        }
        if name in SERVICES:
            given |= {
                "SIMPUL_DATABASE_URL": self.database_url(name),
                "SIMPUL_KEY_FILE": str(key_file(self.keys, name)),
                "SIMPUL_HTTP_PORT": str(self.ports[name]),
            }
        if name == "intake":
            given["SIMPUL_VAULT_KEY_FILE"] = str(self.folder / "vault.key")
            given["SIMPUL_CENTRE_TOKENS_FILE"] = str(self._centre_tokens_file)
        if name == "routing":
            given["SIMPUL_API_TOKEN"] = self.api_token
        if name == "notify":
            given |= {
                "SIMPUL_KANNEL_URL": f"{self.url('handset')}/cgi-bin/sendsms",
                "SIMPUL_KANNEL_USER": ACCOUNT,
                "SIMPUL_KANNEL_PASSWORD": PASSWORD,
                "SIMPUL_SMTP_HOST": "127.0.0.1",
                "SIMPUL_SMTP_PORT": str(self.ports["smtp"]),
                "SIMPUL_SMTP_USER": ACCOUNT,
                "SIMPUL_SMTP_PASSWORD": PASSWORD,
                "SIMPUL_SMTP_CA_FILE": str(ca_file(self.folder)),
                "SIMPUL_MAIL_FROM": "simpul@kota.example",
            }
        return given | self.environment


ALL = ("handset", "agencies", *SERVICES)
