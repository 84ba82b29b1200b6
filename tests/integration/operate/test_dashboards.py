"""A real Prometheus reads every process of a running city and answers what each panel and each alert asks for.

What a panel names is compared with what the processes expose at `/metrics`, not with a list in the code.
"""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import pytest
from ruamel.yaml import YAML

from simpul_agency.sandbox.process import free_port, spawn, stop_process
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_dev.backends import Backends
from simpul_dev.local_city import ALL, LocalCity
from simpul_schema.catalog import SERVICES
from tests.conftest import KEDIRI
from tests.support.debian import need
from tests.support.ledger import eventually, post_until_accepted, settle
from tests.support.reports import a_report

OBSERVE: Final = Path(__file__).parents[3] / "deploy" / "observe"
DASHBOARDS: Final = [json.loads(path.read_text()) for path in sorted(OBSERVE.glob("grafana/dashboards/*.json"))]
TARGETS: Final = {
    f"{board['title']}: {panel['title']} {target['refId']}": target
    for board in DASHBOARDS
    for panel in board["panels"]
    for target in panel["targets"]
}
PANELS: Final = {name: target["expr"] for name, target in TARGETS.items()}
ALERTS: Final = {
    rule["alert"]: rule["expr"]
    for group in YAML(typ="safe").load((OBSERVE / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
QUIET: Final = frozenset(
    {
        "simpul_clock_steps_total",
        "simpul_services_without_agency_total",
        "simpul_requests_failed_total",
        "simpul_messages_parked_total",
        "simpul_parked_by_agencies_total",
        "simpul_alerts_failed_total",
        "simpul_held_events",
        "simpul_reach_unconfirmed",
    }
)
"""Metrics that have no value until something is wrong, because their labels name what it is."""
LIVELY: Final = [name for name, shown in PANELS.items() if not any(metric in shown for metric in QUIET)]
_NAME: Final = re.compile(r"\b(?:simpul|rabbitmq|process|erlang)_\w+")
REPORTS: Final = 10


class ObservedRabbit(PrivateRabbit):
    """A broker with the plugin that the official image has."""

    def _write_files(self) -> None:
        super()._write_files()
        self.metrics_port = free_port()
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
        with (self.folder / "rabbitmq.conf").open("a") as settings:
            settings.write(f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {self.metrics_port}\n")


@dataclass
class Observed:
    """A Prometheus that reads the processes of a city."""

    url: str
    targets: dict[str, str]
    """Job -> address of its metrics."""
    parameters: dict[str, dict[str, list[str]]]
    """Job -> parameters of that address."""
    exposed: set[str] = field(default_factory=set)
    """The metrics that any process exposes, also those without a value yet."""

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the series of an expression; fails if Prometheus does not understand it."""
        async with aiohttp.ClientSession() as session:
            return await _fetch(session, f"{self.url}/api/v1/query", query=expression)


async def _fetch(session: aiohttp.ClientSession, url: str, **query: str) -> list[dict[str, Any]]:
    async with session.get(url, params=query) as answer:
        body = await answer.json()
    assert body["status"] == "success", body
    found: list[dict[str, Any]] = body["data"]["result"]
    return found


@pytest.fixture(scope="module")
def observed(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """A city with its reconciliation, to which reports came, and a Prometheus that has read all of it."""
    need(["prometheus"], ["prometheus"])
    folder = tmp_path_factory.mktemp("observed")
    folder.chmod(0o755)
    rabbit = ObservedRabbit()
    own = Backends(backends.postgres_url, rabbit.amqp_url, rabbit.api_url, backends.origin)
    city = LocalCity(
        folder / "city",
        own,
        KEDIRI,
        accept_after=0.2,
        database_prefix=f"observed_{uuid4().hex[:6]}_",
        environment={"SIMPUL_BUNDLE_PERIOD": "0", "SIMPUL_MANIFEST_INTERVAL": "1"},
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        asyncio.run(city.prepare())
        city.start(*ALL)
        city.wait_ready(*ALL)
        ports = {service: city.metrics_ports[service] for service in SERVICES}
        ports["reconcile"] = _start_reconciliation(city, folder, started)
        found = _start_prometheus(folder, ports, rabbit.metrics_port, started)
        asyncio.run(_observe(found, city))
        yield found
    finally:
        for process in started:
            stop_process(process, signal.SIGTERM, timeout=10)
        city.stop()
        rabbit.close()
        shutil.rmtree(folder, ignore_errors=True)


def _start_reconciliation(city: LocalCity, folder: Path, started: list[subprocess.Popen[bytes]]) -> int:
    port = free_port()
    databases = " ".join(f"{service}={city.database_url(service)}" for service in SERVICES)
    environment = {
        "SIMPUL_DATABASES": databases,
        "SIMPUL_METRICS_PORT": str(port),
        "SIMPUL_CITY_DIR": str(city.city_dir),
    }
    command = [sys.executable, "-m", "simpul_cli", "reconcile", "--every", "1", "--repair"]
    started.append(
        spawn(command, log=folder / "reconcile.log", env=environment, death_signal=signal.SIGKILL, account={})
    )
    return port


def _start_prometheus(
    folder: Path, ports: dict[str, int], rabbit: int, started: list[subprocess.Popen[bytes]]
) -> Observed:
    """Starts Prometheus with the jobs of deploy/observe/prometheus.yml at this city's addresses."""
    settings = YAML(typ="safe").load((OBSERVE / "prometheus.yml").read_text())
    targets, parameters = {}, {}
    for job in settings["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        address = f"127.0.0.1:{ports.get(job['job_name'], rabbit)}"
        job["static_configs"] = [{"targets": [address]}]
        targets[job["job_name"]] = f"http://{address}{job.get('metrics_path', '/metrics')}"
        parameters[job["job_name"]] = job.get("params", {})
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(OBSERVE / "alerts.yml")]
    del settings["alerting"]
    YAML(typ="safe").dump(settings, folder / "prometheus.yml")
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log, path = folder / "prometheus.log", {"PATH": "/usr/bin:/bin"}
    started.append(spawn(command, log=log, env=path, death_signal=signal.SIGKILL, account={}))
    return Observed(f"http://127.0.0.1:{port}", targets, parameters)


async def _observe(observed: Observed, city: LocalCity) -> None:
    """Waits until every process was read before and after reports, and notes what the processes expose."""
    handled = 'simpul_messages_handled_total{job="routing", type="case.reported.v1"}'
    await eventually(lambda: _holds(observed, "count(up == 1)", len(observed.targets)), within=120)
    async with aiohttp.ClientSession() as session:
        cases = {await post_until_accepted(session, city, a_report()) for _ in range(REPORTS)}
        await settle(city, cases)
        # A rate needs two readings, and the counters with labels have none before the first report.
        await eventually(lambda: _holds(observed, f"sum({handled})", REPORTS), within=120)
        await eventually(lambda: _holds(observed, f"sum(count_over_time({handled}[5m]))", 3), within=120)
        for job, address in observed.targets.items():
            async with session.get(address, params=observed.parameters[job]) as answer:
                assert answer.status == 200
                observed.exposed |= set(re.findall(r"^# TYPE (\w+)", await answer.text(), re.MULTILINE))


async def _holds(observed: Observed, expression: str, least: float) -> bool:
    """Whether the value of an expression is at least this; not while Prometheus starts."""
    try:
        found = await observed.query(expression)
    except aiohttp.ClientError:
        return False
    return bool(found) and float(found[0]["value"][1]) >= least


@pytest.mark.parametrize("name", [*PANELS, *ALERTS])
async def test_a_panel_or_alert_names_only_what_a_process_exposes(observed: Observed, name: str) -> None:
    expression = {**PANELS, **ALERTS}[name]

    await observed.query(expression)

    assert set(_NAME.findall(expression)) - observed.exposed == set()


@pytest.mark.parametrize("name", LIVELY)
async def test_a_panel_shows_something_in_a_city_that_works_with_the_labels_of_its_legend(
    observed: Observed, name: str
) -> None:
    async def has_series() -> bool:
        return bool(await observed.query(PANELS[name]))

    await eventually(has_series, within=150)

    labels = [set(series["metric"]) for series in await observed.query(PANELS[name])]
    shown = set(re.findall(r"{{(\w+)}}", TARGETS[name].get("legendFormat", "")))
    assert [found for found in labels if not shown <= found] == []


async def test_no_alert_fires_in_a_city_that_works(observed: Observed) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{observed.url}/api/v1/alerts") as answer:
        found = (await answer.json())["data"]["alerts"]

    assert [alert["labels"] for alert in found if alert["state"] == "firing"] == []
