"""Writes a starter, a small consumer in one of several languages."""

from importlib.resources import files
from pathlib import Path

_FILES = {"python": "consumer.py", "node": "consumer.mjs", "php": "consumer.php"}
LANGUAGES = tuple(_FILES)


class StarterExists(Exception):
    """The file exists already; the message names it."""


def write_starter(language: str, to: Path) -> Path:
    """Writes the starter to a file, or into a folder; returns its path.

    Raises KeyError for an unknown language, and StarterExists.
    """
    name = _FILES[language]
    path = to if to.suffix else to / name
    if path.exists():
        msg = f"{path} exists: choose another name"
        raise StarterExists(msg)
    path.parent.mkdir(parents=True, exist_ok=True)
    source = files("simpul_agency.command") / "starter_files" / language / name
    path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return path
