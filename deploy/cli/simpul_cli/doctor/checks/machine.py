"""Faults of the machine: clocks that differ, disks that fill."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

MAX_SKEW: Final = timedelta(seconds=5)
"""Deadlines are counted in minutes; a difference above this shows a machine without time synchronisation."""
DANGEROUS_SKEW: Final = timedelta(minutes=2)
"""Assertions of people are good for a minute, keys are valid five minutes before they were made."""
LOW, VERY_LOW = 0.15, 0.05
"""Share of a disk that is free."""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """Clocks and disks."""

    is_synchronised: bool = True
    """Whether this machine's clock follows a time server."""
    skews: Mapping[str, timedelta] = field(default_factory=dict)
    """Server -> its clock minus the one of this machine."""
    free: Mapping[str, float] = field(default_factory=dict)
    """Folder -> the share of its disk that is free."""


def find_free_running_clock(facts: MachineFacts) -> Iterator[Finding]:
    """Finds a clock that follows no time server, so that deadlines drift."""
    if not facts.is_synchronised:
        cause = _("The clock of this machine follows no time server.")
        yield warning("clock_free", cause, "timedatectl set-ntp true")


def find_skewed_clocks(facts: MachineFacts) -> Iterator[Finding]:
    """Finds clocks that differ from that of this machine."""
    for server, skew in sorted(facts.skews.items()):
        if abs(skew) > MAX_SKEW:
            seconds = round(skew.total_seconds())
            cause = _("The clock of {server} differs by {seconds} seconds.", server=server, seconds=seconds)
            make = critical if abs(skew) > DANGEROUS_SKEW else warning
            yield make("clock_skew", cause, "timedatectl set-ntp true")


def find_filling_disks(facts: MachineFacts) -> Iterator[Finding]:
    """Finds disks with less than 15 % free."""
    for folder, free in sorted(facts.free.items()):
        if VERY_LOW <= free < LOW:
            cause = _("The disk of {folder} has {percent} % free.", folder=folder, percent=round(free * 100))
            yield warning("disk_filling", cause, "docker system prune && simpul backup list")


def find_full_disks(facts: MachineFacts) -> Iterator[Finding]:
    """Finds disks with less than 5 % free, on which database and broker stop."""
    for folder, free in sorted(facts.free.items()):
        if free < VERY_LOW:
            cause = _(
                "The disk of {folder} is almost full: {percent} % free.", folder=folder, percent=round(free * 100)
            )
            yield critical("disk_full", cause, "docker system prune && simpul backup list")


CHECKS: Final = (find_free_running_clock, find_skewed_clocks, find_filling_disks, find_full_disks)
