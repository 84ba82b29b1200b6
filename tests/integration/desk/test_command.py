"""`simpul desk`: the operator's way to the first accounts, and to lost ones."""

import re
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from simpul_cli.commands.desk import app
from tests.conftest import KEDIRI

DESK = "https://desk.kota.example"


@pytest.fixture
def login_name() -> str:
    return f"rekaan-{uuid4().hex[:12]}"


def run(database_url: str, *arguments: str) -> Result:
    given = {"SIMPUL_DATABASE_URL": database_url, "SIMPUL_DESK_URL": DESK + "/", "SIMPUL_CITY_DIR": str(KEDIRI)}
    return CliRunner().invoke(app, arguments, env=given)


def invite(database_url: str, login_name: str, *, agency: str = "rs-rujukan", role: str = "agency_lead") -> Result:
    return run(database_url, "invite", login_name, "--name=Wiji Rekaan", f"--agency={agency}", f"--role={role}")


def test_an_invitation_prints_one_link(desk_database: str, login_name: str) -> None:
    done = invite(desk_database, login_name)

    assert done.exit_code == 0
    assert re.fullmatch(rf"{DESK}/invitation/[\w-]{{43}}\n", done.output)


def test_a_role_is_added_once(desk_database: str, login_name: str) -> None:
    invite(desk_database, login_name)
    arguments = ("grant", login_name, "--agency=uptd-ppa", "--role=coordinator")

    first, again = run(desk_database, *arguments), run(desk_database, *arguments)
    second_in_agency = run(desk_database, "grant", login_name, "--agency=rs-rujukan", "--role=responder")

    assert (first.exit_code, again.exit_code, second_in_agency.exit_code) == (0, 2, 2)
    assert "holds a role in that agency already" in again.output


def test_an_account_is_recovered_and_closed(desk_database: str, login_name: str) -> None:
    invite(desk_database, login_name)

    recovered, closed = run(desk_database, "recover", login_name), run(desk_database, "close", login_name)

    assert recovered.output.startswith(f"{DESK}/invitation/")
    assert closed.output == f"{login_name} is closed\n"
    assert "no open account" in run(desk_database, "recover", login_name).output


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"agency": "rs-rujukann"}, "did you mean rs-rujukan?"),
        ({"role": "chief"}, "is not one of"),
        ({"login_name": "Wiji Rekaan"}, "is not a login name"),
    ],
)
def test_what_is_wrong_is_named(desk_database: str, login_name: str, changes: dict[str, str], text: str) -> None:
    refused = invite(desk_database, **({"login_name": login_name} | changes))

    assert refused.exit_code == 2
    assert text in refused.output


def test_a_login_name_that_is_taken_is_refused(desk_database: str, login_name: str) -> None:
    invite(desk_database, login_name)

    taken = invite(desk_database, login_name)

    assert (taken.exit_code, f"{login_name} is taken" in taken.output) == (2, True)
