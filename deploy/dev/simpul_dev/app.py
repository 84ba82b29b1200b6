"""The command `simpul-dev`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from simpul_cli.options import KEDIRI, CityDir
from simpul_dev.backends import BackendsMissing
from simpul_dev.demo import agencies as agency_consumers
from simpul_dev.demo import handset as simulated_handset
from simpul_dev.demo import show
from simpul_dev.local_city import NotStarted

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The whole city on one machine.")


@app.command()
def demo(
    city_dir: CityDir = KEDIRI,
    folder: Annotated[Path, typer.Option(help="folder for its files; emptied first")] = Path(".simpul/demo"),
    once: Annotated[bool, typer.Option(help="stop by itself; exit 0 only if everything arrived")] = False,
    with_parent: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Run the whole city on this machine, with invented reports."""
    try:
        code = show.run(folder.resolve(), city_dir.resolve(), once=once, with_parent=with_parent)
    except (BackendsMissing, NotStarted) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(code)


@app.command()
def handset(folder: Path, web_port: int, smtp_port: int, host: str = "127.0.0.1") -> None:
    """Run a simulated handset and mailbox."""
    asyncio.run(simulated_handset.serve(folder, web_port, smtp_port, host))


@app.command()
def agencies(
    city_dir: Path,
    key_folder: Path,
    ledger: Path,
    address_file: Annotated[Path, typer.Argument(help="the broker's address for each agency, as JSON")],
    accept: Annotated[bool, typer.Option(help="accept every referral")] = True,
    only: Annotated[list[str] | None, typer.Option(help="code of an agency; all agencies when omitted")] = None,
) -> None:
    """Run the agencies' consumers in one process."""
    addresses = json.loads(address_file.read_text())
    uvloop.run(
        agency_consumers.serve(city_dir, key_folder, addresses, ledger, accept=accept, only=only or ())
    )  # fmt: skip


def main() -> None:
    """Run the command."""
    app()
