"""The rules that a run must meet, and the table of results."""

from collections.abc import Mapping
from typing import Any, Final

from tests.bench.systems import SERVICES

THROUGHPUT: Final = 0.36
"""Minimum share of the floor's cases per second."""
SLOWNESS: Final = 3.0
"""Maximum ratio to the floor's p99 at 20 reports per second."""
MEMORY: Final = 115.0
"""Resident memory of a service in MB that it must stay below."""

Figures = Mapping[str, Any]


def ratios(simpul: Figures, floor: Figures) -> dict[str, float]:
    """Returns the ratio of Simpul to the floor."""

    def p99(system: Figures, way: str) -> float:
        return float(system["latency"][way]["p99"])

    return {
        "throughput": round(simpul["throughput"]["cases_per_second"] / floor["throughput"]["cases_per_second"], 3),
        "to_agency_p99": round(p99(simpul, "to_agency_ms") / p99(floor, "to_agency_ms"), 2),
        "to_alert_p99": round(p99(simpul, "to_alert_ms") / p99(floor, "to_alert_ms"), 2),
    }


def failures(simpul: Figures, compared: Mapping[str, float]) -> list[str]:
    """Describes the broken rules."""
    found = [
        f"{phase}: {simpul[phase][what]} {what.replace('_', ' ')}"
        for phase in ("throughput", "latency", "under_kills")
        for what in ("lost_referrals", "lost_alerts")
        if simpul[phase][what]
    ]
    if compared and compared["throughput"] < THROUGHPUT:
        found.append(f"throughput is {compared['throughput']} of the floor, at least {THROUGHPUT} is wanted")
    found += [
        f"{way} is {compared[way]} times the floor's, less than {SLOWNESS} is wanted"
        for way in ("to_agency_p99", "to_alert_p99")
        if compared and compared[way] >= SLOWNESS
    ]
    peaks = simpul["memory_mb"]
    return found + [
        f"{name} held {peaks[name]} MB, less than {MEMORY:.0f} is wanted" for name in SERVICES if peaks[name] >= MEMORY
    ]


def table(systems: Mapping[str, Figures]) -> str:
    """Renders the results of both systems as a table."""
    columns = {name: dict(_rows(figures)) for name, figures in systems.items()}
    labels = list(dict.fromkeys(label for rows in columns.values() for label in rows))
    width = max(map(len, labels)) + 2
    lines = [" " * width + "".join(f"{name:>18}" for name in columns)]
    lines += [
        f"{label:{width}}" + "".join(f"{rows.get(label, '-'):>18}" for rows in columns.values()) for label in labels
    ]
    return "\n".join(lines)


def _rows(figures: Figures) -> list[tuple[str, str]]:
    flow, paced = figures["throughput"], figures["latency"]
    rows = [
        ("cases/s, closed loop until drained", str(flow["cases_per_second"])),
        ("reports answered/s", str(flow["reports_taken_per_second"])),
        ("report -> agency p50 / p99 ms at 20/s", _pair(paced["to_agency_ms"])),
        ("report -> alert p50 / p99 ms at 20/s", _pair(paced["to_alert_ms"])),
    ]
    rows += [(f"CPU ms/case: {name}", str(spent)) for name, spent in flow["cpu_ms_per_case"].items()]
    rows += [(f"peak memory MB: {name}", str(peak)) for name, peak in figures["memory_mb"].items()]
    for phase in ("throughput", "latency", "under_kills"):
        if phase in figures:
            rows += _loss_rows(phase, figures[phase])
    return rows


def _loss_rows(phase: str, figures: Figures) -> list[tuple[str, str]]:
    name = phase.replace("_", " ")
    rows = [
        (f"{name}: cases", str(figures["cases"])),
        (f"{name}: lost referrals / alerts", f"{figures['lost_referrals']} / {figures['lost_alerts']}"),
        (f"{name}: doubled cases / referrals", f"{figures['doubled_cases']} / {figures['doubled_referrals']}"),
        (f"{name}: repeated deliveries / alerts", f"{figures['repeated_deliveries']} / {figures['repeated_alerts']}"),
        (f"{name}: messages to people / repeated", f"{figures['messages']} / {figures['repeated_messages']}"),
    ]
    return [*rows, (f"{name}: POSTs repeated", str(figures["retries"]))] if "retries" in figures else rows


def _pair(values: Mapping[str, float]) -> str:
    return f"{values['p50']} / {values['p99']}"
