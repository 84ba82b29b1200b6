"""The commands that read or change the local store."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from simpul_agency.agency import Agency, ReferralUnknown
from simpul_agency.command.errors import load_settings, refuse
from simpul_agency.drivers import driver_for
from simpul_agency.records import DeliveryStatus
from simpul_agency.store import Store
from simpul_agency.store.version import NEWEST
from simpul_schema.vocabulary import DossierSection

T = TypeVar("T")

console = Console(markup=False)


def add_commands(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    for command in (upgrade, parked, replay, fhir, notes):
        app.command()(command)
    app.command("verify-delivery")(verify_delivery)


def upgrade(dry_run: Annotated[bool, typer.Option(help="run the migrations, and roll them back")] = False) -> None:
    """Upgrade the store to this program's version, as a consumer does when it starts; stop the consumer first."""

    async def run_migrations() -> tuple[str, list[Any]]:
        store = Store(driver_for(load_settings().store_url))
        await store.connect()
        try:
            return await store.read_version(), await store.upgrade(dry_run=dry_run)
        finally:
            await store.close()

    version, steps = asyncio.run(run_migrations())
    for step in steps:
        typer.echo(f"{step.revision}: {step.title}")
    if not steps:
        typer.echo(f"the store has this program's version, {NEWEST}")
    elif dry_run:
        typer.echo(f"rolled back: the store still has {f'version {version}' if version else 'no tables'}")
    else:
        typer.echo(f"the store has version {NEWEST} now")


def parked() -> None:
    """List the parked messages with their reasons; never their content."""
    entries = run_in_store(lambda store: store.list_parked())
    table = Table("name", "type", "reason")
    for entry in entries:
        table.add_row(entry.name, entry.type, entry.reason)
    console.print(table if entries else "no message is parked")


def replay(name: Annotated[str, typer.Argument(help="a name that `parked` lists, or `all`")]) -> None:
    """Process parked messages again, once the cause is fixed; stop the consumer before, and start it afterwards."""
    agency = Agency.from_settings(load_settings())

    async def replay_messages() -> tuple[int, int]:
        await agency.store.open()
        try:
            names = [entry.name for entry in await agency.store.list_parked()] if name == "all" else [name]
            count = sum([await agency.replay_parked(one) for one in names])
            return count, len(await agency.store.list_parked())
        finally:
            await agency.store.close()

    count, left = asyncio.run(replay_messages())
    typer.echo(f"{count} replayed, {left} parked now")
    raise typer.Exit(0 if count or name == "all" else 1)


def verify_delivery(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Verify that every event in the city's delivery manifests was received; exit 1 if one is missing."""
    statuses = run_in_store(lambda store: store.compare_manifests())
    now = time.time()
    is_complete = bool(statuses) and all(one.first_missing is None and not one.is_silent(now) for one in statuses)
    if as_json:
        sources = [_as_json(status, now) for status in statuses]
        typer.echo(json.dumps({"complete": is_complete, "sources": sources}))
    else:
        _print_statuses(statuses, now)
    raise typer.Exit(0 if is_complete else 1)


def fhir(referral_id: Annotated[UUID, typer.Argument(help="the UUID in the events")]) -> None:
    """Write a referral as a FHIR R4 bundle with the status codes of HL7's BSeR; it does not name the child."""
    agency = Agency.from_settings(load_settings())

    async def export() -> dict[str, Any]:
        await agency.store.open()
        try:
            return await agency.export_fhir(referral_id)
        finally:
            await agency.store.close()

    try:
        typer.echo(json.dumps(asyncio.run(export()), indent=1, ensure_ascii=False))
    except ReferralUnknown as error:
        refuse(error)


def notes(referral_id: Annotated[UUID, typer.Argument(help="the UUID in the events")]) -> None:
    """Show what agencies that help the child noted, as far as this agency may read it; it is in the dossier."""
    agency = Agency.from_settings(load_settings())

    async def open_dossier() -> dict[DossierSection, Any]:
        await agency.store.open()
        try:
            return dict(agency.open_dossier(await agency.find_referral(referral_id)))
        finally:
            await agency.store.close()

    try:
        dossier = asyncio.run(open_dossier())
    except ReferralUnknown as error:
        refuse(error)
    found = [(section.value, note) for section, content in dossier.items() for note in content.notes]
    for section, note in sorted(found, key=lambda one: one[1].written_at):
        # Another agency wrote it: nothing in it may steer the terminal.
        shown = "".join(one if one.isprintable() else " " for one in note.text)
        typer.echo(f"{note.written_at.isoformat(timespec='minutes')} {note.agency}, {section}: {shown}")
    if not found:
        typer.echo("there is no note that this agency may read")


def run_in_store(work: Callable[[Store], Awaitable[T]]) -> T:
    """Runs work in the store that the settings name."""

    async def open_and_run() -> T:
        store = Store(driver_for(load_settings().store_url))
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(open_and_run())


def _as_json(status: DeliveryStatus, now: float) -> dict[str, Any]:
    return {
        "source": status.source,
        "last_number": status.last_number,
        "settled_number": status.settled_number,
        "missing": status.first_missing,
        "manifest_issued_at": _iso_time(status.issued_at),
        "is_silent": status.is_silent(now),
    }


def _print_statuses(statuses: Sequence[DeliveryStatus], now: float) -> None:
    for status in statuses:
        if status.first_missing is not None:
            first, last = status.first_missing
            typer.echo(f"{status.source}: events {first} to {last} of {status.last_number} are missing")
        else:
            issued_at = _iso_time(status.issued_at)
            typer.echo(f"{status.source}: all {status.last_number} events up to {issued_at} were received")
        if status.is_silent(now):
            typer.echo(f"{status.source}: its next delivery manifest is overdue")
    if not statuses:
        typer.echo("no delivery manifest has come yet: the consumer must have been running for some minutes")


def _iso_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
