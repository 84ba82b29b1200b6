"""`simpul desk`: accounts of people, for the first of an agency and for roles of the whole city."""

from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from simpul_city import City
from simpul_cli.options import KEDIRI, CityDir, Database
from simpul_cli.servers import run_on_database
from simpul_desk.access import Role
from simpul_desk.access.accounts import Accounts, Invitation
from simpul_desk.access.errors import AccountUnknown, LoginNameInvalid, LoginNameTaken, NameInvalid, RoleHeld
from simpul_desk.access.password_hashing import Passwords
from simpul_desk.access.transactions import Transactions
from simpul_runtime.database import create_engine, utc_now
from simpul_schema.translations import LANGUAGES

app = typer.Typer(no_args_is_help=True)

T = TypeVar("T")
_REFUSALS = {
    LoginNameInvalid: "{login} is not a login name: 3 to 60 small letters, digits, dots, hyphens, underscores or an @",
    LoginNameTaken: "{login} is taken; choose another login name, or give that person a role with `simpul desk grant`",
    NameInvalid: "the name must have 2 to 100 characters",
    AccountUnknown: "the desk has no open account {login}",
    RoleHeld: "{login} holds a role in that agency already",
}
LoginName = Annotated[str, typer.Argument(help="name with which the person signs in, such as siti.rahayu")]
AgencyCode = Annotated[str, typer.Option(help="code of the agency that employs the person, as in city.yaml")]
SiteUrl = Annotated[
    str, typer.Option(envvar="SIMPUL_DESK_URL", help="address of the desk, such as https://desk.simpul.kota.example")
]


@app.command("invite")
def invite(
    login: LoginName,
    name: Annotated[str, typer.Option(help="name of the person, as colleagues know it")],
    agency: AgencyCode,
    role: Annotated[Role, typer.Option(help="role of the person")],
    url: SiteUrl,
    database_url: Database,
    language: Annotated[str, typer.Option(help="language of the pages: id or en")] = "id",
    city_dir: CityDir = KEDIRI,
) -> None:
    """Invite a person: prints a link by which they choose a password. It works once and ends after a week."""
    _check(agency, language, city_dir)
    invitation = Invitation(name, login, language, agency, role)
    secret = _run(database_url, login, lambda accounts: accounts.invite(invitation, utc_now()))
    typer.echo(f"{url.rstrip('/')}/invitation/{secret}")


@app.command("grant")
def grant(
    login: LoginName,
    agency: AgencyCode,
    role: Annotated[Role, typer.Option(help="role of the person")],
    database_url: Database,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Give a further role to a person who has an account."""
    _check(agency, "id", city_dir)
    _run(database_url, login, lambda accounts: accounts.grant(login, agency, role, utc_now()))
    typer.echo(f"{login} is {role.value} for {agency}")


@app.command("recover")
def recover(login: LoginName, url: SiteUrl, database_url: Database) -> None:
    """Print a link for a person whom nobody at the desk can recover, such as the only coordinator.

    Speak to the person before you hand it over: whoever has it can use the account.
    """
    secret = _run(database_url, login, lambda accounts: accounts.recover(login, utc_now()))
    typer.echo(f"{url.rstrip('/')}/invitation/{secret}")


@app.command("close")
def close(login: LoginName, database_url: Database) -> None:
    """Close an account at once: its sessions end, and its person cannot sign in."""
    _run(database_url, login, lambda accounts: accounts.close(login, utc_now()))
    typer.echo(f"{login} is closed")


def _check(agency: str, language: str, city_dir: Path) -> None:
    codes = City.read(city_dir).agency_codes
    if agency not in codes:
        near = ", ".join(get_close_matches(agency, codes))
        typer.echo(f"{agency} is not an agency of the city{f'; did you mean {near}?' if near else ''}", err=True)
        raise typer.Exit(2)
    if language not in LANGUAGES:
        typer.echo(f"{language} is not a language of the pages; write {' or '.join(LANGUAGES)}", err=True)
        raise typer.Exit(2)


def _run(database_url: str, login: str, work: Callable[[Accounts], Awaitable[T]]) -> T:
    """Runs work on the desk's accounts; a refusal ends the command with its sentence."""

    async def run() -> T:
        engine = create_engine(database_url, connections=2)
        try:
            return await work(Accounts(Transactions(engine), Passwords()))
        finally:
            await engine.dispose()

    try:
        return run_on_database(database_url, run())
    except tuple(_REFUSALS) as error:
        typer.echo(_REFUSALS[type(error)].format(login=login), err=True)
        raise typer.Exit(2) from error
