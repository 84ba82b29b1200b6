"""`simpul upgrade`: what an upgrade will do, and how long it takes."""

from typing import Annotated

import typer

from simpul_cli.options import Databases, read_databases
from simpul_cli.servers import run_on_database
from simpul_cli.upgrade import plan_upgrade

app = typer.Typer()


@app.command()
def upgrade(
    check: Annotated[bool, typer.Option("--check", help="only say what will happen; required")] = False,
    databases: Databases = None,
) -> None:
    """Say what an upgrade will do to each database, and about how long it takes.

    `deploy/up` then does it. Exit code 1 when a database cannot be upgraded by this version.
    """
    urls = read_databases(databases)
    if not check or not urls:
        typer.echo("run `simpul upgrade --check` with --database or SIMPUL_DATABASES; `deploy/up` upgrades", err=True)
        raise typer.Exit(2)
    plans = run_on_database(next(iter(urls.values())), plan_upgrade(urls))
    for plan in plans:
        if plan.is_newer:
            typer.echo(f"{plan.service}: revision {plan.revision} is of a newer version; this one cannot upgrade it")
        elif not plan.steps:
            typer.echo(f"{plan.service}: nothing to do, at revision {plan.revision}")
        else:
            rows = f", {plan.rows:,} rows in them" if plan.rows else ""
            tables = f"; touches {', '.join(plan.tables)}{rows}" if plan.tables else ""
            typer.echo(f"{plan.service}: {len(plan.steps)} migrations, about {plan.seconds:.0f} s{tables}")
            for step in plan.steps:
                typer.echo(f"  {step.revision}: {step.title}{' (not reversible by itself)' if step.deletes else ''}")
    typer.echo("before: `simpul backup create`. The services of the version before keep running meanwhile")
    raise typer.Exit(1 if any(plan.is_newer for plan in plans) else 0)
