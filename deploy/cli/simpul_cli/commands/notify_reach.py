"""`simpul notify reach` and `log`: who was informed, by which means, how soon, and what came of it."""

import csv
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from simpul_city import City
from simpul_cli import notify
from simpul_cli.options import KEDIRI, CityDir, Database
from simpul_cli.servers import run_on_database
from simpul_notify.reach_report import COLUMNS, Period
from simpul_notify.repository.reach import GroupBy, LoggedAlert
from simpul_runtime.database import utc_now

LOG_COLUMNS: Final = (
    "recorded", "about", "party", "person", "by", "state", "reason", "provider", "delivery", "delivered", "answer",
    "answered",
)  # fmt: skip
AsCsv = Annotated[bool, typer.Option("--csv", help="for a spreadsheet; durations in seconds")]


def notify_reach(
    database_url: Database,
    month: Annotated[str, typer.Option(help="such as 2026-11; the last three months when omitted")] = "",
    by: Annotated[GroupBy, typer.Option(help="what a party's figures are divided by")] = GroupBy.AGENCY,
    as_csv: AsCsv = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Report for each month and party: who was informed, by which means, how soon, and how often that failed.

    The first row of a party counts its events, those below its messages. Durations are medians. A phone reports the
    arrival of an SMS; a mail reports nothing. Drills and weekly tests do not count.
    """
    zone = City.read(city_dir).zone
    try:
        period = Period.of(month, utc_now(), zone)
    except ValueError:
        typer.echo(f"--month is written as 2026-11, not {month}", err=True)
        raise typer.Exit(2) from None
    _print(COLUMNS, run_on_database(database_url, notify.read_reach(database_url, period, by, zone)), as_csv=as_csv)


def notify_log(
    code: Annotated[str, typer.Argument(metavar="CODE", help="R-7K3Q2M")],
    database_url: Database,
    as_csv: AsCsv = False,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Show every alert about a referral: whom, how, when, and what came of it; exit code 1 if there is none."""
    found = run_on_database(database_url, notify.find_log(database_url, code))
    if not found:
        typer.echo(f"{code}: nobody was alerted about this referral", err=True)
        raise typer.Exit(1)
    zone = City.read(city_dir).zone

    def shown(moment: datetime | None) -> str:
        return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z") if moment else ""

    _print(LOG_COLUMNS, [_log_row(one, shown) for one in found], as_csv=as_csv)


def _log_row(one: LoggedAlert, shown: Any) -> list[str]:
    return [
        shown(one.created_at),
        one.occasion,
        one.party,
        one.recipient.responder,
        one.recipient.method,
        one.state,
        one.reason,
        one.provider,
        one.delivery,
        shown(one.delivered_at),
        one.answer,
        shown(one.answered_at),
    ]


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]], *, as_csv: bool) -> None:
    if as_csv:
        csv.writer(sys.stdout).writerows([columns, *rows])
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*row)
    Console(markup=False, width=None if sys.stdout.isatty() else 200).print(table)
