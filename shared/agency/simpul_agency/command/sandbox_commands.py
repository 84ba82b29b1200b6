"""The commands that try a consumer against a simulated city; each imports it only when it runs."""

import asyncio
import shlex
from pathlib import Path
from typing import Annotated, Final, Optional

import typer
from rich.console import Console

from simpul_agency.command.errors import refuse

_SANDBOX_FOLDER: Final = Path("simpul-sandbox")

console = Console(markup=False)


def add_commands(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    sandbox_app = typer.Typer(no_args_is_help=True, help="A simulated city on this machine.")
    sandbox_app.command("up")(sandbox_up)
    app.add_typer(sandbox_app, name="sandbox")
    app.command()(trigger)
    app.command()(conform)


def sandbox_up(
    code: Annotated[str, typer.Option("--as", help="code of the agency to be")] = "dinsos-peksos",
    folder: Annotated[Path, typer.Option(help="folder of its files")] = _SANDBOX_FOLDER,
    offers: Annotated[int, typer.Option(min=0, help="open referrals to begin with")] = 5,
) -> None:
    """Run a private broker and a simulated city with open referrals until Ctrl-C."""
    from simpul_agency.sandbox.process import BackendsMissing  # noqa: PLC0415 - see the module's docstring
    from simpul_agency.sandbox.server import run_sandbox  # noqa: PLC0415 - as above

    try:
        asyncio.run(run_sandbox(folder, code, offers, typer.echo))
    except BackendsMissing as error:
        refuse(error)


def trigger(
    name: Annotated[str, typer.Argument(help="such as referral.offered; `list` shows all")] = "list",
    scenario: Annotated[int, typer.Option(min=1, help="number of the invented child")] = 1,
    folder: Annotated[Path, typer.Option(help="folder of `sandbox up`")] = _SANDBOX_FOLDER,
) -> None:
    """Have the simulated city send something."""
    from simpul_agency.sandbox.server import (  # noqa: PLC0415 - see the module's docstring
        TRIGGERS,
        SandboxNotFound,
        send_trigger,
    )

    if name not in TRIGGERS:
        for known, description in TRIGGERS.items():
            typer.echo(f"{known:24} {description}")
        raise typer.Exit(0 if name == "list" else 2)
    try:
        typer.echo(asyncio.run(send_trigger(folder, name, scenario)))
    except SandboxNotFound as error:
        refuse(error)


def conform(
    command: Annotated[str, typer.Argument(help="command that starts the consumer, such as 'python consumer.py'")],
    only: Annotated[Optional[list[str]], typer.Option(help="name of a case; may be repeated")] = None,
    report: Annotated[Optional[Path], typer.Option(help="folder for report.json and report.html")] = None,
    show_cases: Annotated[bool, typer.Option("--list", help="list the cases and run none")] = False,
) -> None:
    """Test a consumer in any language against a simulated city on a real broker; exit 1 unless it conforms."""
    from simpul_agency.conformance import CASES, run_cases  # noqa: PLC0415 - see the module's docstring
    from simpul_agency.sandbox.process import BackendsMissing  # noqa: PLC0415 - as above

    if show_cases:
        for case in CASES:
            typer.echo(f"{case.name:28} {case.requirement}")
        return
    unknown = set(only or ()) - {case.name for case in CASES}
    if unknown:
        refuse(f"there is no case {', '.join(sorted(unknown))}: `simpul-agency conform x --list` shows all")
    try:
        outcome = asyncio.run(run_cases(shlex.split(command), only or [], console))
    except BackendsMissing as error:
        refuse(error)
    if report:
        for path in outcome.write(report):
            typer.echo(path)
    raise typer.Exit(0 if outcome.conforms else 1)
