"""A copy of Kediri whose agreement a test may change."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agreements import KEDIRI

Edit = Callable[[str, str, str], None]


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """The folder of a version of its own."""
    return Path(shutil.copytree(KEDIRI, tmp_path / "kediri")) / "agreement" / "2026-11"


@pytest.fixture
def edit(version: Path) -> Edit:
    """Replace a text in one of its files; the text must occur."""

    def replace(file: str, old: str, new: str) -> None:
        path = version / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return replace
