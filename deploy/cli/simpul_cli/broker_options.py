"""The option for the passwords of the broker users, apart from the others because it imports every service."""

from typing import Annotated

import typer

from simpul_cli.broker_users import PasswordsIncomplete, read_passwords

BrokerPasswords = Annotated[
    str,
    typer.Option(
        "--passwords", envvar="SIMPUL_BROKER_PASSWORDS", help="SERVICE=password of each broker user, by spaces"
    ),
]


def read_broker_passwords(given: str) -> dict[str, str]:
    """Reads the passwords of the broker users; exits with 2 when one is missing."""
    try:
        return read_passwords(given)
    except PasswordsIncomplete as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
