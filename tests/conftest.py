"""Fixtures with real servers, which start once per run and only when a test needs them.

They import what they start; a run without servers imports less than half as much.
"""

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import structlog
from hypothesis import settings

from tests.support.distribution import are_distributed, distribute

if TYPE_CHECKING:
    from simpul_dev.backends import Backends
    from simpul_dev.demo.observer import Observer
    from simpul_dev.local_city import LocalCity

# A proxy cannot reach this machine's loopback.
os.environ["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy"), "127.0.0.1,localhost")))
# The time of an example depends on the machine more than on the code.
settings.register_profile("simpul", deadline=None)
settings.register_profile("fast", deadline=None, max_examples=15)
settings.load_profile("simpul")
# The usual traceback shows every local variable, for which a test's event loop stands still for seconds.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

KEDIRI = Path(__file__).parent.parent / "deploy" / "kediri"


def pytest_collection() -> None:
    """Has unchanged files of an agreement parsed once; most tests use Kediri's, and some already when collected.

    A process that only shares tests out among workers collects none, and does not come here.
    """
    from simpul_agreement import loading

    loading.parse = lru_cache(maxsize=256)(loading.parse)
    # Nearly everything that is made while tests are collected lasts as long as the run.
    gc.disable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests have measured (`record_property("measured", ...)`), also those that passed in a worker."""
    ended = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    measured = [
        value
        for report in ended
        if report.when == "call"
        for name, value in report.user_properties
        if name == "measured"
    ]
    if measured:
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(map(str, measured)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shares the tests out among the workers, where there are any, before their units are read."""
    if hasattr(config, "workerinput"):
        distribute(items)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuses a run whose workers would take single tests, each with its own servers."""
    gc.freeze()
    gc.enable()
    if getattr(session.config.option, "loadgroup", False) and not are_distributed(session.items):
        message = "pytest-xdist does not name the units of --dist loadgroup: try another version of pytest"
        raise pytest.UsageError(message)


@pytest.fixture(scope="session")
def backends() -> "Iterator[Backends]":
    """A PostgreSQL and a RabbitMQ; their absence is an error, never a skip."""
    from simpul_dev.backends import acquire

    with acquire(print) as found:
        yield found


@contextmanager
def broker_of_its_own(backends: "Backends") -> "Iterator[Backends]":
    """The same PostgreSQL with another RabbitMQ: two cities on one broker would consume each other's messages."""
    from simpul_dev.backends import Backends, PrivateRabbit

    rabbit = PrivateRabbit()
    try:
        yield Backends(backends.postgres_url, rabbit.amqp_url, rabbit.api_url, backends.origin)
    finally:
        rabbit.close()


@pytest.fixture(scope="session")
def city(backends: "Backends", tmp_path_factory: pytest.TempPathFactory) -> "Iterator[LocalCity]":
    """A whole city with a process per service; shared by tests that do not change it for others."""
    from simpul_dev.local_city import ALL, LocalCity

    folder = tmp_path_factory.mktemp("city")
    folder.chmod(0o755)
    prepared = LocalCity(
        folder,
        backends,
        KEDIRI,
        database_prefix=f"city_{uuid4().hex[:6]}_",
        # Its agencies accept at once, which would end every alert that waits for others.
        environment={"SIMPUL_BUNDLE_PERIOD": "0"},
    )
    try:
        asyncio.run(prepared.prepare())
        prepared.start(*ALL)
        prepared.wait_ready(*ALL)
        yield prepared
    finally:
        prepared.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def observer(city: "LocalCity") -> "AsyncIterator[Observer]":
    """Records the public events while the test runs."""
    from simpul_dev.demo.observer import Observer

    async with Observer(city.backends.amqp_url) as recording:
        yield recording
