"""Finds the servers of a run."""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit

from simpul_agency.sandbox.process import BackendsMissing
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_dev.backends.postgres import PrivatePostgres

POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE", "postgres:17")
RABBITMQ_IMAGE = os.environ.get("RABBITMQ_IMAGE", "rabbitmq:4-management")


@dataclass
class Backends:
    """Addresses of the servers; leaving the context stops servers that were started."""

    postgres_url: str
    amqp_url: str
    rabbitmq_api: str
    origin: str
    _ending: ExitStack = field(default_factory=ExitStack)

    def database_url(self, name: str) -> str:
        """Returns the address of another database on the same server."""
        return urlunsplit(urlsplit(self.postgres_url)._replace(path=f"/{name}"))

    def __enter__(self) -> "Backends":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()


def acquire(report: Callable[[str], None] = lambda _: None) -> Backends:
    """Finds or starts servers; raises BackendsMissing with the remedy."""
    return _from_environment() or _from_docker(report) or _private()


def _from_environment() -> Backends | None:
    names = ("SIMPUL_TEST_POSTGRES_URL", "SIMPUL_TEST_AMQP_URL", "SIMPUL_TEST_RABBITMQ_API")
    given = [os.environ.get(name) for name in names]
    if not any(given):
        return None
    missing = [name for name, value in zip(names, given, strict=True) if not value]
    if missing:
        msg = f"set {' and '.join(missing)} too, or none of {', '.join(names)}"
        raise BackendsMissing(msg)
    return Backends(str(given[0]), str(given[1]), str(given[2]), "environment")


def _from_docker(report: Callable[[str], None]) -> Backends | None:
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return None
    import docker  # noqa: PLC0415 - the client is slow to import and most runs need none
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        with closing(docker.from_env(timeout=3)) as client:
            client.ping()
    except DockerException:
        return None
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415
    from testcontainers.rabbitmq import RabbitMqContainer  # noqa: PLC0415

    ending = ExitStack()
    try:
        postgres = ending.enter_context(PostgresContainer(POSTGRES_IMAGE, driver=None))
        rabbit = ending.enter_context(RabbitMqContainer(RABBITMQ_IMAGE).with_exposed_ports(5672, 15672))
    except (DockerException, OSError, TimeoutError) as error:
        ending.close()
        report(
            f"a Docker engine answers but could not run {POSTGRES_IMAGE} and {RABBITMQ_IMAGE} "
            f"({type(error).__name__}); using private servers"
        )
        return None
    host = rabbit.get_container_host_ip()
    return Backends(
        postgres.get_connection_url(),
        f"amqp://guest:guest@{host}:{rabbit.get_exposed_port(5672)}/?heartbeat=10",
        f"http://guest:guest@{host}:{rabbit.get_exposed_port(15672)}",
        "docker",
        ending,
    )


def _private() -> Backends:
    ending = ExitStack()
    postgres = PrivatePostgres()
    ending.callback(postgres.close)
    rabbit = PrivateRabbit()
    ending.callback(rabbit.close)
    return Backends(postgres.url, rabbit.amqp_url, rabbit.api_url, "private", ending)
