"""Servers for the fault tests, which break them and so cannot share them with other tests."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from simpul_dev.backends import Backends, PrivatePostgres, PrivateRabbit
from simpul_dev.local_city import LocalCity
from tests.conftest import KEDIRI

RUNNING = ("handset", "agencies", "intake", "routing", "notify")


@dataclass
class BreakableCity(LocalCity):
    """A city whose servers and services can be killed, services at chosen points."""

    postgres: PrivatePostgres | None = None
    rabbit: PrivateRabbit | None = None
    doomed: dict[str, tuple[str, int]] = field(default_factory=dict)

    def _command(self, name: str) -> list[str]:
        if name in self.doomed:
            point, count = self.doomed[name]
            return ["-m", "tests.support.doomed", name, point, str(count)]
        return super()._command(name)

    def restart(self, name: str) -> None:
        """Starts a process again that was killed or has killed itself."""
        self.doomed.pop(name, None)
        self.start(name)
        self.wait_ready(name)


@contextmanager
def breakable_city(
    folder: Path,
    *running: str,
    accept: bool = False,
    consuming: tuple[str, ...] = (),
    hosted: tuple[str, ...] = (),
    **environment: str,
) -> Iterator[BreakableCity]:
    """Starts private servers and a city with these processes."""
    folder.chmod(0o755)
    with ExitStack() as ending:
        postgres = PrivatePostgres()
        ending.callback(postgres.close)
        rabbit = PrivateRabbit()
        ending.callback(rabbit.close)
        backends = Backends(postgres.url, rabbit.amqp_url, rabbit.api_url, "private")
        city = BreakableCity(
            folder,
            backends,
            KEDIRI,
            accept_after=0.0 if accept else None,
            consuming=consuming,
            hosted=hosted,
            postgres=postgres,
            rabbit=rabbit,
        )
        city.environment |= {"SIMPUL_BUNDLE_PERIOD": "0"} | environment
        ending.callback(shutil.rmtree, folder, ignore_errors=True)
        ending.callback(city.stop)
        asyncio.run(city.prepare())
        city.start(*running)
        city.wait_ready(*running)
        yield city


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BreakableCity]:
    """Private servers and a running city (without the desk)."""
    with breakable_city(tmp_path_factory.mktemp("breakable"), *RUNNING, SIMPUL_MANIFEST_INTERVAL="1") as city:
        yield city
