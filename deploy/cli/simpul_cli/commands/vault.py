"""`simpul vault`: master keys, legal holds and erasure of the cases that intake stores."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_agreement.commands import VersionDir, read_version
from simpul_cli.case_codes import IN_INTAKE, CaseArgument, find_case
from simpul_cli.options import SECRETS, Database
from simpul_cli.servers import run_on_database
from simpul_intake.erasure import CERTIFICATE, ErasureReason, HoldReason, is_reference
from simpul_intake.errors import (
    CaseHeld,
    CaseNotErased,
    CaseNotInVault,
    CaseStillSending,
    HolderUnknown,
    HoldUnknown,
    MasterKeyInUse,
    ReferenceInvalid,
)
from simpul_intake.use_cases import DueCase, EraseCases, FindDueCases, MasterKeys
from simpul_intake.vault import (
    MasterKeyFileInvalid,
    MasterKeyMissing,
    RetirementUnproven,
    add_master_key,
    check_retirement,
    read_master_keys,
    remove_master_key,
)
from simpul_runtime.database import create_engine, utc_now
from simpul_seal import KeyRing, sign

app = typer.Typer(no_args_is_help=True)

T = TypeVar("T")
_REFUSALS = (
    CaseHeld,
    CaseNotErased,
    CaseNotInVault,
    CaseStillSending,
    HolderUnknown,
    HoldUnknown,
    MasterKeyFileInvalid,
    MasterKeyInUse,
    MasterKeyMissing,
    ReferenceInvalid,
)
REFUSED = 2
"""Exit code of a command that was refused."""

KeyFilePath = Annotated[
    Path, typer.Option("--file", envvar="SIMPUL_VAULT_KEY_FILE", help="file with the vault's master keys")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show what would happen without doing it")]
Reference = Annotated[
    str, typer.Option(help="number of the file that records the reason, such as LP/B/12/XI/2026; never a name")
]
VAULT_KEY = SECRETS / "vault.key"


def _check_account(value: str) -> str:
    if not is_reference(value):
        msg = "an account is a word of letters, digits, dots, slashes, hyphens and underscores"
        raise typer.BadParameter(msg)
    return value


By = Annotated[str, typer.Option(help="account of the person who decided it; recorded", callback=_check_account)]


def _refuse(error: Exception) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(REFUSED)


def _refuse_write(file: Path, error: OSError) -> typer.Exit:
    typer.echo(f"{file} cannot be replaced ({type(error).__name__}); it is as it was. Run this with sudo", err=True)
    return typer.Exit(REFUSED)


def _run(database_url: str, work: Callable[[AsyncEngine], Awaitable[T]]) -> T:
    """Runs work on intake's database; a refusal ends the command with its sentence."""

    async def run() -> T:
        engine = create_engine(database_url, connections=2)
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    try:
        return run_on_database(database_url, run())
    except _REFUSALS as error:
        raise _refuse(error) from error


@app.command("status")
def show_status(database_url: Database) -> None:
    """Show how many keys each master key wraps, and how many cases are held."""

    async def load(engine: AsyncEngine) -> tuple[dict[str, int], int]:
        return dict(await MasterKeys(engine).count_wrapped_keys()), len(await EraseCases(engine).list_holds())

    counts, holds = _run(database_url, load)
    table = Table(Column("master key", overflow="fold"), "keys it wraps")
    for key_id, count in counts.items():
        table.add_row(key_id or "(rows of the first version)", str(count))
    Console(markup=False).print(table)
    typer.echo(f"{holds} legal hold{'' if holds == 1 else 's'}")


@app.command("rotate")
def rotate(
    file: KeyFilePath = VAULT_KEY,
    begins_in: Annotated[
        int,
        typer.Option(min=0, help="minutes until the new key wraps; until then restart every intake. 0 after a theft"),
    ] = 60,
    dry_run: DryRun = False,
) -> None:
    """Add a new master key to the file; intake re-wraps every case key under it while it serves.

    In a key service such as OpenBao, rotate the key there instead; intake follows.
    """
    begins = utc_now() + timedelta(minutes=begins_in)
    try:
        key_id = "a new master key" if dry_run else f"master key {add_master_key(file, begins).key_id}"
        keys = read_master_keys(file)
    except MasterKeyFileInvalid as error:
        raise _refuse(error) from error
    except OSError as error:
        raise _refuse_write(file, error) from error
    typer.echo(f"{key_id} {'would wrap' if dry_run else 'wraps'} from {begins:%Y-%m-%d %H:%M} UTC")
    if not dry_run:
        typer.echo(
            f"now: back up {file}, which holds {len(keys)} keys, and restart every intake before that time "
            "(`docker compose restart intake`). When `simpul vault status` no longer lists an older key, retire it"
        )


@app.command("retire")
def retire(
    key_id: Annotated[str, typer.Argument(help="id of a master key that wraps nothing any more")],
    database_url: Database,
    by: By,
    dry_run: DryRun = False,
) -> None:
    """Record that a master key is out of use; refused while it wraps anything.

    Once every copy of the key is destroyed, no backup of an erased case can be read.
    """

    async def record(engine: AsyncEngine) -> str:
        keys = MasterKeys(engine)
        if dry_run:
            await keys.check_unused(key_id)
            return ""
        return await keys.record_retirement(key_id, by, utc_now())

    code = _run(database_url, record)
    typer.echo(f"{key_id} wraps nothing and {'would be' if dry_run else 'is'} retired")
    if not dry_run:
        typer.echo(
            f"next: `simpul vault remove-key {key_id} --code {code}` where the key file is, and destroy every backup "
            "of the key"
            if key_id.startswith("file:")
            else "next: 24 hours after the rotation or later, make this version unusable in the key service "
            "(min_decryption_version)"
        )


@app.command("remove-key")
def remove_key(
    key_id: Annotated[str, typer.Argument(help="id of a master key that was retired")],
    code: Annotated[str, typer.Option(help="the code that `simpul vault retire` showed for this key")],
    file: KeyFilePath = VAULT_KEY,
    dry_run: DryRun = False,
) -> None:
    """Remove a retired master key from the key file.

    Cases whose keys it still wraps would be lost, so it takes the code that `simpul vault retire` shows.
    """
    try:
        keys = read_master_keys(file)
        if key_id not in [key.key_id for key in keys]:
            msg = f"{file} has no master key {key_id}"
            raise MasterKeyMissing(msg)
        now = utc_now()
        current = next((number for number, key in enumerate(keys) if key.counts_from <= now), len(keys) - 1)
        # A newer key that does not count yet wraps nothing, so the cases still need the one that does.
        if key_id in [key.key_id for key in keys[: current + 1]]:
            msg = f"{key_id} wraps now or will; run `simpul vault rotate`, and wait until a newer key wraps"
            raise MasterKeyMissing(msg)
        check_retirement(key_id, code)
        if not dry_run:
            remove_master_key(file, key_id)
    except (MasterKeyFileInvalid, MasterKeyMissing, RetirementUnproven) as error:
        raise _refuse(error) from error
    except OSError as error:
        raise _refuse_write(file, error) from error
    typer.echo(f"{key_id} {'would be' if dry_run else 'is'} removed from {file}")


@app.command("hold")
def place_hold(
    case: CaseArgument,
    database_url: Database,
    reason: Annotated[HoldReason, typer.Option(help="why the case must be kept")],
    reference: Reference,
    by: By,
) -> None:
    """Keep a case, and those merged with it, until the hold is released, whatever the retention says."""
    case_id = find_case(database_url, case, IN_INTAKE)
    is_new = _run(database_url, lambda engine: EraseCases(engine).place_hold(case_id, reason, reference, by))
    typer.echo(f"{case_id}: {'held' if is_new else 'was held already'} ({reason.value} {reference})")


@app.command("release")
def release_hold(
    case: CaseArgument,
    database_url: Database,
    reason: Annotated[HoldReason, typer.Option(help="as the hold was placed")],
    reference: Reference,
    by: By,
) -> None:
    """End a legal hold."""
    case_id = find_case(database_url, case, IN_INTAKE)
    _run(database_url, lambda engine: EraseCases(engine).release_hold(case_id, reason, reference, by))
    typer.echo(f"{case_id}: released ({reason.value} {reference})")


@app.command("holds")
def list_holds(database_url: Database) -> None:
    """List every legal hold."""
    holds = _run(database_url, lambda engine: EraseCases(engine).list_holds())
    table = Table(Column("case", overflow="fold"), "reason", "reference", "by", "since")
    for hold in holds:
        since = f"{hold.placed_at:%Y-%m-%d}"
        table.add_row(str(hold.case_id), hold.reason.value, hold.reference, hold.placed_by, since)
    Console(markup=False).print(table if holds else "no case is held")


@app.command("erase")
def erase(
    case: CaseArgument,
    database_url: Database,
    reason: Annotated[ErasureReason, typer.Option(help="why the case is erased")],
    by: By,
    dry_run: DryRun = False,
) -> None:
    """Destroy the data key of a case and everything encrypted under it. It cannot be undone."""
    case_id = find_case(database_url, case, IN_INTAKE)
    erased = _run(database_url, lambda engine: EraseCases(engine).erase_case(case_id, reason, by, dry_run=dry_run))
    sections = ", ".join(f"{name} ({count})" for name, count in erased.sections.items())
    typer.echo(f"{case_id}: {'would erase' if dry_run else 'erased'} {sections}")
    if not dry_run:
        missing = ", ".join(holder.name for holder in erased.holders if not holder.confirmed_at)
        typer.echo(f"next: have {missing} erase its copy, then `simpul vault confirm {case_id} HOLDER`")


@app.command("due")
def list_due(version: VersionDir, database_url: Database) -> None:
    """List what this version of the agreement no longer keeps; intake erases it by itself, except held cases."""
    agreement, _ = read_version(version)

    async def find(engine: AsyncEngine) -> list[DueCase]:
        return [due async for due in FindDueCases(engine, lambda _: agreement).find_due_cases()]

    found = _run(database_url, find)
    table = Table(Column("case", overflow="fold"), "ended", "kept long enough")
    for due in found:
        sections = "the whole case" if due.expiry.is_whole_case else ", ".join(sorted(due.expiry.sections))
        table.add_row(str(due.case.case_id), f"{due.case.ended_at:%Y-%m-%d}", sections)
    Console(markup=False).print(table if found else "nothing is due")


@app.command("confirm")
def confirm(
    case: CaseArgument,
    holder: Annotated[str, typer.Argument(help="who erased its copy, as the certificate names it")],
    database_url: Database,
    by: By,
) -> None:
    """Record that a holder confirmed the erasure of its copy."""
    case_id = find_case(database_url, case, IN_INTAKE)
    erased = _run(database_url, lambda engine: EraseCases(engine).confirm_erasure(case_id, holder, by))
    typer.echo(f"{case_id}: {holder} confirmed; {'every holder has' if erased.is_complete else 'others have not yet'}")


@app.command("certificate")
def certificate(
    case: CaseArgument,
    database_url: Database,
    key_file: Annotated[
        Path | None, typer.Option(envvar="SIMPUL_KEY_FILE", help="intake's private keys, to sign the certificate")
    ] = None,
) -> None:
    """Print the certificate of an erasure as JSON: what was erased, who confirmed it, and what it does not cover."""
    case_id = find_case(database_url, case, IN_INTAKE)
    erased = _run(database_url, lambda engine: EraseCases(engine).load_erased_case(case_id))
    document: dict[str, object] = erased.to_certificate()
    if key_file:
        # The exact text that is signed stands in the output, so that no reader has to write it again to the byte.
        text = json.dumps(document)
        document = {"signed": text, "signature": sign(text.encode(), KeyRing.read(key_file), domain=CERTIFICATE)}
    typer.echo(json.dumps(document, indent=1))
