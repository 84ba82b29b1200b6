"""A time that a command prints has its zone."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("deploy/cli/simpul_cli", "shared/agency/simpul_agency/command")
HOUR = re.compile(r"%H.*")
ZONE = re.compile(r"%[zZ]|%SZ|\+00\b|\bUTC\b")
NOT_SHOWN = re.compile(r"request-")
"""In the name of a file."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_hour_is_followed_by_its_zone(folder: str) -> None:
    lines = [
        (path.name, found[0])
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text().splitlines()
        if (found := HOUR.search(line)) and not NOT_SHOWN.search(line)
    ]

    assert [line for line in lines if not ZONE.search(line[1])] == []
    assert lines
