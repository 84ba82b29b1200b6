"""Notices when the checkout has other sources than those from which the images were built."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

SOURCES: Final = ("requirements.lock", "shared", "services", "deploy/cli", "deploy/dev", "deploy/images")
"""What the images are built from, apart from the city, which the containers read from its own folder."""
_IGNORED: Final = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache"})


def digest_of_sources(checkout: Path) -> str:
    """Returns the SHA-256 of the names and contents of all sources, in hexadecimal."""
    digest = sha256()
    for path in _files(checkout):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(checkout)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files(checkout: Path) -> Iterator[Path]:
    for name in SOURCES:
        path = checkout / name
        found = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (each for each in found if each.is_file() and _IGNORED.isdisjoint(each.parts))


class BuildRecord:
    """The sources from which the images of each version were built on this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_of(self, version: str, digest: str) -> bool:
        """Whether the images of a version were built from these sources."""
        return self._read().get(version) == digest

    def write(self, version: str, digest: str) -> None:
        """Records a build."""
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text(json.dumps(self._read() | {version: digest}, indent=1))
        unfinished.replace(self._path)

    def _read(self) -> dict[str, str]:
        try:
            return dict(json.loads(self._path.read_text()))
        except (OSError, ValueError, TypeError):
            return {}
