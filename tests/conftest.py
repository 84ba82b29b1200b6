"""Real servers for the tests: started once for a run, never in a test that asks for none."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from simpul_dev.backends import Backends, acquire
from simpul_dev.demo.observer import Observer
from simpul_dev.local_city import ALL, LocalCity

# An office proxy could not reach this machine.
os.environ["no_proxy"] = ",".join(filter(None, (os.environ.get("no_proxy"), "127.0.0.1,localhost")))
# How long an example takes says more about the machine than about the code.
settings.register_profile("simpul", deadline=None)
settings.load_profile("simpul")

KEDIRI = Path(__file__).parent.parent / "deploy" / "kediri"


@pytest.fixture(scope="session")
def backends() -> Iterator[Backends]:
    """A PostgreSQL and a RabbitMQ; their absence is an error, never a skip."""
    with acquire(print) as found:
        yield found


@pytest.fixture(scope="session")
def city(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCity]:
    """The whole city, every service its own process; shared by tests that leave it as they found it."""
    folder = tmp_path_factory.mktemp("city")
    folder.chmod(0o755)
    prepared = LocalCity(folder, backends, KEDIRI, database_prefix=f"city_{uuid4().hex[:6]}_")
    try:
        asyncio.run(prepared.prepare())
        prepared.start(*ALL)
        prepared.wait_ready(*ALL)
        yield prepared
    finally:
        prepared.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def observer(city: LocalCity) -> AsyncIterator[Observer]:
    """What is said on the bus while the test runs."""
    async with Observer(city.backends.amqp_url) as watching:
        yield watching
