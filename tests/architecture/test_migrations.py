"""The migrations of each database form one line, and the version before runs on what they make."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(ROOT.glob("*/*/simpul_*/migrations/versions"))
_REVISION = re.compile(r'^revision = "(\w+)"', re.MULTILINE)
_TAKES_AWAY = re.compile(r"\bDROP (?:COLUMN|TABLE)\b|\bRENAME\b|\bSET NOT NULL\b|op\.drop_|\brename_", re.IGNORECASE)
_ADDS_ONLY_SINCE = "20261128"
_PREVIOUS = re.compile(r'^down_revision = "(\w+)"', re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parents[1].name)
def test_each_migration_follows_exactly_one_other(folder: Path) -> None:
    sources = [path.read_text() for path in folder.glob("*.py")]

    revisions = {found[1] for source in sources if (found := _REVISION.search(source))}
    followed = Counter(found[1] for source in sources if (found := _PREVIOUS.search(source)))
    assert len(revisions) == len(sources)
    assert [name for name, count in followed.items() if count > 1] == []
    assert len(revisions - followed.keys()) == 1


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parents[1].name)
def test_no_migration_takes_away_what_the_version_before_uses(folder: Path) -> None:
    taking = [path.name for path in folder.glob("*.py") if _TAKES_AWAY.search(path.read_text())]

    # Earlier ones ran before a city could upgrade without a pause.
    assert [name for name in taking if name >= _ADDS_ONLY_SINCE] == []
