"""`simpul centre`: tokens of complaint centres for intake."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from simpul_city import City
from simpul_cli.options import KEDIRI, CityDir
from simpul_intake.centre_tokens import (
    TokenFileInvalid,
    TokenNotFound,
    add_token,
    list_tokens,
    revoke_tokens,
    token_id,
)

app = typer.Typer(no_args_is_help=True)

Centre = Annotated[str, typer.Argument(help="agency code of the complaint centre, as in city.yaml")]
TokenFile = Annotated[Path, typer.Option(envvar="SIMPUL_CENTRE_TOKENS_FILE", help="file that intake reads")]


@app.command("add-token")
def issue(code: Centre, file: TokenFile, city_dir: CityDir = KEDIRI) -> None:
    """Issue a token to a complaint centre and print it once; the file stores only a digest."""
    codes = City.read(city_dir).agency_codes
    if code not in codes:
        near = ", ".join(get_close_matches(code, codes))
        typer.echo(f"the city has no agency {code}; {f'did you mean {near}?' if near else 'see city.yaml'}", err=True)
        raise typer.Exit(2)
    try:
        token = add_token(file, code)
    except TokenFileInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(token)
    typer.echo(f"to withdraw it later: simpul centre revoke-token {code} {token_id(token)}", err=True)


@app.command("list-tokens")
def show(file: TokenFile, city_dir: CityDir = KEDIRI) -> None:
    """List the tokens in use by centre and id; the tokens themselves are stored nowhere."""
    codes = City.read(city_dir).agency_codes
    try:
        tokens = list_tokens(file)
    except TokenFileInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    table = Table("centre", "token id", "")
    for centre, identifier in tokens:
        table.add_row(centre, identifier, "" if centre in codes else "not in city.yaml; intake refuses it")
    Console(markup=False).print(table if tokens else f"{file}: no tokens")


@app.command("revoke-token")
def revoke(
    code: Centre,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="from list-tokens, or `all`")],
    file: TokenFile,
) -> None:
    """Withdraw one token of a centre, or all; intake refuses it from the next request on."""
    try:
        count = revoke_tokens(file, code, identifier)
    except (TokenFileInvalid, TokenNotFound) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{code}: {count} token{'' if count == 1 else 's'} withdrawn")
