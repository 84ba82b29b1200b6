"""`simpul token`: tokens with which people use routing's API by `simpul case`."""

from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, NoReturn
from uuid import UUID, uuid4

import typer
from rich.console import Console
from rich.table import Column, Table

from simpul_city import City
from simpul_cli.options import KEDIRI, CityDir
from simpul_routing.domain.actors import Actor
from simpul_routing.operator_tokens import TokenFileInvalid, TokenNotFound, issue_token, list_tokens, revoke_token
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import ActorRole

app = typer.Typer(no_args_is_help=True)

TOKENS = Path("deploy/directory/tokens.json")
TokensFile = Annotated[
    Path, typer.Option(envvar="SIMPUL_TOKENS_FILE", help="public halves of the tokens, which routing reads")
]


@app.command("issue")
def issue(
    agency: Annotated[str, typer.Argument(help="code of the agency for which the person acts, as in city.yaml")],
    role: Annotated[ActorRole, typer.Argument(help="role of the person")],
    to: Annotated[Path, typer.Option(help="new file for the person, with mode 600")],
    person: Annotated[
        UUID | None, typer.Option(help="reference of a person who had a token before; a new one by default")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="days until the token ends")] = 90,
    file: TokensFile = TOKENS,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Issue a token to a person; routing accepts it from the next request on."""
    codes = City.read(city_dir).agency_codes
    if role is not ActorRole.OPERATOR and agency not in codes:
        near = ", ".join(get_close_matches(agency, codes))
        _exit(f"the city has no agency {agency}; {f'did you mean {near}?' if near else 'see city.yaml'}")
    if to.exists():
        _exit(f"{to} exists; name a new file, or delete it after `simpul token revoke`")
    try:
        token = issue_token(file, Actor(person or uuid4(), agency, role), utc_now(), timedelta(days=days))
        token.write(to)
    except (TokenFileInvalid, OSError) as error:
        _exit(str(error))
    typer.echo(f"{to}: {role.label('en')} of {agency}, person {token.actor.code}, until {token.expires_at:%Y-%m-%d}")
    typer.echo(f"to use it: simpul case list --token {to}", err=True)
    typer.echo(f"to withdraw it: simpul token revoke {token.token_id}", err=True)


@app.command("list")
def show(file: TokensFile = TOKENS) -> None:
    """List the tokens that routing accepts, with person, agency, role and end."""
    try:
        tokens = list_tokens(file)
    except TokenFileInvalid as error:
        _exit(str(error))
    table = Table("id", Column("person", overflow="fold"), "agency", "role", "until", "")
    now = utc_now()
    for token in tokens:
        ended = "" if token.keys.is_valid_at(now) else "ended; routing refuses it"
        until = f"{token.keys.not_after:%Y-%m-%d}"
        table.add_row(token.token_id, token.actor.code, token.actor.agency, token.actor.role.value, until, ended)
    Console(markup=False).print(table if tokens else f"{file}: no tokens")


@app.command("revoke")
def revoke(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="from `simpul token list`")],
    file: TokensFile = TOKENS,
) -> None:
    """Withdraw a token; routing refuses it from the next request on."""
    try:
        token = revoke_token(file, identifier)
    except (TokenFileInvalid, TokenNotFound, OSError) as error:
        _exit(str(error))
    typer.echo(f"{identifier}: the token of {token.actor.role.value} {token.actor.code} of {token.actor.agency} ended")


def _exit(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(2) from None
