"""`python -m tests.bench`: compares Simpul with a hand-written floor, on the same servers, in one run."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from simpul_dev.backends import acquire
from tests.bench import measure, verdict
from tests.bench.systems import PROCESSES, ROOT, Floor, Simpul, System

OUT: Final = ROOT / ".simpul" / "bench"
WARM_UP, CLIENTS = 150, 64
RATE, SECONDS = 20.0, 15.0
KILL_RATE, KILL_SECONDS = 40.0, 12.0


def main() -> int:
    """Runs the benchmark; returns 1 when a rule is broken."""
    arguments = _arguments()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    folder = Path(tempfile.mkdtemp(prefix="simpul-bench-"))
    try:
        with acquire(print) as backends:
            kinds: list[type[System]] = [Simpul] if arguments.only == "simpul" else [Simpul, Floor]
            figures = _measured([kind(folder / kind.__name__.lower(), backends) for kind in kinds], arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _report(figures)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="cases of each closed loop")
    parser.add_argument("--rounds", type=int, default=3, help="how often each system has its turn")
    parser.add_argument("--only", choices=["simpul"], help="leave the floor out; no ratios then")
    return parser.parse_args()


def _measured(systems: Sequence[System], arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measures the systems in alternation, because the speed of the machine changes from minute to minute."""
    flows: dict[str, list[dict[str, Any]]] = {system.name: [] for system in systems}
    paces: dict[str, list[dict[str, Any]]] = {system.name: [] for system in systems}
    figures: dict[str, dict[str, Any]] = {system.name: {} for system in systems}
    try:
        for system in systems:
            print(f"{system.name}: starting", flush=True)
            system.start()
            _run(measure.throughput(system, WARM_UP, CLIENTS))
            # For whoever wants to attach a profiler to the loaded services.
            pids = {name: system.processes[name].pid for name in PROCESSES}
            (OUT / f"{system.name}.pids.json").write_text(json.dumps(pids))
        for turn in range(1, arguments.rounds + 1):
            for system in systems:
                print(f"{system.name}: closed and open loop, {turn} of {arguments.rounds}", flush=True)
                flows[system.name].append(_run(measure.throughput(system, arguments.cases, CLIENTS)))
                paces[system.name].append(_run(measure.latency(system, RATE, SECONDS)))
        for system in systems:
            figures[system.name] = {
                "throughput": measure.together(flows[system.name]),
                "latency": measure.together(paces[system.name]),
                "memory_mb": measure.memory(system) | {"libraries alone": measure.memory_of_libraries()},
            }
            if isinstance(system, Simpul):
                print(f"{system.name}: open loop with kill -9", flush=True)
                figures[system.name]["under_kills"] = _run(measure.under_kills(system, KILL_RATE, KILL_SECONDS))
    except BaseException:
        for log in (log for system in systems for log in system.folder.glob("*.log")):
            shutil.copy(log, OUT / f"{log.parent.name}-{log.name}")
        raise
    finally:
        for system in systems:
            system.stop()
    return figures


def _run(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _report(figures: dict[str, Any]) -> int:
    compared = verdict.ratios(figures["simpul"], figures["floor"]) if "floor" in figures else {}
    broken = verdict.failures(figures["simpul"], compared)
    (OUT / "summary.json").write_text(json.dumps(figures | {"ratios": compared, "broken": broken}, indent=1) + "\n")
    print(verdict.table(figures))
    for name, ratio in compared.items():
        print(f"ratio {name}: {ratio}")
    for rule in broken:
        print(f"BROKEN {rule}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
