"""Measures disks and clocks."""

import ctypes
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from simpul_cli.doctor.checks.machine import MachineFacts
from simpul_cli.doctor.sources import Sources

_TIME_ERROR: Final = 5
"""What adjtimex(2) returns for a clock that is not synchronised."""
_TIMEX_BYTES: Final = 256
"""At least the size of its structure, whose first field asks for no change when it is zero."""


def collect(sources: Sources, skews: Mapping[str, timedelta]) -> MachineFacts:
    """Collects the state of this machine; the clocks of servers come from their own probes."""
    folders = {path for path in (sources.city_dir, sources.data, sources.backups, Path("/")) if path and path.exists()}
    return MachineFacts(_is_synchronised(), skews, _free_space(folders))


def _free_space(folders: set[Path]) -> dict[str, float]:
    """Returns the share that is free, once for each disk."""
    disks: dict[int, tuple[str, float]] = {}
    for folder in sorted(folders):
        usage = shutil.disk_usage(folder)
        disks.setdefault(folder.stat().st_dev, (str(folder), usage.free / usage.total))
    return dict(disks.values())


def _is_synchronised() -> bool:
    """Whether the kernel's clock follows a time server; True where the kernel does not say."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return True
    return bool(state != _TIME_ERROR)
