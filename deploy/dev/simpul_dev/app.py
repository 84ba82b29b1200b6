"""The command `simpul-dev`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from simpul_cli.keys import directory_file
from simpul_cli.options import KEDIRI, CityDir
from simpul_dev import sbom
from simpul_dev.backends import BackendsMissing
from simpul_dev.demo import agencies as agency_consumers
from simpul_dev.demo import desk_people, show
from simpul_dev.demo import handset as simulated_handset
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
def code(folder: Annotated[Path, typer.Option(help="folder of the demo")] = Path(".simpul/demo")) -> None:
    """Print the code of the demo's authenticator, with which its invented people sign in at the desk."""
    try:
        typer.echo(desk_people.current_code(folder))
    except FileNotFoundError as error:
        typer.echo(f"{folder} holds no demo; start it with `make demo`", err=True)
        raise typer.Exit(2) from error


@app.command()
def handset(
    folder: Path,
    web_port: int,
    smtp_port: int,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    name: Annotated[str, typer.Option(help="name of the mail server in its certificate; the address if omitted")] = "",
) -> None:
    """Run a simulated handset and mailbox."""
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(simulated_handset.serve(folder, web_port, smtp_port, host, name or host))


@app.command()
def agencies(
    city_dir: Path,
    key_folder: Path,
    ledger: Path,
    address_file: Annotated[Path, typer.Argument(help="the broker's address for each agency, as JSON")],
    accept_after: Annotated[
        float | None, typer.Option(help="seconds after which every service is accepted; none when omitted")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="code of an agency; all agencies when omitted")] = None,
    directory: Annotated[
        Path | None, typer.Option(help="public keys of all parties; directory.json in the folder of keys when omitted")
    ] = None,
) -> None:
    """Run the agencies' consumers in one process."""
    addresses = json.loads(address_file.read_text())
    keys = agency_consumers.AgencyKeys(key_folder, directory or directory_file(key_folder))
    uvloop.run(agency_consumers.serve(city_dir, keys, addresses, ledger, accept_after=accept_after, only=only or ()))


@app.command("help-texts")
def help_texts(package: Annotated[str, typer.Argument(help="such as simpul_cli")]) -> None:
    """Print what the commands of a package say with --help, as a template of its catalogue."""
    from simpul_dev.help_catalogue import write_template  # noqa: PLC0415 - imports every command

    typer.echo(write_template(package))


@app.command("sbom")
def write_sbom(
    images: Annotated[list[str], typer.Argument(help="such as simpul-intake:0.1.0")],
    to: Annotated[Path, typer.Option(help="folder of the documents")] = Path("dist/sbom"),
) -> None:
    """Write what images carry, with versions and licences, as CycloneDX documents."""
    try:
        for path in sbom.write(images, to):
            typer.echo(path)
    except sbom.NotRead as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def main() -> None:
    """Entry point."""
    app()
