"""Consumers to start from, in several languages."""

from importlib.resources import files
from pathlib import Path

LANGUAGES = ("python", "node", "php")
_FILES = {
    "python": ("consumer.py",),
    "node": ("consumer.mjs", "package.json"),
    "php": ("consumer.php", "composer.json"),
}


class StarterExists(Exception):
    """There is something already; the message says what."""


def write_starter(language: str, to: Path) -> list[Path]:
    """The files of a starter: one under the very name, several into the folder of that name.

    KeyError when there is none in that language, StarterExists rather than replace a file.
    """
    names = _FILES[language]
    paths = [to] if len(names) == 1 and to.suffix else [to / name for name in names]
    for path in paths:
        if path.exists():
            msg = f"{path} exists; choose another name"
            raise StarterExists(msg)
    source = files("simpul_agency.command") / "starter_files" / language
    for name, path in zip(names, paths):  # noqa: B905 - Python 3.10
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((source / name).read_text(encoding="utf-8"), encoding="utf-8")
    return paths
