"""Phases of a run and what is read from the far ends: the agencies' ledger, the sink, the processes."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final
from uuid import UUID

import asyncpg
import psutil

from simpul_schema.references import referral_code
from tests.bench import bare_http, load
from tests.bench.load import REFERRALS, Accepted
from tests.bench.systems import PROCESSES, SERVICES, System

ARRIVE_WITHIN: Final = 45.0
"""Seconds without any arrival after which what is missing counts as lost."""
KILLS: Final = {2.0: "routing", 5.0: "notify", 8.0: "intake"}
"""Seconds after the start of the load -> what is killed."""


@dataclass(slots=True)
class Marks:
    """How much the far ends had when a phase began, and how much CPU time was spent."""

    ledger: int
    sink: int
    cpu: dict[str, float]
    machine: float
    """Busy CPU seconds of the whole machine."""


async def throughput(system: System, cases: int, clients: int) -> dict[str, Any]:
    """Closed loop until the whole path is drained."""
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
    """Open loop: how long a report takes to its agencies and to the people on duty."""
    marks = await _marks(system)
    accepted = await load.open_loop(system.intake_port, rate, seconds)
    figures, _ = await _settled(system, marks, accepted)
    return figures | {"cpu_ms_per_case": _cpu_since(system, marks, len(accepted.sent_at))}


def together(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rounds of one phase as one: losses and cases added up, of all other figures the median."""
    return {
        name: sum(figures[name] for figures in rounds) if isinstance(first, int)
        else {inner: round(median(figures[name][inner] for figures in rounds), 2) for inner in first}
        if isinstance(first, dict)
        else round(median(figures[name] for figures in rounds), 1)
        for name, first in rounds[0].items()
    }  # fmt: skip


async def under_kills(system: System, rate: float, seconds: float) -> dict[str, Any]:
    """Open loop while every service is killed once."""
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
    """Peak resident memory of each process, in MB."""
    return {name: round(_peak(system.processes[name].pid), 1) for name in PROCESSES}


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


async def _settled(system: System, marks: Marks, accepted: Accepted) -> tuple[dict[str, Any], float]:
    """Wait until everything arrived and is recorded; figures, and when the last thing arrived."""
    wanted = REFERRALS * len(accepted.sent_at)
    await _far_ends_have(system, marks, wanted)
    await _nothing_unfinished(system)
    lines = _ledger(system)[marks.ledger :]
    arrivals = await _sink(system, marks.sink)
    figures = {"cases": len(accepted.sent_at)} | _losses(lines, arrivals, accepted) | _delays(lines, arrivals, accepted)
    last = max((line["at"] for line in lines), default=0.0), max((at for at, _ in arrivals), default=0.0)
    return figures, max(last)


async def _far_ends_have(system: System, marks: Marks, wanted: int) -> None:
    before, changed = (0, 0), time.monotonic()
    while time.monotonic() - changed < ARRIVE_WITHIN:
        have = _ledger_length(system) - marks.ledger, await _sink_length(system) - marks.sink
        if min(have) >= wanted:
            return
        if have != before:
            before, changed = have, time.monotonic()
        await asyncio.sleep(0.2)


async def _nothing_unfinished(system: System) -> None:
    """Work behind the far ends counts too: replies, fates and marks must be recorded."""
    for address, query in system.unfinished:
        database = await asyncpg.connect(address)
        deadline = time.monotonic() + ARRIVE_WITHIN
        while await database.fetchval(query) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await database.close()


def _losses(
    lines: Sequence[dict[str, Any]], arrivals: Sequence[tuple[float, str]], accepted: Accepted
) -> dict[str, int]:
    referrals = {line["referral_id"]: line["case_id"] for line in lines}
    of_case = Counter(referrals.values())
    # Counted, because two of many thousand codes may well be the same.
    due = Counter(referral_code(UUID(referral)) for referral in referrals)
    came = Counter(code for _, code in arrivals)
    return {
        "lost_referrals": sum(max(REFERRALS - of_case[case_id], 0) for case_id in accepted.sent_at),
        "lost_alerts": (due - came).total(),
        "doubled_cases": sum(1 for case_id in of_case if case_id not in accepted.sent_at),
        "doubled_referrals": sum(max(count - REFERRALS, 0) for count in of_case.values()),
        "repeated_deliveries": len(lines) - len(referrals),
        "repeated_alerts": (came - due).total(),
    }


def _delays(
    lines: Sequence[dict[str, Any]], arrivals: Sequence[tuple[float, str]], accepted: Accepted
) -> dict[str, dict[str, float]]:
    sent_at = accepted.sent_at
    known = [line for line in lines if line["case_id"] in sent_at]
    of_code = {referral_code(UUID(line["referral_id"])): sent_at[line["case_id"]] for line in known}
    return {
        "to_agency_ms": percentiles([1000 * (line["at"] - sent_at[line["case_id"]]) for line in known]),
        "to_alert_ms": percentiles([1000 * (at - of_code[code]) for at, code in arrivals if code in of_code]),
    }


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """p50 and p99, nearest rank."""
    ordered = sorted(milliseconds) or [float("nan")]
    return {f"p{p}": round(ordered[min(len(ordered) - 1, round(p / 100 * len(ordered)))], 1) for p in (50, 99)}


async def _marks(system: System) -> Marks:
    return Marks(_ledger_length(system), await _sink_length(system), _cpu(system), _machine())


def _cpu(system: System) -> dict[str, float]:
    spent = {name: _seconds(psutil.Process(system.processes[name].pid)) for name in PROCESSES}
    spent["load"] = _seconds(psutil.Process())
    return spent | _servers()


def _machine() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _servers() -> dict[str, float]:
    """CPU time of the private PostgreSQL and RabbitMQ, where this process started them."""
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
    # A machine that is busy with something else makes every figure worthless; here it shows.
    spent["others"] = round(1000 * max(_machine() - marks.machine - ours, 0) / cases, 2)
    return spent | {"services": round(sum(spent[name] for name in SERVICES), 2)}


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _ledger(system: System) -> list[dict[str, Any]]:
    return [json.loads(line) for line in system.ledger.read_bytes().splitlines()] if system.ledger.exists() else []


def _ledger_length(system: System) -> int:
    return system.ledger.read_bytes().count(b"\n") if system.ledger.exists() else 0


async def _sink_length(system: System) -> int:
    return int(await _ask(system, "/count"))


async def _sink(system: System, start: int) -> list[tuple[float, str]]:
    return [(at, code) for at, code in json.loads(await _ask(system, f"/arrivals?{start}"))]


async def _ask(system: System, path: str) -> bytes:
    connection = await bare_http.connect(system.sink_port)
    answer: Awaitable[tuple[int, bytes]] = connection.request(bare_http.message(f"GET {path} HTTP/1.1", b""))
    _, body = await answer
    connection.close()
    return body
