"""What the doctor found is printed before it is published, and published without passwords."""

import json

import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_cli.doctor.examination import Examination
from simpul_cli.doctor.finding import critical
from simpul_cli.doctor.publishing import describe_findings
from simpul_cli.languages import Message

NOBODY = "postgresql://simpul_desk:rahasia@127.0.0.1:9/simpul_desk"


def test_a_database_that_is_away_keeps_nothing_from_the_operator() -> None:
    done = CliRunner().invoke(app, ["doctor", "--publish", "--json", "--database", f"desk={NOBODY}"])

    assert "database_unreachable" in {finding["code"] for finding in json.loads(done.stdout)["findings"]}
    assert "the database at 127.0.0.1:9 does not answer" in done.stderr
    assert done.exit_code == 3


@pytest.mark.parametrize("password", ["rahasia", "ra@hasia", "ra/hasia", "ra:@/hasia"])
def test_no_password_is_published(password: str) -> None:
    address = f"postgresql://simpul_desk:{password}@postgres:5432/desk"
    finding = critical("database_old", Message("{address} is old", address=address), f"psql {address} # see a@b")

    [published] = describe_findings(Examination([finding]))

    assert "hasia" not in json.dumps(published)
    assert published["remedy"] == "psql postgresql://postgres:5432/desk # see a@b"
