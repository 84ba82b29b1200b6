"""The steps with containers: servers, jobs and checks first, then the services one after another, the gateway last.

When a job or a check fails, no container of a service has been touched: what ran before still runs.
"""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from simpul_cli.agency.bulk import RESPONSE
from simpul_cli.broker_users import USERS
from simpul_cli.deployment.city_files import CityFiles, port_is_free
from simpul_cli.deployment.compose import BUILD_TIMEOUT, Compose
from simpul_cli.deployment.demo import MAIL_AUTHORITY, STATE_FOLDERS, write_addresses
from simpul_cli.deployment.refusal import Refusal
from simpul_cli.deployment.sources import BuildRecord, digest_of_sources
from simpul_cli.deployment.steps import Step
from simpul_cli.languages import Message
from simpul_cli.languages import Message as _
from simpul_cli.prepare import SERVICE_ACCOUNT
from simpul_schema.catalog import SERVICES

READY_TIMEOUT: Final = 300.0
"""Seconds until a started container must be healthy; on a loaded machine the broker needs more than a minute."""
POLL_INTERVAL: Final = 1.0
"""Seconds between two reads of the containers' states."""
BACKENDS: Final = ("postgres", "rabbitmq")
REPLACED: Final = ("notify", "desk", "routing", "intake")
"""In this order, so that what takes reports is away last and for the shortest time."""
RECONCILIATION: Final = "reconcile"
SIMULATED: Final = ("agencies",)
OBSERVE_PROFILE: Final = "observe"
OBSERVATION: Final = ("prometheus", "alertmanager", "grafana")
"""What shows the city to its operators and sends them alarms; only with the profile."""
_PORTS: Final = {"HTTP_PORT": "80", "HTTPS_PORT": "443", "AMQPS_PORT": "5671"}
_VERSION: Final = "0.1.0"
# The database grants every login through its own socket, so that `.env` always decides about the passwords.
_PSQL: Final = ("exec", "--no-TTY", "postgres", "psql", "--quiet", "--username=postgres", "--set=ON_ERROR_STOP=1")
_GATEWAY_AUTHORITY: Final = "/data/caddy/pki/authorities/local/root.crt"
_CHECK: Final = {"SIMPUL_CHECK_ONLY": "true"}


@dataclass(frozen=True)
class ContainersSetup:
    """Starts or updates the containers of a city."""

    files: CityFiles
    compose: Compose
    is_demo: bool = False
    must_build: bool = False
    """Builds the images even if they exist."""
    sleep: Callable[[float], None] = time.sleep
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def before(self) -> Sequence[Step]:
        """Returns the step that comes before any file is written."""
        return (Step(_("Docker"), self.check_docker),)

    def steps(self) -> Sequence[Step]:
        """Returns the steps in their order."""
        simulation = (Step(_("Simulated handset"), self.start_handset),) if self.is_demo else ()
        agencies = (Step(_("Invented agencies"), self.start_agencies),) if self.is_demo else ()
        observation = (Step(_("Alarms and dashboards"), self.start_observation),) if self._is_observed() else ()
        return (
            Step(_("Images"), self.build_images),
            Step(_("Owners of the keys"), self.give_files),
            Step(_("Database and broker"), self.start_backends),
            Step(_("Passwords of database and broker"), self.set_passwords),
            Step(_("Exchanges and queues"), self.apply_topology),
            Step(_("Databases"), self.migrate),
            Step(_("Broker users of agencies"), self.connect_agencies),
            *simulation,
            Step(_("Check before services are replaced"), self.check_services),
            Step(_("Services"), self.replace_services),
            Step(_("Reconciliation"), self.start_reconciliation),
            *agencies,
            *observation,
            Step(_("Gateway"), self.start_gateway),
        )

    def check_docker(self) -> Message:
        """Checks that Docker and Compose answer, and that the checkout belongs to no other city."""
        self.files.check_link()
        engine = self.compose.docker("version", "--format", "{{.Server.Version}}").strip()
        plugin = self.compose.docker("compose", "version", "--short").strip()
        return _("engine {engine}, Compose {plugin}", engine=engine, plugin=plugin)

    def build_images(self) -> Message:
        """Builds the images if one is missing, or if the checkout has changed since they were built."""
        version = self._setting("SIMPUL_VERSION", _VERSION)
        names = (*SERVICES, "cli", *(("dev",) if self.is_demo else ()))
        digest, record = digest_of_sources(self.files.checkout), BuildRecord(self.files.data / "images.json")
        has_all = all(self.compose.has_image(f"simpul-{name}:{version}") for name in names)
        if has_all and record.is_of(version, digest) and not self.must_build:
            return _("there already")
        self.compose.compose("build", within=BUILD_TIMEOUT)
        record.write(version, digest)
        return _("built")

    def give_files(self) -> Message:
        """Gives each private key to the account in the containers that reads it."""
        owners = self.files.prepared.owners()
        if self.is_demo:
            demo = self.files.demo
            private = sorted((demo / "keys").glob("*.key*"))
            owned = [*private, *(demo / name for name in STATE_FOLDERS)]
            wrong = [path for path in owned if path.stat().st_uid != SERVICE_ACCOUNT]
            owners[SERVICE_ACCOUNT] = [*owners.get(SERVICE_ACCOUNT, []), *wrong]
        for account, paths in owners.items():
            self._change_owner(account, paths)
        return _("set") if any(owners.values()) else _("right already")

    def _change_owner(self, account: int, paths: Sequence[Path]) -> None:
        if os.geteuid() == 0:
            for path in paths:
                os.chown(path, account, -1)
        elif paths:
            image = f"simpul-cli:{self._setting('SIMPUL_VERSION', _VERSION)}"
            names = [f"/data/{path.relative_to(self.files.data)}" for path in paths]
            mount = ("--volume", f"{self.files.data}:/data", "--entrypoint", "chown")
            self.compose.docker("run", "--rm", "--user=0", "--network=none", *mount, image, str(account), *names)

    def start_backends(self) -> Message:
        """Starts database and broker, and waits until they are healthy."""
        if "gateway" not in self.compose.containers():
            self._check_ports()
        self.compose.compose("up", "--detach", "--no-build", *BACKENDS)
        self._wait_for(BACKENDS)
        return _("healthy")

    def _check_ports(self) -> None:
        for name, default in _PORTS.items():
            port = self._setting(name, default).rpartition(":")[2]
            if name == "AMQPS_PORT" and "rabbitmq" in self.compose.containers():
                continue
            if port.isdigit() and not port_is_free(int(port)):
                raise Refusal(
                    _(
                        "Port {port} is in use: stop what listens there, or set {name} in {file}.",
                        port=port,
                        name=name,
                        file=self.files.env,
                    )
                )

    def set_passwords(self) -> Message:
        """Makes the passwords of `.env` those of the servers, which read them only at their first start."""
        settings = self.files.settings()
        roles = {f"simpul_{service}": f"POSTGRES_PASSWORD_{service.upper()}" for service in SERVICES}
        roles["postgres"] = "POSTGRES_PASSWORD"
        of_broker = [f"RABBITMQ_PASSWORD_{name.upper()}" for name in USERS]
        for name in (*roles.values(), "RABBITMQ_PASSWORD", *of_broker):
            if not settings.get(name, "").isalnum():
                raise Refusal(_("{name} in {file} must consist of letters and digits.", name=name, file=self.files.env))
        statements = [f"ALTER ROLE \"{role}\" PASSWORD '{settings[name]}';" for role, name in roles.items()]
        self.compose.compose(*_PSQL, stdin="\n".join(statements))
        user = settings.get("RABBITMQ_USER", "simpul")
        change = ("exec", "--no-TTY", "rabbitmq", "rabbitmqctl", "--quiet", "change_password", user)
        self.compose.compose(*change, stdin=f"{settings['RABBITMQ_PASSWORD']}\n")
        return _("as in {file}", file=self.files.env)

    def apply_topology(self) -> Message:
        """Declares exchanges, queues, bindings and policies."""
        return _last_line(self.compose.run_job("topology"))

    def migrate(self) -> Message:
        """Brings every database to the revision that the new services need."""
        _run_together([partial(self.compose.run_job, f"migrate-{service}") for service in SERVICES])
        return _("up to date")

    def connect_agencies(self) -> Message:
        """Creates the broker users of enrolled agencies, and the responses to send them."""
        output = self.compose.run_job("operator", "agency", "connect", "/enrolment")
        if self.is_demo:
            codes = self.files.read_city().agency_codes
            responses = [code for code in sorted(codes) if (self.files.enrolment / f"{code}{RESPONSE}").exists()]
            write_addresses(self.files.demo, self.files.enrolment, responses)
        return _("{count} new", count=len([line for line in output.splitlines() if RESPONSE in line]))

    def start_handset(self) -> Message:
        """Starts the simulated handset, and puts its authority where notify reads it."""
        self.compose.compose("up", "--detach", "--no-build", "--no-deps", "handset")
        self._wait_for(("handset",))
        authority = self.files.demo / "handset" / MAIL_AUTHORITY
        shutil.copyfile(authority, self.files.city_dir / MAIL_AUTHORITY)
        return _("healthy")

    def check_services(self) -> Message:
        """Starts each new service once, only to check settings, keys, schema, database and broker."""
        first, *others = [partial(self.compose.run_job, service, environment=_CHECK) for service in REPLACED]
        # Alone, because it creates the networks; several commands at once would each create one of the same name.
        first()
        _run_together(others)
        return _("settings, keys, schema, database and broker fit")

    def replace_services(self) -> Message:
        """Replaces the services whose image or settings have changed, one after another."""
        for service in REPLACED:
            self.compose.compose("up", "--detach", "--no-build", "--no-deps", service)
            self._wait_for((service,))
        return _("healthy")

    def start_reconciliation(self) -> Message:
        """Starts what compares the services, and publishes again what one of them lacks."""
        self.compose.compose("up", "--detach", "--no-build", "--no-deps", RECONCILIATION)
        self._wait_for((RECONCILIATION,))
        return _("healthy")

    def start_agencies(self) -> Message:
        """Starts the consumers of the invented agencies."""
        self.compose.compose("up", "--detach", "--no-build", "--no-deps", *SIMULATED)
        self._wait_for(SIMULATED)
        return _("healthy")

    def _is_observed(self) -> bool:
        return OBSERVE_PROFILE in self._setting("COMPOSE_PROFILES", "").split(",")

    def start_observation(self) -> Message:
        """Starts what watches the city."""
        if not self._setting("OPERATIONS_MAIL", ""):
            raise Refusal(_("Set OPERATIONS_MAIL in {file}: the address that gets the alarms.", file=self.files.env))
        self.compose.compose("up", "--detach", "--no-build", "--no-deps", *OBSERVATION)
        self._wait_for(OBSERVATION)
        return _("healthy")

    def start_gateway(self) -> Message:
        """Starts the gateway, and copies the certificate of its own authority for those who must trust it."""
        self.compose.compose("up", "--detach", "--no-build", "--no-deps", "gateway")
        self._wait_for(("gateway",))
        if self.files.settings().get("GATEWAY_TLS", "internal") != "internal":
            return _("healthy")
        certificate = self.compose.compose("exec", "--no-TTY", "gateway", "cat", _GATEWAY_AUTHORITY)
        self.files.gateway_authority.write_text(certificate)
        return _("healthy; its authority is {file}", file=self.files.gateway_authority)

    def restart(self, services: Sequence[str], report: Callable[[Message], None]) -> None:
        """Restarts containers one after another, of all services when none is named; waits until each is healthy."""
        running = [name for name, found in self.compose.containers().items() if found.state == "running"]
        order = [name for name in (*BACKENDS, *REPLACED, *running) if name in running]
        for service in services or dict.fromkeys(order):
            for container in self.compose.compose("ps", "--quiet", service).split():
                self.compose.docker("restart", container)
                self._wait_for((service,))
            report(_("{service}: healthy", service=service))

    def _wait_for(self, services: Sequence[str]) -> None:
        """Waits until containers are healthy; raises Refusal with what an unhealthy one logged last."""
        waited = 0.0
        while True:
            containers = self.compose.containers()
            waiting = [name for name in services if name not in containers or not containers[name].is_up]
            if not waiting:
                return
            if waited >= READY_TIMEOUT:
                raise Refusal(
                    _(
                        "{service} is not healthy after {seconds} s; it logged last: {line}",
                        service=waiting[0],
                        seconds=int(READY_TIMEOUT),
                        line=self.compose.last_line(waiting[0]),
                    )
                )
            self.sleep(POLL_INTERVAL)
            waited += POLL_INTERVAL

    def _setting(self, name: str, default: str) -> str:
        """Returns a setting; like Docker Compose, the environment counts more than `.env`."""
        return self.environment.get(name) or self.files.settings().get(name) or default


def _run_together(jobs: Sequence[Callable[[], str]]) -> None:
    """Runs jobs at the same time; raises what the first that failed raised, when all have ended."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(lambda job: job(), jobs))


def _last_line(output: str) -> Message:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return _("{line}", line=lines[-1] if lines else "ok")
