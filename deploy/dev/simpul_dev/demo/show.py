"""`simpul-dev demo`: starts the city, sends the reports and shows what arrived."""

import asyncio
import json
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from simpul_agency.sandbox.process import request_parent_death_signal
from simpul_dev.backends import acquire
from simpul_dev.demo import play
from simpul_dev.demo.invented_reports import InventedReport, read_reports
from simpul_dev.demo.observer import Observer
from simpul_dev.local_city import ALL, LocalCity


class Stopped(BaseException):
    """The demo received a signal to stop."""


def run(folder: Path, city_dir: Path, *, once: bool, with_parent: bool) -> int:
    """Exit code 0 only if everything arrived."""

    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if with_parent:
        # `make` may be killed without a chance to pass it on.
        request_parent_death_signal(signal.SIGTERM)
    console = Console()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return _run(console, folder, city_dir, once=once)
    except Stopped:
        console.print("\nstopped; nothing is left running")
        return 0 if not once else 130


def _run(console: Console, folder: Path, city_dir: Path, *, once: bool) -> int:
    with console.status("starting PostgreSQL and RabbitMQ"):
        backends = acquire(console.print)
    with backends:
        city = LocalCity(folder, backends, city_dir)
        try:
            with console.status("making keys, databases and queues"):
                asyncio.run(city.prepare())
            with console.status("starting the services, each its own process"):
                city.start(*ALL)
                city.wait_ready(*ALL)
            summary = asyncio.run(_play(console, city))
            (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
            _show_pages(console, city, folder)
            if once:
                return 0 if play.has_all_arrived(summary) else 1
            console.print("Ctrl-C ends it.")
            signal.pause()
        finally:
            # A second Ctrl-C must not interrupt the cleaning up.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with console.status("stopping"):
                city.stop()
    return 0


async def _play(console: Console, city: LocalCity) -> dict[str, Any]:
    reports = read_reports(city.city.zone)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    async with Observer(city.backends.amqp_url) as observer:
        with Progress(*columns, console=console) as progress:
            sending = progress.add_task("sending reports", total=len(reports))
            await play.send(city, reports, lambda: progress.advance(sending))
        cases = {report.case_id for report in reports if report.status == 202}
        with console.status("waiting for the far ends"):
            ends = await play.wait_for_arrival(city, observer, cases, play.ARRIVE_WITHIN)
    summary = await play.summarise(city, reports, ends)
    _show_cases(console, reports, ends)
    console.print_json(json.dumps(summary))
    return summary


def _show_cases(console: Console, reports: list[InventedReport], ends: play.FarEnds) -> None:
    table = Table(title="report -> referrals -> agencies -> alerts")
    for name in ("report", "case", "referrals", "agencies", "alerts"):
        table.add_column(name)
    cases = play.by_case(ends)
    for report in reports:
        lines, alerts = cases.get(report.case_id, ([], Counter()))
        agencies = Counter(line["agency"] for line in lines)
        table.add_row(
            report.title,
            report.reference or f"refused ({report.status})",
            str(len(lines)),
            ", ".join(f"{agency} x{count}" if count > 1 else agency for agency, count in agencies.items()),
            ", ".join(f"{count} {channel}" for channel, count in sorted(alerts.items())),
        )
    console.print(table)


def _show_pages(console: Console, city: LocalCity, folder: Path) -> None:
    console.print(f"public form        {city.url('intake')}/lapor")
    console.print(f"API documentation  {city.url('intake')}/docs")
    console.print(f"referral board     {city.url('desk')}/")
    console.print(f"handset, mailbox   {city.url('handset')}/")
    console.print(f"figures and logs   {folder}")
