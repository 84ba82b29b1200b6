"""`simpul roster`: who is alerted."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from simpul_city import City, read_yaml
from simpul_cli.options import KEDIRI, CityDir
from simpul_notify.domain.duty import HORIZON, Period
from simpul_notify.roster import RosterFile, read_escalation_levels
from simpul_notify.roster.calendars import read_shifts, write_calendar
from simpul_notify.roster.table import read_table, write_people, write_table
from simpul_runtime.database import utc_now

app = typer.Typer(no_args_is_help=True)

_EXPORTED = timedelta(weeks=12)


@app.command("check")
def check(city_dir: CityDir = KEDIRI) -> None:
    """Find gaps in roster.yaml: parties without anybody on duty in the next two weeks, people who cannot be reached."""
    file = _read(city_dir)
    if file.faults or file.gaps:
        _fail([*file.faults, *file.gaps])
    typer.echo(f"{len(file.plan.duties)} parties: no gap in the next {HORIZON.days} days")


@app.command("show")
def show(
    city_dir: CityDir = KEDIRI,
    at: Annotated[datetime | None, typer.Option(help="local time; now, if it is left out")] = None,
) -> None:
    """Show who is on duty, the first one to be alerted at the front; numbers and addresses are not shown."""
    file = _read(city_dir)
    moment = at.replace(tzinfo=file.plan.zone) if at else utc_now()
    roster = file.plan.roster_at(moment)
    table = Table("party", "on duty", "lead", title=moment.astimezone(file.plan.zone).strftime("%Y-%m-%d %H:%M %Z"))
    for party, people in roster.on_duty.items():
        leads = roster.leads.get(party, ())
        table.add_row(party, *(", ".join(person.reference for person in group) for group in (people, leads)))
    Console(markup=False).print(table)


@app.command("export")
def export(
    city_dir: CityDir = KEDIRI,
    party: Annotated[str, typer.Option(help="write the duty of this party as iCalendar")] = "",
) -> None:
    """Write everybody as CSV, or the duty of a party in the next 12 weeks as iCalendar."""
    if not party:
        typer.echo(write_table(read_yaml(city_dir / "roster.yaml")), nl=False)
        return
    file, now = _read(city_dir), utc_now()
    if party not in file.plan.duties:
        _refuse(f"roster.yaml has no party {party}")
    shifts = file.plan.list_shifts(party, Period(now, now + _EXPORTED))
    typer.echo(write_calendar(party, shifts, now).decode(), nl=False)


@app.command("import")
def import_file(
    source: Annotated[Path, typer.Argument(help="a table (.csv) of everybody, or the calendar (.ics) of one party")],
    city_dir: CityDir = KEDIRI,
    party: Annotated[str, typer.Option(help="whose calendar it is")] = "",
) -> None:
    """Take over a table or a calendar; with a mistake in it nothing changes, and each is named with its row."""
    if source.suffix == ".ics":
        _import_calendar(source, city_dir, party)
        return
    city, levels = City.read(city_dir), _levels(city_dir)
    path = city_dir / "roster.yaml"
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        _refuse(f"{source} cannot be read as UTF-8: save it in the spreadsheet as `CSV UTF-8`")
    people, errors = read_table(text, read_yaml(path)["country"], city, levels)
    for error in errors:
        typer.echo(f"{source}: {error}", err=True)
    if errors:
        raise typer.Exit(1)
    # In the same folder, because the roster may name calendars.
    changed = path.with_suffix(".new")
    write_people(path, changed, people, levels)
    file = RosterFile.read(changed, city, levels, utc_now())
    if file.faults or file.gaps:
        changed.unlink()
        _fail([*file.faults, *file.gaps])
    # At once, because notify reads the file while it runs.
    changed.replace(path)
    check(city_dir)


def _import_calendar(source: Path, city_dir: Path, party: str) -> None:
    file, now = _read(city_dir), utc_now()
    if party not in file.plan.duties:
        _refuse("name the party whose calendar it is with --party, as in roster.yaml")
    try:
        shifts = read_shifts(source, Period(now, now + HORIZON), file.plan.zone)
    except (ValueError, KeyError):
        _refuse(f"{source} cannot be read as a calendar, or an event in it lacks a title or an end")
    listed = {person.reference for person in file.plan.duties[party].people}
    strangers = sorted({shift.responder for shift in shifts} - listed)
    if strangers:
        _refuse(f"the titles of events must be references of {party}; not listed: {', '.join(strangers)}")
    target = city_dir / "calendars" / f"{party}.ics"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(source.read_bytes())
    duty: dict[str, Any] = read_yaml(city_dir / "roster.yaml").get("duty", {}).get(party, {})
    if "calendar" not in duty:
        typer.echo(f"add to roster.yaml, under duty:  {party}: {{calendar: calendars/{party}.ics}}")
        return
    check(city_dir)


def _read(city_dir: Path) -> RosterFile:
    return RosterFile.read(city_dir / "roster.yaml", City.read(city_dir), _levels(city_dir), utc_now())


def _levels(city_dir: Path) -> dict[str, str]:
    return read_escalation_levels(city_dir / "agreement")


def _fail(problems: Sequence[str]) -> NoReturn:
    for problem in problems:
        typer.echo(problem, err=True)
    raise typer.Exit(1)


def _refuse(problem: str) -> NoReturn:
    typer.echo(problem, err=True)
    raise typer.Exit(2)
