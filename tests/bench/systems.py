"""The two measured systems, with one interface."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import trustme

from simpul_agency.sandbox.process import die_with_parent, free_port
from simpul_dev.backends import Backends
from simpul_dev.local_city import LocalCity
from tests.bench import floor
from tests.bench.load import AGENCIES

ROOT: Final = Path(__file__).parent.parent.parent
KEDIRI: Final = ROOT / "deploy" / "kediri"
SERVICES: Final = ("intake", "routing", "notify")
PROCESSES: Final = (*SERVICES, "agencies", "sink")

_UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
_UNANSWERED = "SELECT count(*) FROM referral_service WHERE state = 'offered'"
_UNSENT = "SELECT count(*) FROM alert WHERE state = 'pending'"
_UNFINISHED: Final = (
    ("intake", _UNPUBLISHED),
    ("routing", _UNPUBLISHED),
    ("routing", _UNANSWERED),
    ("notify", _UNPUBLISHED),
    ("notify", _UNSENT),
)


def spawn(
    module: str, *arguments: str, log: Path, environment: dict[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Starts a Python process that ends with this one; must be called from the main thread."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


@dataclass
class System:
    """What the benchmark needs from a system."""

    folder: Path
    backends: Backends
    name: str = ""
    intake_port: int = 0
    sink_port: int = field(default_factory=free_port)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.describe()

    def describe(self) -> None:
        """Sets name, ports and addresses; starts nothing."""
        raise NotImplementedError

    @property
    def ledger(self) -> Path:
        """The file of what the agencies received, one JSON line each."""
        return self.folder / "received.jsonl"

    def database_url(self, service: str) -> str:
        """Returns the address of a service's database."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts everything and waits until it accepts reports."""
        raise NotImplementedError

    def restart(self, service: str) -> None:
        """Kills a process (SIGKILL) and starts it again, without waiting."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stops everything that was started."""
        for process in self.processes.values():
            process.kill()
            process.wait(10)

    @property
    def unfinished(self) -> list[tuple[str, str]]:
        """Queries that return zero once all work is recorded, with the address of their database."""
        return [(self.database_url(service), query) for service, query in _UNFINISHED]

    def start_sink(self) -> None:
        """The sink for alerts."""
        log = self.folder / "sink.log"
        self.processes["sink"] = spawn("tests.bench.sink", str(self.sink_port), log=log)


class _CityAsInImages(LocalCity):
    """Runs the services without a package of the development environment that would take 6 MB in each of them.

    structlog imports it where it is installed; no service needs it, so images lack it.
    """

    def _environment(self, name: str) -> dict[str, str]:
        environment = super()._environment(name)
        if name in SERVICES:
            hidden = self.folder / "as-in-images"
            hidden.mkdir(exist_ok=True)
            (hidden / "rich.py").write_text("raise ImportError\n")
            environment["PYTHONPATH"] = str(hidden)
        return environment


class Simpul(System):
    """Simpul as a LocalCity whose alerts all go to the sink as SMS."""

    def describe(self) -> None:
        self.name = "simpul"
        authority = self.folder / "no-mail.pem"
        trustme.CA().cert_pem.write_to_path(str(authority))
        self.city = _CityAsInImages(
            self.folder,
            self.backends,
            _city_without_mail(self.folder / "city"),
            accept_after=None,
            consuming=AGENCIES,
            database_prefix=f"bench_{uuid4().hex[:6]}_",
            environment={
                "SIMPUL_KANNEL_URL": f"http://127.0.0.1:{self.sink_port}/cgi-bin/sendsms",
                "SIMPUL_SMTP_CA_FILE": str(authority),
                # The reports are of medium urgency; both systems send an alert as soon as they can.
                "SIMPUL_BUNDLE_PERIOD": "0",
            },
        )
        self.intake_port = self.city.ports["intake"]

    def database_url(self, service: str) -> str:
        return self.city.database_url(service)

    def start(self) -> None:
        asyncio.run(self.city.prepare())
        self.start_sink()
        self.city.start(*SERVICES, "agencies")
        self.city.wait_ready(*SERVICES, "agencies")
        self.processes |= self.city.processes

    def restart(self, service: str) -> None:
        self.city.kill(service)
        self.city.start(service)
        self.processes[service] = self.city.processes[service]

    def stop(self) -> None:
        self.city.stop()
        super().stop()


def _city_without_mail(folder: Path) -> Path:
    """Copies Kediri with SMS as the only channel, so that a referral makes one alert."""
    shutil.copytree(KEDIRI, folder)
    roster = folder / "roster.yaml"
    text = roster.read_text()
    for urgency in ("high", "medium", "low"):
        text = text.replace(f"  {urgency}: [sms, mail]", f"  {urgency}: [sms]")
        text = text.replace(f"  {urgency}: [mail]", f"  {urgency}: [sms]")
    roster.write_text(text)
    return folder


class Floor(System):
    """The hand-written processes of `floor.py`."""

    def describe(self) -> None:
        self.name = "floor"
        self.intake_port = free_port()
        self._prefix = f"floor_{uuid4().hex[:6]}_"

    def database_url(self, service: str) -> str:
        return self.backends.database_url(self._prefix + service)

    def start(self) -> None:
        urls = {service: self.database_url(service) for service in SERVICES}
        asyncio.run(floor.prepare(self.backends.postgres_url, urls, self.backends.amqp_url))
        self.start_sink()
        for role in ("agencies", "notify", "routing", "intake"):
            self.processes[role] = self._spawn(role)
        deadline = time.monotonic() + 20
        while not all((self.folder / f"{role}.ready").exists() for role in (*SERVICES, "agencies")):
            if time.monotonic() > deadline:
                msg = f"the floor did not start, see {self.folder}/*.log"
                raise TimeoutError(msg)
            time.sleep(0.05)

    def restart(self, service: str) -> None:
        self.processes[service].kill()
        self.processes[service].wait(10)
        self.processes[service] = self._spawn(service)

    def _spawn(self, role: str) -> "subprocess.Popen[bytes]":
        environment = {
            "FLOOR_AMQP_URL": self.backends.amqp_url,
            "FLOOR_DATABASE_URL": self.database_url(role),
            "FLOOR_HTTP_PORT": str(self.intake_port),
            "FLOOR_SINK_PORT": str(self.sink_port),
            "FLOOR_LEDGER": str(self.ledger),
            "FLOOR_READY": str(self.folder / f"{role}.ready"),
        }
        return spawn("tests.bench.floor", role, log=self.folder / f"{role}.log", environment=environment)
