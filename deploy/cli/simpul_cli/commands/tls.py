"""`simpul tls`: certificates for the broker's encrypted port."""

from pathlib import Path
from typing import Annotated

import typer

from simpul_city import City
from simpul_cli.agency.certificates import Authority
from simpul_cli.options import KEDIRI, CityDir
from simpul_cli.prepare import write_broker_certificate
from simpul_runtime.database import utc_now

app = typer.Typer(no_args_is_help=True)
# With one command only, Typer would drop the name of the command.
app.callback()(lambda: None)


@app.command("init")
def tls_init(
    folder: Path,
    host: Annotated[list[str], typer.Option(help="name or address of the broker; repeatable")],
    city_dir: CityDir = KEDIRI,
) -> None:
    """Create the city's certificate authority and the certificate of its broker."""
    now = utc_now()
    authority = Authority.create(City.read(city_dir).name, now)
    try:
        authority.write(folder)
        write_broker_certificate(authority, folder, host, now)
    except FileExistsError as error:
        typer.echo(f"{error.filename} exists: an authority is never replaced; choose another folder", err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{folder}: authority.pem for everybody; broker.pem and broker.key for the broker; keep authority.key")
