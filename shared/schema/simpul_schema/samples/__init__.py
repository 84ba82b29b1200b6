"""Samples of every event, all content invented; `<wire name>.json`, more as `<wire name>-<case>.json`."""

from collections.abc import Iterator
from importlib.resources import files


def samples() -> Iterator[tuple[str, str, bytes]]:
    """Each sample as (wire name, file name, bytes)."""
    for entry in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json"):
            yield entry.name.removesuffix(".json").partition("-")[0], entry.name, entry.read_bytes()
