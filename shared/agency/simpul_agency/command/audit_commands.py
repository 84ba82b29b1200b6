"""`simpul-agency audit`: what this agency can prove about the city's audits."""

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from simpul_agency.command.errors import refuse
from simpul_agency.command.store_commands import run_in_store
from simpul_agency.store import Store
from simpul_agency.witness import explain_contradiction, find_silent
from simpul_schema.catalog import SERVICES
from simpul_seal import ContradictedHead, SignedHead, find_contradictions


def add_commands(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    audit_app = typer.Typer(no_args_is_help=True, help="The signed heads of the city's audits that this agency keeps.")
    audit_app.command("show")(show)
    audit_app.command("export")(export)
    audit_app.command("acknowledge")(acknowledge)
    app.add_typer(audit_app, name="audit")


def show(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Show the heads kept of each service; exit 1 for a new contradiction, or if none came for four hours."""
    heads, acknowledged = run_in_store(_load)
    contradictions = find_contradictions(heads)
    unseen = [one for one in contradictions if one.compute_id() not in acknowledged]
    newest = {head.service: head for head in heads}
    silent = find_silent(heads, datetime.now(timezone.utc))
    if as_json:
        listed = {
            name: {
                "heads": sum(one.service == name for one in heads),
                "newest": newest[name].before.isoformat() if name in newest else None,
                "is_silent": name in silent,
            }
            for name in SERVICES
        }
        found = [
            {
                "service": one.service,
                "before": one.before.isoformat(),
                "contradiction": one.contradiction.value,
                "is_acknowledged": one not in unseen,
            }
            for one in contradictions
        ]
        typer.echo(json.dumps({"services": listed, "contradictions": found}))
    else:
        for name in SERVICES:
            typer.echo(_describe(name, heads, is_silent=name in silent))
        for one in contradictions:
            mark = "CONTRADICTION" if one in unseen else "acknowledged"
            typer.echo(f"{mark}: {explain_contradiction(one)}")
        if contradictions:
            typer.echo("keep this store; `simpul-agency audit export FILE` writes what you can prove")
    raise typer.Exit(1 if unseen or silent else 0)


def export(file: Annotated[Path, typer.Argument(help="JSON lines, one for each head; must not exist")]) -> None:
    """Write every kept head; with it the city's auditor runs `simpul audit verify --witness FILE`."""
    heads = run_in_store(lambda store: store.list_heads())
    try:
        with file.open("x") as opened:
            opened.writelines(f"{head.to_line()}\n" for head in heads)
    except FileExistsError:
        refuse(f"{file} exists: choose another name")
    typer.echo(f"{len(heads)} heads were written to {file}")


def acknowledge() -> None:
    """Record that a person has seen the contradictions; the heads stay, and a new contradiction alarms again."""

    async def record(store: Store) -> list[ContradictedHead]:
        heads, acknowledged = await _load(store)
        unseen = [one for one in find_contradictions(heads) if one.compute_id() not in acknowledged]
        await store.acknowledge(unseen, time.time())
        return unseen

    recorded = run_in_store(record)
    for one in recorded:
        typer.echo(f"acknowledged: {explain_contradiction(one)}")
    if not recorded:
        typer.echo("there is no contradiction that nobody has acknowledged")


async def _load(store: Store) -> tuple[list[SignedHead], frozenset[str]]:
    return await store.list_heads(), await store.list_acknowledged()


def _describe(name: str, heads: list[SignedHead], *, is_silent: bool) -> str:
    own = [head for head in heads if head.service == name]
    if not own:
        return f"{name}: no head has come yet"
    age = "; none came for hours, so ask the city" if is_silent else ""
    return f"{name}: {len(own)} heads, the newest of {own[-1].before.isoformat()}{age}"
