"""A whole city on this machine, each service in its own process; for the demo and the tests."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from simpul_agency.broker_api import BrokerApi
from simpul_agency.command.files import AgencyFiles
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
from simpul_dev.demo.handset import ACCOUNT, PASSWORD, REPLY_TOKEN, ca_file
from simpul_intake.centre_tokens import add_token
from simpul_intake.vault import create_master_key
from simpul_routing.domain.actors import Actor
from simpul_routing.operator_tokens import issue_token
from simpul_runtime.database import utc_now
from simpul_schema.catalog import SERVICES
from simpul_schema.names import service_inbox, service_user
from simpul_schema.vocabulary import ActorRole
from simpul_seal import KeyRing

START_TIMEOUT: Final = 300.0
"""Seconds; a slow machine with much else to do needs more than a minute."""


class NotStarted(Exception):
    """A process of the city did not start; the message shows the end of its log."""


@dataclass
class LocalCity:
    """Keys, databases, topology and processes of one city, in one folder."""

    folder: Path
    backends: Backends
    city_dir: Path
    accept_after: float | None = 0.0
    """Seconds after which agencies accept what they receive; None if they accept nothing."""
    consuming: tuple[str, ...] = ()
    """Agencies whose consumers run; all of the city's when empty."""
    hosted: tuple[str, ...] = ()
    """Agencies that work at the desk; their consumers run in it."""
    database_prefix: str = "simpul_"
    _broker_password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    """Of the services' broker users."""
    environment: dict[str, str] = field(default_factory=dict)
    centre_tokens: dict[str, str] = field(default_factory=dict, repr=False)
    """The token of each complaint centre for intake; every agency of the city is one."""
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    metrics_ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.city = City.read(self.city_dir)
        for name in (*SERVICES, "handset", "smtp"):
            self.ports[name] = free_port()
        for name in SERVICES:
            self.metrics_ports[name] = free_port()

    @property
    def keys(self) -> Path:
        """The folder of all private keys; they are on one machine because this city is simulated."""
        return self.folder / "keys"

    @property
    def ledger(self) -> Path:
        """The file in which the agencies record what they received."""
        return self.folder / "received.jsonl"

    def token_of(self, centre: str) -> dict[str, str]:
        """Returns the header with which a complaint centre authenticates to intake."""
        return {"Authorization": f"Bearer {self.centre_tokens[centre]}"}

    @property
    def coordinator_token(self) -> Path:
        """The file with the token of the hub's coordinator, for `simpul case`."""
        return self.folder / "coordinator.token.json"

    @property
    def hosted_dir(self) -> Path:
        """The folder of the agencies that work at the desk."""
        return self.folder / "hosted"

    @property
    def _centre_tokens_file(self) -> Path:
        return self.folder / "centre-tokens.json"

    def url(self, name: str) -> str:
        """Returns the address of a service or of the handset."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def metrics_url(self, service: str) -> str:
        """Returns the address of a service's metrics."""
        return f"http://127.0.0.1:{self.metrics_ports[service]}/metrics"

    def database_url(self, service: str) -> str:
        """Returns the address of a service's database."""
        return self.backends.database_url(self.database_prefix + service)

    async def prepare(self) -> None:
        """Creates keys, databases and topology; raises NotStarted on a broker with a running city."""
        await self._refuse_second_city()
        create_keys(self.keys, (*SERVICES, *(agency.code for agency in self.city.agencies)), utc_now())
        create_master_key(self.folder / "vault.key")
        self.centre_tokens |= {code: add_token(self._centre_tokens_file, code) for code in self.city.agency_codes}
        hub = Actor(uuid4(), "uptd-ppa", ActorRole.COORDINATOR)
        issue_token(self.folder / "tokens.json", hub, utc_now(), timedelta(days=30)).write(self.coordinator_token)
        self._sign_agreement()
        names = {service: self.database_prefix + service for service in SERVICES}
        await create_databases(self.backends.postgres_url, names)
        _, addresses = await asyncio.gather(
            migrate_services({service: self.database_url(service) for service in SERVICES}), self._prepare_broker()
        )
        write_secret(self.folder / "addresses.json", json.dumps(addresses))
        for code in self.hosted:
            self._host(code, addresses[code])

    def _host(self, code: str, amqp_url: str) -> None:
        """Writes the folder of an agency that works at the desk."""
        files = AgencyFiles(self.hosted_dir / code)
        files.folder.mkdir(parents=True, mode=0o700)
        shutil.copy(key_file(self.keys, code), files.keys)
        files.update_settings({"CITY": self.city.code, "CODE": code, "AMQP_URL": amqp_url})

    async def _prepare_broker(self) -> dict[str, str]:
        codes = [agency.code for agency in self.city.agencies]
        # Services have the permissions that they have in production.
        passwords = dict.fromkeys(SERVICES, self._broker_password)
        await prepare_broker(self.backends.rabbitmq_api, self.backends.amqp_url, self.city, passwords)
        return await add_all(self.backends.rabbitmq_api, self.backends.amqp_url, codes)

    def _broker_url(self, user: str) -> str:
        parts = urlsplit(self.backends.amqp_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{user}:{self._broker_password}@{host}"))

    async def _refuse_second_city(self) -> None:
        """Two cities on one broker would consume each other's messages."""
        async with BrokerApi(self.backends.rabbitmq_api) as api:
            consumers = await api.call("GET", "consumers", "{vhost}") or []
        if {consumer["queue"]["name"] for consumer in consumers} & set(map(service_inbox, SERVICES)):
            msg = "another city runs on this broker; give this one a broker of its own"
            raise NotStarted(msg)

    def _sign_agreement(self) -> None:
        """Signs a copy for every party; the agreement in the repository stays unsigned."""
        signed = self.folder / "signed-city"
        shutil.copytree(self.city_dir, signed)
        self.city_dir = signed
        for version in (path.parent for path in (signed / "agreement").glob("*/agreement.yaml")):
            for party in signatories(read_agreement(version, self.city), self.city):
                sign_version(version, KeyRing.read(key_file(self.keys, party)), utc_now())

    def start(self, *names: str) -> None:
        """Starts processes: services, `handset`, `agencies`. Must be called from the main thread."""
        for name in names:
            self.processes[name] = self._spawn(name, self._command(name))
            if name == "handset":
                self._wait_for_mail_authority()

    def _wait_for_mail_authority(self) -> None:
        """Waits until the mailbox has created its certificate, which notify reads when it starts."""
        self._wait("handset", ca_file(self.folder).exists, time.monotonic() + START_TIMEOUT)

    def wait_ready(self, *names: str) -> None:
        """Waits until the processes are ready; raises NotStarted with the log of one that is not."""
        deadline = time.monotonic() + START_TIMEOUT
        for name in names:
            self._wait(name, partial(self._is_ready, name), deadline)

    def _wait(self, name: str, is_started: Callable[[], bool], deadline: float) -> None:
        while not is_started():
            ended = self.processes[name].poll() is not None
            if ended or time.monotonic() > deadline:
                if not ended:
                    show_where_it_waits(self.processes[name])
                tail = self.log(name).read_text(errors="replace")[-1500:]
                msg = f"{name} {'ended' if ended else 'is not ready'}; the end of {self.log(name)}:\n{tail}"
                raise NotStarted(msg)
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Kills a process."""
        process = self.processes.pop(name)
        process.kill()
        process.wait(10)

    def stop(self) -> None:
        """Stops all processes, and kills those that do not end in time."""
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
        """Returns the file with a process's output."""
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
            accept = [] if self.accept_after is None else [f"--accept-after={self.accept_after}"]
            elsewhere = sorted(self.city.agency_codes - set(self.hosted)) if self.hosted else ()
            only = [f"--only={code}" for code in self.consuming or elsewhere]
            paths = [str(self.city_dir), str(self.keys), str(self.ledger), str(self.folder / "addresses.json")]
            return ["-m", "simpul_dev", "agencies", *paths, *accept, *only]
        return ["-m", f"simpul_{name}"]

    def _spawn(self, name: str, arguments: list[str]) -> "subprocess.Popen[bytes]":
        with self.log(name).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *arguments],
                env=self._environment(name),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _environment(self, name: str) -> dict[str, str]:
        given = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            # So that the log of a process that does not start is never empty.
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            # As in images: a process of few threads gains nothing from more than one heap.
            "MALLOC_ARENA_MAX": "1",
            # What a large batch took is given back.
            "MALLOC_MMAP_THRESHOLD_": "65536",
            "MALLOC_TRIM_THRESHOLD_": "65536",
            # Without the columns of each expression in tracebacks, of which logs show none.
            "PYTHONNODEBUGRANGES": "1",
            "SIMPUL_AMQP_URL": self.backends.amqp_url,
            "SIMPUL_DIRECTORY_FILE": str(directory_file(self.keys)),
            "SIMPUL_CITY_DIR": str(self.city_dir),
        }
        if name in SERVICES:
            given |= {
                "SIMPUL_AMQP_URL": self._broker_url(service_user(name)),
                "SIMPUL_DATABASE_URL": self.database_url(name),
                "SIMPUL_KEY_FILE": str(key_file(self.keys, name)),
                "SIMPUL_HTTP_PORT": str(self.ports[name]),
                "SIMPUL_METRICS_PORT": str(self.metrics_ports[name]),
            }
        if name == "intake":
            given["SIMPUL_VAULT_KEY_FILE"] = str(self.folder / "vault.key")
            given["SIMPUL_CENTRE_TOKENS_FILE"] = str(self._centre_tokens_file)
            # Here all reports come from one machine.
            given |= {"SIMPUL_REPORTS_PER_ADDRESS": "0", "SIMPUL_REPORTS_PER_CENTRE": "0"}
        if name == "desk":
            given["SIMPUL_ROUTING_URL"] = self.url("routing")
            given["SIMPUL_NOTIFY_URL"] = self.url("notify")
            given["SIMPUL_INTAKE_URL"] = self.url("intake")
            if self.hosted:
                given["SIMPUL_HOSTED_DIR"] = str(self.hosted_dir)
        if name == "routing":
            given["SIMPUL_TOKENS_FILE"] = str(self.folder / "tokens.json")
        if name == "notify":
            given |= {
                "SIMPUL_KANNEL_URL": f"{self.url('handset')}/cgi-bin/sendsms",
                "SIMPUL_KANNEL_USER": ACCOUNT,
                "SIMPUL_KANNEL_PASSWORD": PASSWORD,
                "SIMPUL_KANNEL_REPLY_TOKEN": REPLY_TOKEN,
                "SIMPUL_SMTP_HOST": "127.0.0.1",
                "SIMPUL_SMTP_PORT": str(self.ports["smtp"]),
                "SIMPUL_SMTP_USER": ACCOUNT,
                "SIMPUL_SMTP_PASSWORD": PASSWORD,
                "SIMPUL_SMTP_CA_FILE": str(ca_file(self.folder)),
                "SIMPUL_MAIL_FROM": "simpul@kota.example",
                "SIMPUL_REPORT_URL": self.url("notify"),
                "SIMPUL_PUBLIC_URL": self.url("notify"),
                # Here the cases of months come within minutes.
                "SIMPUL_MESSAGES_PER_HOUR": "100000",
                "SIMPUL_URGENT_MESSAGES_PER_HOUR": "100000",
            }
        return given | self.environment


ALL = ("handset", "agencies", *SERVICES)


def show_where_it_waits(process: "subprocess.Popen[bytes]") -> None:
    """Ends a Python process that runs with `PYTHONFAULTHANDLER`; it writes into its log what it was doing."""
    process.send_signal(signal.SIGABRT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
