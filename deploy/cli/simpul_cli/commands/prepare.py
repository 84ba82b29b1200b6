"""`simpul prepare`: the files that docker-compose.yml needs."""

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from simpul_city import City
from simpul_cli import prepare
from simpul_cli.options import KEDIRI, CityDir
from simpul_cli.staging import PartlyPresent
from simpul_runtime.database import utc_now

app = typer.Typer()


@app.command()
def prepare_deployment(
    host: Annotated[list[str], typer.Option(help="name or address of the broker, as agencies reach it; repeatable")],
    root: Annotated[Path, typer.Option(help="folder of docker-compose.yml", exists=True)] = Path(),
    city_dir: CityDir = KEDIRI,
) -> None:
    """Create what docker-compose.yml needs: keys, certificates and .env. Running it again replaces nothing."""
    for name in host:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", name):
            typer.echo(f"{name!r} is not a host name; write it without scheme and port: broker.kota.example", err=True)
            raise typer.Exit(2)
    preparation = prepare.Preparation(root)
    try:
        made = {
            f"{preparation.secrets}, {preparation.directory}": preparation.create_keys(utc_now()),
            str(preparation.tls): preparation.create_certificates(City.read(city_dir).name, host, utc_now()),
            str(preparation.env): preparation.create_env(host[0]),
        }
    except (PartlyPresent, FileExistsError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    for path, is_new in made.items():
        typer.echo(f"{path}: {'made' if is_new else 'kept'}")
    if os.geteuid() == 0:
        preparation.give_to_owners()
    for uid, paths in preparation.owners().items():
        typer.echo(f"next: sudo chown {uid} {' '.join(map(str, paths))}")
    if missing := preparation.missing_values():
        typer.echo(f"next: fill in {', '.join(missing)} in {preparation.env}; nothing starts without them")
