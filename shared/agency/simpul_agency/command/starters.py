"""Consumers to start from, in several languages."""

from importlib.resources import files
from pathlib import Path

_FILES = {"python": "consumer.py", "node": "consumer.mjs", "php": "consumer.php"}
LANGUAGES = tuple(_FILES)


class StarterExists(Exception):
    """There is something already; the message says what."""


def write_starter(language: str, to: Path) -> Path:
    """Write the starter under that name; into it, when it is a folder.

    KeyError when there is none in that language, StarterExists rather than replace a file.
    """
    name = _FILES[language]
    path = to if to.suffix else to / name
    if path.exists():
        msg = f"{path} exists; choose another name"
        raise StarterExists(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    source = files("simpul_agency.command") / "starter_files" / language / name
    path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return path
