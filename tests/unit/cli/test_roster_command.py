"""The roster is checked, shown, filled in as a table and drawn from calendars by one command."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from simpul_cli.commands.roster import app
from tests.unit.notify.test_duty import CALENDAR

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"


@pytest.fixture
def city_dir(tmp_path: Path) -> Path:
    """A copy of Kediri, to be modified."""
    return Path(shutil.copytree(KEDIRI, tmp_path / "kediri"))


def roster(city_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--city-dir", str(city_dir)])


def test_a_table_is_written_changed_and_taken_over_with_the_comments_of_the_file_kept(
    city_dir: Path, tmp_path: Path
) -> None:
    table = tmp_path / "people.csv"
    written = roster(city_dir, "export").stdout
    heading, *rows = written.replace("ylpa-1,en,083400111003", "ylpa-9,id,083400111009 / 083400111010").splitlines()
    rows = [f"{row}06.00-21.00" if "ylpa-9" in row else row for row in rows]
    table.write_text("\n".join([heading, *rows]).replace(",", ";"))

    result = roster(city_dir, "import", str(table))

    assert result.exit_code == 0, result.output
    changed = (city_dir / "roster.yaml").read_text()
    assert "ylpa-9" in changed
    assert "ylpa-1" not in changed
    [row] = [row for row in roster(city_dir, "export").stdout.splitlines() if "ylpa-9" in row]
    assert "ylpa-9,id,083400111009 / 083400111010," in row
    assert row.endswith(",06.00-21.00")
    assert "# Which channels are used at once, by urgency." in changed
    assert "ylpa-9" in roster(city_dir, "show").stdout
    assert "0834" not in roster(city_dir, "show").stdout


def test_every_mistake_of_a_table_is_named_with_its_row_and_nothing_changes(city_dir: Path, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    before = (city_dir / "roster.yaml").read_text()
    lines = roster(city_dir, "export").stdout.splitlines()
    lines[1] = "polres-ppa,polres-ppa-1,id,0354 123456,nowhere,sms/2,perhaps,soon,night"
    lines[2] = "bapas,polres-ppa-1,,083400111002,piket@uptd-ppa.example,,,2026-12-05..2026-12-01"
    table.write_text("\n".join(lines))

    result = roster(city_dir, "import", str(table))

    assert result.exit_code == 1
    problems = [line.partition("people.csv: ")[2].partition(":")[0] for line in result.stderr.splitlines()]
    assert problems == [
        "row 2, sms",
        "row 2, mail",
        "row 2, unverified",
        "row 2, safe_hours",
        "row 2, lead",
        "row 2, absences",
        "row 3, party",
        "row 3, responder",
        "row 3, language",
        "row 3, absences",
    ]
    assert "123456" not in result.stderr
    assert (city_dir / "roster.yaml").read_text() == before


def test_a_table_that_leaves_a_party_without_anybody_reachable_changes_nothing(city_dir: Path, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    before = (city_dir / "roster.yaml").read_text()
    written = roster(city_dir, "export").stdout
    table.write_text(written.replace("piket@ylpa.example,", "piket@ylpa.example,sms mail"))

    result = roster(city_dir, "import", str(table))

    assert (result.exit_code, result.stderr) == (
        1,
        "ylpa: ylpa-1 has no verified contact method\nylpa: nobody on duty\n",
    )
    assert (city_dir / "roster.yaml").read_text() == before
    assert list(city_dir.glob("*.new")) == []


@pytest.mark.parametrize("content", [b"PK\x03\x04\x00\xff", "party;responder\nylpa;ylpa-é".encode("latin-1")])
def test_a_workbook_or_another_encoding_is_refused_with_what_to_do(
    city_dir: Path, tmp_path: Path, content: bytes
) -> None:
    table = tmp_path / "people.csv"
    table.write_bytes(content)

    result = roster(city_dir, "import", str(table))

    assert result.exit_code == 2
    assert "save it in the spreadsheet as `CSV UTF-8`" in result.stderr


def test_a_number_that_a_spreadsheet_has_stripped_of_its_zero_is_read(city_dir: Path, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_text(roster(city_dir, "export").stdout.replace(",0834", ",834"))

    result = roster(city_dir, "import", str(table))

    assert result.exit_code == 0, result.output


def test_a_gap_is_named_with_its_time(city_dir: Path) -> None:
    path = city_dir / "roster.yaml"
    path.write_text(
        path.read_text().replace(
            "{responder: ylpa-1,", "{responder: ylpa-1, absences: [{from: 2020-01-01, until: 2099-01-01}],"
        )
    )

    result = roster(city_dir, "check")

    assert (result.exit_code, result.stderr) == (1, "ylpa: nobody on duty\n")


def test_the_calendar_of_a_party_is_taken_over_and_written(city_dir: Path, tmp_path: Path) -> None:
    calendar = tmp_path / "duty.ics"
    calendar.write_text(CALENDAR.replace("ani", "ylpa-1").replace("budi", "ylpa-1").replace("20261123", "20200106"))

    refused = roster(city_dir, "import", str(calendar), "--party", "rs-rujukan")
    accepted = roster(city_dir, "import", str(calendar), "--party", "ylpa")
    written = roster(city_dir, "export", "--party", "ylpa")

    assert (refused.exit_code, accepted.exit_code) == (2, 0)
    assert "not listed: ylpa-1" in refused.stderr
    assert "ylpa: {calendar: calendars/ylpa.ics}" in accepted.stdout
    assert (city_dir / "calendars" / "ylpa.ics").read_text() == calendar.read_text()
    assert "SUMMARY:ylpa-1" in written.stdout
