"""The names of backups."""

from datetime import UTC, datetime
from pathlib import Path

from simpul_cli.backup.create import claim_name

NOW = datetime(2026, 11, 26, 21, 0, 0, tzinfo=UTC)


def test_backups_that_begin_within_one_second_get_a_name_each(tmp_path: Path) -> None:
    (tmp_path / "20261126T210000Z").mkdir()

    assert [claim_name(tmp_path, NOW) for _ in range(2)] == ["20261126T210001Z", "20261126T210002Z"]
    assert sorted(path.name for path in tmp_path.glob("*.unfinished")) == [
        "20261126T210001Z.unfinished",
        "20261126T210002Z.unfinished",
    ]
