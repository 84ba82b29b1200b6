"""Runs the phases, and measures at the agencies' ledger, the alerts, the sink and the processes."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg
import psutil

from tests.bench import bare_http, load
from tests.bench.load import REFERRALS, Accepted
from tests.bench.systems import PROCESSES, SERVICES, System

ARRIVE_WITHIN: Final = 45.0
"""Seconds without any arrival after which missing items count as lost."""
KILLS: Final = {2.0: "routing", 5.0: "notify", 8.0: "intake"}
"""Seconds after the start of the load -> the process that is killed."""

_COUNT_ANNOUNCED: Final = "SELECT count(DISTINCT referral_id) FROM alert WHERE state = 'sent' AND settled_at >= $1"

LIBRARIES: Final = (
    "aio_pika", "asyncpg", "cryptography.hazmat.primitives.hpke", "fastapi", "httptools", "jinja2",
    "prometheus_client", "pydantic_settings", "ruamel.yaml", "sqlalchemy.ext.asyncio", "sqlmodel", "structlog",
    "uvicorn", "uvloop",
)  # fmt: skip
"""What every service is built with."""


@dataclass(slots=True)
class Marks:
    """The state at the start of a phase."""

    started: datetime
    ledger: int
    messages: int
    cpu: dict[str, float]
    machine: float
    """The busy CPU seconds of the whole machine."""


@dataclass(slots=True)
class SentAlerts:
    """What a phase has sent to people."""

    at: Mapping[str, list[float]]
    """Referral -> when each of its alerts was recorded as sent, in seconds since 1970."""
    messages: int
    """Number of messages that notify recorded; one carries the alerts that waited for the same person."""


async def throughput(system: System, cases: int, clients: int) -> dict[str, Any]:
    """Measures throughput in a closed loop, until the whole path is drained."""
    marks = await _marks(system)
    started = time.time()
    accepted = await load.closed_loop(system.intake_port, cases, clients)
    taken_in = time.time() - started
    figures, last = await _settled(system, marks, accepted)
    figures |= {
        "cases_per_second": round(len(accepted.sent_at) / (last - started), 1),
        "reports_taken_per_second": round(len(accepted.sent_at) / taken_in, 1),
        "cpu_ms_per_case": _cpu_since(system, marks, len(accepted.sent_at)),
    }
    return figures


async def latency(system: System, rate: float, seconds: float) -> dict[str, Any]:
    """Measures in an open loop how long a report takes to its agencies and to the people on duty."""
    marks = await _marks(system)
    accepted = await load.open_loop(system.intake_port, rate, seconds)
    figures, _ = await _settled(system, marks, accepted)
    return figures | {"cpu_ms_per_case": _cpu_since(system, marks, len(accepted.sent_at))}


def together(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Combines the rounds of a phase: the sum of losses and cases, the median of all other figures."""
    return {
        name: sum(figures[name] for figures in rounds)
        if isinstance(first, int)
        else {inner: round(median(figures[name][inner] for figures in rounds), 2) for inner in first}
        if isinstance(first, dict)
        else round(median(figures[name] for figures in rounds), 1)
        for name, first in rounds[0].items()
    }


async def under_kills(system: System, rate: float, seconds: float) -> dict[str, Any]:
    """Sends an open loop while every service is killed once."""
    marks = await _marks(system)
    killing = asyncio.create_task(_kill(system))
    accepted = await load.open_loop(system.intake_port, rate, seconds)
    await killing
    figures, _ = await _settled(system, marks, accepted)
    return figures | {"retries": accepted.retries}


async def _kill(system: System) -> None:
    passed = 0.0
    for moment, service in KILLS.items():
        await asyncio.sleep(moment - passed)
        passed = moment
        system.restart(service)


def memory(system: System) -> dict[str, float]:
    """Returns the peak resident memory of each process in MB."""
    return {name: round(_peak(system.processes[name].pid), 1) for name in PROCESSES}


def memory_of_libraries() -> float:
    """Returns the peak resident memory in MB of a process that imports the libraries of a service and does nothing."""
    code = f"import {', '.join(LIBRARIES)}; print(open('/proc/self/status').read())"
    return round(_peak_in(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout), 1)


def _peak(pid: int) -> float:
    return _peak_in(Path(f"/proc/{pid}/status").read_bytes())


def _peak_in(status: bytes) -> float:
    lines = status.decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


async def _settled(system: System, marks: Marks, accepted: Accepted) -> tuple[dict[str, Any], float]:
    """Waits until everything has arrived and is recorded; returns the figures and the time of the last arrival."""
    wanted = REFERRALS * len(accepted.sent_at)
    await _far_ends_have(system, marks, wanted)
    await _nothing_unfinished(system)
    lines = _ledger(system)[marks.ledger :]
    sent = await _sent_alerts(system, marks)
    figures: dict[str, Any] = {"cases": len(accepted.sent_at)}
    figures |= _losses(lines, sent, accepted) | _delays(lines, sent, accepted)
    figures["messages"] = await _message_count(system) - marks.messages
    figures["repeated_messages"] = figures["messages"] - sent.messages
    last = [line["at"] for line in lines] + [at for each in sent.at.values() for at in each]
    return figures, max(last, default=0.0)


async def _far_ends_have(system: System, marks: Marks, wanted: int) -> None:
    """Waits by counting only: reading the rows each time would cost the slower system more than the faster one."""
    before, changed = (0, 0), time.monotonic()
    database = await asyncpg.connect(system.database_url("notify"))
    while time.monotonic() - changed < ARRIVE_WITHIN:
        have = _ledger_length(system) - marks.ledger, 0
        # The agencies come first, so the alerts are counted near the end only.
        if have[0] >= wanted:
            have = have[0], await database.fetchval(_COUNT_ANNOUNCED, marks.started)
        if min(have) >= wanted:
            break
        if have != before:
            before, changed = have, time.monotonic()
        await asyncio.sleep(0.2)
    await database.close()


async def _sent_alerts(system: System, marks: Marks) -> SentAlerts:
    """Reads which referrals were announced since the start of the phase, and by how many messages."""
    database = await asyncpg.connect(system.database_url("notify"))
    try:
        rows = await database.fetch(
            "SELECT referral_id::text, notification_id, extract(epoch FROM settled_at)::float8 AS at FROM alert"
            " WHERE state = 'sent' AND settled_at >= $1",
            marks.started,
        )
    finally:
        await database.close()
    at: dict[str, list[float]] = {}
    for row in rows:
        at.setdefault(row["referral_id"], []).append(row["at"])
    return SentAlerts(at, len({row["notification_id"] for row in rows}))


async def _nothing_unfinished(system: System) -> None:
    """Waits until replies, alert results and outbox marks are recorded, too."""
    for address, query in system.unfinished:
        database = await asyncpg.connect(address)
        deadline = time.monotonic() + ARRIVE_WITHIN
        while await database.fetchval(query) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await database.close()


def _losses(lines: Sequence[dict[str, Any]], sent: SentAlerts, accepted: Accepted) -> dict[str, int]:
    referrals = {line["referral_id"]: line["case_id"] for line in lines}
    of_case = Counter(referrals.values())
    return {
        "lost_referrals": sum(max(REFERRALS - of_case[case_id], 0) for case_id in accepted.sent_at),
        "lost_alerts": len(referrals.keys() - sent.at.keys()),
        "doubled_cases": sum(1 for case_id in of_case if case_id not in accepted.sent_at),
        "doubled_referrals": sum(max(count - REFERRALS, 0) for count in of_case.values()),
        "repeated_deliveries": len(lines) - len(referrals),
        "repeated_alerts": sum(len(each) - 1 for each in sent.at.values()),
    }


def _delays(lines: Sequence[dict[str, Any]], sent: SentAlerts, accepted: Accepted) -> dict[str, dict[str, float]]:
    sent_at = accepted.sent_at
    known = [line for line in lines if line["case_id"] in sent_at]
    of_referral = {line["referral_id"]: sent_at[line["case_id"]] for line in known}
    to_alert = [
        1000 * (at - of_referral[referral])
        for referral, each in sent.at.items()
        if referral in of_referral
        for at in each
    ]
    return {
        "to_agency_ms": percentiles([1000 * (line["at"] - sent_at[line["case_id"]]) for line in known]),
        "to_alert_ms": percentiles(to_alert),
    }


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Returns p50 and p99 by nearest rank."""
    ordered = sorted(milliseconds) or [float("nan")]
    return {f"p{p}": round(ordered[min(len(ordered) - 1, round(p / 100 * len(ordered)))], 1) for p in (50, 99)}


async def _marks(system: System) -> Marks:
    return Marks(datetime.now(UTC), _ledger_length(system), await _message_count(system), _cpu(system), _machine())


def _cpu(system: System) -> dict[str, float]:
    spent = {name: _seconds(psutil.Process(system.processes[name].pid)) for name in PROCESSES}
    spent["load"] = _seconds(psutil.Process())
    return spent | _servers()


def _machine() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _servers() -> dict[str, float]:
    """Returns the CPU time of the private PostgreSQL and RabbitMQ that this process started."""
    spent = {"postgres": 0.0, "rabbitmq": 0.0}
    for child in psutil.Process().children(recursive=True):
        try:
            kind = {"postgres": "postgres", "beam.smp": "rabbitmq"}.get(child.name())
            if kind:
                times = child.cpu_times()
                spent[kind] += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return spent


def _cpu_since(system: System, marks: Marks, cases: int) -> dict[str, float]:
    now = _cpu(system)
    ours = sum(now.values()) - sum(marks.cpu.values())
    spent = {name: round(1000 * (now[name] - marks.cpu[name]) / cases, 2) for name in now}
    # Shows whether other work on the machine distorted the figures.
    spent["others"] = round(1000 * max(_machine() - marks.machine - ours, 0) / cases, 2)
    return spent | {"services": round(sum(spent[name] for name in SERVICES), 2)}


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ledger(system: System) -> list[dict[str, Any]]:
    return [json.loads(line) for line in system.ledger.read_bytes().splitlines()] if system.ledger.exists() else []


def _ledger_length(system: System) -> int:
    return system.ledger.read_bytes().count(b"\n") if system.ledger.exists() else 0


async def _message_count(system: System) -> int:
    return int(await _get(system, "/count"))


async def _get(system: System, path: str) -> bytes:
    connection = await bare_http.connect(system.sink_port)
    answer: Awaitable[tuple[int, bytes]] = connection.request(bare_http.message(f"GET {path} HTTP/1.1", b""))
    _, body = await answer
    connection.close()
    return body
