"""Samples of every event and of every sealed section, all content invented.

`<wire name>.json` is a sample of an event, `<wire name>-<case>.json` a further one. `signatures.json` has the signature
of each file, by its name. `sections/<name>.json` is the content that is sealed in the samples of events. All are signed
and sealed with the test keys of `simpul_schema.fixtures`.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

SIGNATURES: Final = "signatures.json"


def samples() -> Iterator[tuple[str, str, bytes]]:
    """Yields each sample of an event as (wire name, file name, bytes)."""
    for entry in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json") and entry.name != SIGNATURES:
            yield entry.name.removesuffix(".json").partition("-")[0], entry.name, entry.read_bytes()


def signatures() -> dict[str, str]:
    """Returns the value of the header `simpul-signature` that belongs to each sample, by file name."""
    return dict(json.loads((files(__name__) / SIGNATURES).read_bytes()))


def section_sample(name: str) -> bytes:
    """Returns the sample of the content of a sealed section; raises FileNotFoundError if there is none."""
    return (files(__name__) / "sections" / f"{name}.json").read_bytes()
