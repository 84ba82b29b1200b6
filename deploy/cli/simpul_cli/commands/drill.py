"""`simpul drill`: plays an emergency with the real channels, and reports who was reached in which minute."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from simpul_city import City
from simpul_cli.languages import Message
from simpul_cli.languages import Message as _
from simpul_cli.options import KEDIRI, CityDir, Databases, read_databases
from simpul_cli.servers import run_on_database
from simpul_notify.channels import load_providers
from simpul_notify.domain.contact_rules import ContactRules
from simpul_notify.domain.drill import DrillMessage, DrillState, PartyDrill, has_reached_all
from simpul_notify.domain.responders import Roster
from simpul_notify.domain.roster_changes import RosterChange
from simpul_notify.errors import NeverContactInvalid, ProviderInvalid, RosterInvalid
from simpul_notify.never_contact import FILE_NAME, read_never_contact
from simpul_notify.repository.roster_changes import find_changes
from simpul_notify.roster import read_escalation_levels, read_roster
from simpul_notify.use_cases import Dispatch, PlayDrill
from simpul_notify.use_cases.play_drill import find_ladder
from simpul_runtime.database import create_engine, utc_now
from simpul_schema.translations import LANGUAGES, preferred_language

app = typer.Typer()

NOT_REACHED: Final = 1
"""Exit code when nobody of a party confirmed."""
REFUSED: Final = 2
PROVIDER_TIMEOUT: Final = timedelta(seconds=10)
_STATES: Final = {
    DrillState.CONFIRMED: _("confirmed"),
    DrillState.EXHAUSTED: _("everybody was alerted, nobody confirmed"),
    DrillState.TIMED_OUT: _("nobody had confirmed when the time was up"),
    DrillState.NOBODY: _("the roster has nobody who can be alerted"),
}


@app.command()
def drill(
    public_url: Annotated[
        str, typer.Option(envvar="SIMPUL_PUBLIC_URL", help="address that begins the links of messages")
    ],
    party: Annotated[
        list[str] | None, typer.Option(help="agency or level of the roster; repeatable, all when omitted")
    ] = None,
    minutes: Annotated[int, typer.Option(min=1, max=240, help="when the drill ends at the latest")] = 20,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list whom it would alert, in order; send nothing")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    databases: Databases = None,
    providers: Annotated[
        str, typer.Option(envvar="SIMPUL_PROVIDERS", help="as in notify; each reads its own settings")
    ] = "kannel,smtp",
    report_url: Annotated[
        str, typer.Option(envvar="SIMPUL_REPORT_URL", help="where gateways report to notify; empty: no reports")
    ] = "",
    city_dir: CityDir = KEDIRI,
    language: Annotated[
        str | None, typer.Option(help=f"{' or '.join(LANGUAGES)}; of the environment when omitted")
    ] = None,
) -> None:
    """Play an emergency with the real channels: who was reached in which minute.

    Every message says that it is a drill. There is no case, and no agency gets a referral. People are alerted as in an
    emergency, one after another until somebody of each party confirms. Exit code 1 when nobody of a party did.
    """
    chosen = language if language in LANGUAGES else preferred_language(os.environ)
    city = City.read(city_dir)
    roster = _read_roster(city_dir, city, ())
    parties = _choose_parties(roster, party)
    if dry_run:
        _show(_ladders_of(roster, parties, chosen))
        return
    notify_url = read_databases(databases).get("notify")
    if not notify_url:
        typer.echo("name the database of notify with --database or SIMPUL_DATABASES", err=True)
        raise typer.Exit(REFUSED)
    if not yes:
        question = _("Send messages of a drill to the people of {count} parties now?", count=len(parties))
        typer.confirm(question.in_language(chosen), abort=True)

    def show_message(played: PartyDrill, message: DrillMessage) -> None:
        if not as_json:
            typer.echo(_line_of(played, message).in_language(chosen))

    async def play() -> list[PartyDrill]:
        engine = create_engine(notify_url, connections=2)
        try:
            rules = ContactRules(city.zone, read_never_contact(city_dir / FILE_NAME))
            names = [name.strip() for name in providers.split(",") if name.strip()]
            dispatch = Dispatch(load_providers(names), lambda: rules, PROVIDER_TIMEOUT, report_url=report_url)
            async with engine.connect() as connection:
                present = _read_roster(city_dir, city, await find_changes(connection, utc_now()))
            work = PlayDrill(engine, present, dispatch, public_url, show_message)
            return await work.run(parties, timedelta(minutes=minutes))
        finally:
            await engine.dispose()

    try:
        found = run_on_database(notify_url, play())
    except (ProviderInvalid, NeverContactInvalid) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from None
    if as_json:
        typer.echo(json.dumps([_to_json(one) for one in found], indent=1))
    else:
        _show(_report_of(found, chosen))
    raise typer.Exit(0 if has_reached_all(found) else NOT_REACHED)


def _read_roster(city_dir: Path, city: City, changes: Sequence[RosterChange]) -> Roster:
    try:
        return read_roster(city_dir / "roster.yaml", city, read_escalation_levels(city_dir / "agreement"), changes)
    except RosterInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from None


def _choose_parties(roster: Roster, chosen: Sequence[str] | None) -> list[str]:
    known = sorted(roster.on_duty)
    unknown = [one for one in chosen or () if one not in known]
    if unknown:
        typer.echo(f"the roster has no {', '.join(unknown)}; it has {', '.join(known)}", err=True)
        raise typer.Exit(REFUSED)
    return sorted(set(chosen)) if chosen else known


def _show(table: Table) -> None:
    Console(markup=False, width=None if sys.stdout.isatty() else 160).print(table)


def _ladders_of(roster: Roster, parties: Sequence[str], language: str) -> Table:
    table = Table(*(one.in_language(language) for one in (_("party"), _("in this order"))))
    for party in parties:
        people = [
            f"{one.responder} ({', '.join(method.method for method in one.methods)})"
            for one in find_ladder(roster, party)
        ]
        table.add_row(party, "\n".join(people) or _STATES[DrillState.NOBODY].in_language(language))
    return table


def _line_of(played: PartyDrill, message: DrillMessage) -> Message:
    minute, recipient = played.minute_of(message.sent_at), message.recipient
    if message.provider:
        return _(
            "minute {minute}: {responder} by {channel}, for {party}",
            minute=minute,
            responder=recipient.responder,
            channel=recipient.method,
            party=played.party,
        )
    return _(
        "minute {minute}: {responder} by {channel}, for {party}: NOT SENT ({problem})",
        minute=minute,
        responder=recipient.responder,
        channel=recipient.method,
        party=played.party,
        problem=message.problem.value,
    )


def _report_of(found: Sequence[PartyDrill], language: str) -> Table:
    titles = (_("party"), _("person"), _("channel"), _("sent"), _("on the phone"), _("confirmed"), _("result"))
    table = Table(*(title.in_language(language) for title in titles))
    for played in found:
        result = _STATES[played.state].in_language(language)
        for message in played.messages:
            values = _minutes_of(played, message)
            shown = ["-" if value is None else str(value) for value in values.values()]
            if message.problem.value != "none":
                shown[0] = message.problem.value
            table.add_row(played.party, message.recipient.responder, message.recipient.method, *shown, result)
        if not played.messages:
            table.add_row(played.party, "-", "-", "-", "-", "-", result)
    return table


def _minutes_of(played: PartyDrill, message: DrillMessage) -> dict[str, int | None]:
    moments = {
        "sent": message.sent_at if message.provider else None,
        "on_phone": message.delivered_at,
        "answered": message.answered_at,
    }
    return {name: played.minute_of(moment) if moment else None for name, moment in moments.items()}


def _to_json(played: PartyDrill) -> dict[str, object]:
    """Returns references of people, codes and minutes; no number and no address."""
    messages = [
        {
            "responder": message.recipient.responder,
            "channel": message.recipient.method,
            "provider": message.provider,
            "problem": message.problem.value,
            "answer": message.answer.value if message.answer else None,
            "minutes": _minutes_of(played, message),
        }
        for message in played.messages
    ]
    return {"party": played.party, "state": played.state.value, "messages": messages}
