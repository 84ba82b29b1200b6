"""`simpul contract`: the published messages."""

from pathlib import Path

import typer

from simpul_cli import contract
from simpul_schema.json_schemas import current_schemas

app = typer.Typer(no_args_is_help=True)


@app.command("check")
def contract_check() -> None:
    """Fail on breaking changes, naming the consumers, and on schemas that are out of date."""
    published, current = contract.published_schemas(), current_schemas()
    problems = contract.breaks(published, current)
    problems += [f"{name}: run `make schema`" for name in contract.stale(published, current)]
    for problem in problems:
        typer.echo(problem)
    raise typer.Exit(1 if problems else 0)


@app.command("write")
def contract_write(event_page: Path = Path("docs/events.md")) -> None:
    """Write the JSON schemas, the files made from them and the tables of events; refuse a breaking change."""
    problems = contract.write()
    for problem in problems:
        typer.echo(problem, err=True)
    if not problems and event_page.exists():
        event_page.write_text(contract.with_tables(event_page.read_text()))
    raise typer.Exit(1 if problems else 0)
