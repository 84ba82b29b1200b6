"""`simpul-dev demo`: starts the city, sends the reports and shows what arrived."""

import asyncio
import json
import shlex
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from simpul_agency.sandbox.process import request_parent_death_signal
from simpul_dev.backends import acquire
from simpul_dev.demo import play
from simpul_dev.demo.desk_people import DemoPeople, add_people
from simpul_dev.demo.first_minutes import HOSTED, list_steps, write_page
from simpul_dev.demo.invented_reports import InventedReport, read_reports
from simpul_dev.demo.observer import Observer
from simpul_dev.local_city import ALL, LocalCity

ACCEPT_AFTER = 20.0
"""Seconds after which the agencies of the demo accept, so that the people on duty are alerted first."""
ENVIRONMENT = {"SIMPUL_BUNDLE_PERIOD": "5"}
"""What is not urgent waits 5 seconds for other alerts instead of a minute; the reports arrive within a few seconds."""


class Stopped(BaseException):
    """The demo received a signal to stop."""


def run(folder: Path, city_dir: Path, *, once: bool, with_parent: bool) -> int:
    """Runs the demo; returns exit code 0 only if everything arrived."""

    def stop(*_: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if with_parent:
        # `make` may be killed before it can pass the signal on.
        request_parent_death_signal(signal.SIGTERM)
    console = Console(markup=False)
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
        city = LocalCity(folder, backends, city_dir, accept_after=ACCEPT_AFTER, hosted=HOSTED, environment=ENVIRONMENT)
        try:
            with console.status("creating keys, databases and queues"):
                asyncio.run(city.prepare())
            people = asyncio.run(add_people(city))
            with console.status("starting the services"):
                city.start(*ALL)
                city.wait_ready(*ALL)
            summary = asyncio.run(_play(console, city))
            (folder / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
            _show_pages(console, city, folder)
            _show_people(console, city, people)
            _show_first_minutes(console, city)
            if once:
                return 0 if play.has_all_arrived(summary) else 1
            console.print("Press Ctrl-C to stop.")
            signal.pause()
        finally:
            # A second Ctrl-C must not interrupt the clean-up.
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
        with console.status("waiting until everything has arrived"):
            ends = await play.wait_for_arrival(city, observer, cases, play.ARRIVE_WITHIN)
    summary = await play.summarise(city, reports, ends)
    _show_cases(console, reports, ends)
    console.print_json(json.dumps(summary))
    return summary


def _show_cases(console: Console, reports: list[InventedReport], ends: play.FarEnds) -> None:
    table = Table(
        title="report -> referrals -> agencies -> messages to people",
        caption=f"One message may be about several cases: there were {len(ends.arrivals)}.",
    )
    for name in ("report", "case", "referrals", "services", "agencies", "messages about it"):
        table.add_column(name)
    cases = play.group_by_case(ends)
    for report in reports:
        lines, messages = cases.get(report.case_id, ([], Counter()))
        table.add_row(
            report.title,
            report.reference or f"refused ({report.status})",
            str(len(lines)),
            str(sum(len(line["services"]) for line in lines)),
            ", ".join(line["agency"] for line in lines),
            ", ".join(f"{count} {channel}" for channel, count in sorted(messages.items())),
        )
    console.print(table)


def _show_pages(console: Console, city: LocalCity, folder: Path) -> None:
    console.print(f"public form        {city.url('intake')}/lapor")
    console.print(f"API documentation  {city.url('intake')}/docs")
    console.print(f"desk               {city.url('desk')}/")
    console.print(f"handset, mailbox   {city.url('handset')}/")
    console.print(f"figures and logs   {folder}")
    # In one piece, to be copied. With these settings the commands that `simpul case` itself prints can be copied, too.
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in coordinator_settings(city).items())
    console.print("\ncases as a coordinator, in another terminal:")
    console.print(f'  export PATH={shlex.quote(sys.prefix)}/bin:"$PATH" {settings}', soft_wrap=True)
    console.print("  simpul case list                     # late ones first; --language en, --help")
    console.print("  simpul case triage                   # what waits for a person")
    console.print("  simpul case show CODE                # also timeline CODE, plan CODE\n")


def _show_first_minutes(console: Console, city: LocalCity) -> None:
    steps = list_steps(city)
    write_page(city.folder, steps)
    console.print(f"\nthe first five minutes, also at {city.url('handset')}/start")
    for number, step in enumerate(steps, 1):
        console.print(f"{number}. {step.title}: {step.text}\n   {step.address}", soft_wrap=True)


def _show_people(console: Console, city: LocalCity, people: DemoPeople) -> None:
    table = Table(title=f"sign in at {city.url('desk')}/")
    for name in ("login name", "role", "agency"):
        table.add_column(name)
    for person in people.people:
        table.add_row(person.login_name, person.role.label("en"), person.agency)
    console.print(table)
    console.print(f"password           {people.password}")
    console.print(f"authenticator key  {people.key}")
    console.print("or, instead of an authenticator: .venv/bin/simpul-dev code", soft_wrap=True)


def coordinator_settings(city: LocalCity) -> dict[str, str]:
    """Returns the environment in which `simpul case` reaches the demo as its coordinator."""
    return {
        "SIMPUL_ROUTING_URL": city.url("routing"),
        "SIMPUL_TOKEN_FILE": str(city.coordinator_token),
        "SIMPUL_CITY_DIR": str(city.city_dir),
    }
