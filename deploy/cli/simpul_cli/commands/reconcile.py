"""`simpul reconcile`: compares what services have published with what their receivers have."""

import asyncio
from datetime import timedelta
from typing import Annotated, Final

import typer

from simpul_city import City
from simpul_cli.options import KEDIRI, CityDir, Databases, read_databases
from simpul_cli.outbox import moment_of
from simpul_cli.reconciliation import GRACE, find_missing
from simpul_cli.reconciliation_watch import ReconciliationWatch
from simpul_cli.servers import run_on_database
from simpul_runtime.database import utc_now
from simpul_runtime.logging import configure_logging
from simpul_runtime.metrics import serve_metrics

app = typer.Typer()

FOUND: Final = 1
"""Exit code when a receiver lacks something."""


@app.command()
def reconcile(
    databases: Databases = None,
    since: Annotated[str, typer.Option(help="90m, 2h or 7d ago, or a moment such as 2026-11-26T08:00+07:00")] = "7d",
    repair: Annotated[bool, typer.Option("--repair", help="let senders publish again what receivers lack")] = False,
    every: Annotated[int | None, typer.Option(min=1, help="run for ever, and compare every so many minutes")] = None,
    metrics_host: Annotated[str, typer.Option(envvar="SIMPUL_METRICS_HOST", help="with --every")] = "127.0.0.1",
    metrics_port: Annotated[int, typer.Option(envvar="SIMPUL_METRICS_PORT", help="with --every")] = 9464,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Compare what services have published with what their receivers have.

    Exit code 1 if something is missing. Events of the last ten minutes may be on their way and do not count.
    """
    urls, now = read_databases(databases), utc_now()
    if len(urls) < 2:
        typer.echo("name at least two databases with --database or SIMPUL_DATABASES", err=True)
        raise typer.Exit(2)
    try:
        moment = moment_of(since, now)
    except (ValueError, OverflowError):
        typer.echo(f"{since} is not a time; write 90m, 2h, 7d or 2026-11-26T08:00+07:00", err=True)
        raise typer.Exit(2) from None
    code = City.read(city_dir).code
    if every:
        configure_logging("reconcile", "INFO")
        with serve_metrics(metrics_host, metrics_port):
            asyncio.run(ReconciliationWatch(urls, code, repair=repair).run(timedelta(minutes=every)))
    work = find_missing(urls, code, since=moment, before=now - GRACE, repair=repair)
    found = run_on_database(next(iter(urls.values())), work)
    done = "published again" if repair else "missing; --repair publishes them again"
    for one in found:
        typer.echo(f"{one.count} x {one.wire_name} of {one.sender} at {one.receiver}: {done}")
    if not found:
        typer.echo(f"everything published since {moment:%Y-%m-%d %H:%M %Z} has arrived")
    raise typer.Exit(FOUND if found and not repair else 0)
