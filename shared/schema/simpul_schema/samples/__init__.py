"""Samples of every event, all content invented; `<wire name>.json`, more as `<wire name>-<case>.json`.

`signatures.json` has the signature of each file, by its name, made with the test keys of `simpul_schema.fixtures`.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

SIGNATURES: Final = "signatures.json"


def samples() -> Iterator[tuple[str, str, bytes]]:
    """Each sample as (wire name, file name, bytes)."""
    for entry in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json") and entry.name != SIGNATURES:
            yield entry.name.removesuffix(".json").partition("-")[0], entry.name, entry.read_bytes()


def signatures() -> dict[str, str]:
    """The value of the header `simpul-signature` that belongs to each sample, by file name."""
    return dict(json.loads((files(__name__) / SIGNATURES).read_bytes()))
