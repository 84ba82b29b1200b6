"""`simpul notify`: what waits for a provider, whom to call, and the city's texts."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from simpul_city import City
from simpul_cli import notify
from simpul_cli.commands.notify_reach import notify_log, notify_reach
from simpul_cli.options import KEDIRI, CityDir, Database
from simpul_cli.servers import run_on_database
from simpul_notify.domain.contact_rules import ContactRules
from simpul_notify.domain.deliveries import DeliveryState
from simpul_notify.domain.notifications import EXAMPLE_URL
from simpul_notify.errors import NeverContactInvalid, RosterInvalid, TextInvalid
from simpul_notify.never_contact import FILE_NAME, read_never_contact
from simpul_notify.repository import reach_checks
from simpul_notify.roster import read_escalation_levels, read_roster
from simpul_notify.texts import AlertTexts, longest_notifications
from simpul_runtime.database import utc_now

app = typer.Typer(no_args_is_help=True)
app.command("reach")(notify_reach)
app.command("log")(notify_log)

PublicUrl = Annotated[str, typer.Option(envvar="SIMPUL_PUBLIC_URL", help="address that begins the links of messages")]


@app.command("retry")
def notify_retry(
    database_url: Database,
    channel: Annotated[str, typer.Option(help="only this channel: sms or mail")] = "",
) -> None:
    """Try again now what waits for a provider, after its password or connection was repaired."""
    count = run_on_database(database_url, notify.retry_alerts(database_url, channel))
    typer.echo(f"{count} alerts are tried again within a second")


@app.command("calls")
def notify_calls(database_url: Database, city_dir: CityDir = KEDIRI) -> None:
    """List whom to call, because no message about an urgent matter has reached anybody; the oldest first.

    People outside their safe hours are named without a number; the city's never-contact list is respected. Somebody who
    is reached is recorded with `simpul notify called`.
    """
    city, now = City.read(city_dir), utc_now()
    try:
        changes = run_on_database(database_url, notify.find_roster_changes(database_url))
        roster = read_roster(city_dir / "roster.yaml", city, read_escalation_levels(city_dir / "agreement"), changes)
        rules = ContactRules(city.zone, read_never_contact(city_dir / FILE_NAME))
    except (RosterInvalid, NeverContactInvalid) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    calls = run_on_database(database_url, notify.find_calls(database_url))
    if not calls:
        typer.echo("nobody has to be called")
        return
    table = Table("code", "party", "call", "since (min)", "answer before")
    for call in calls:
        numbers = notify.find_people_to_call(roster, call.party, rules, now)
        table.add_row(call.code, call.party, "\n".join(numbers) or "nobody", str(call.minutes), call.deadline)
    Console(markup=False).print(table)
    typer.echo(notify.SCRIPT)


@app.command("called")
def notify_called(
    code: Annotated[str, typer.Argument(metavar="CODE", help="R-7K3Q2M")], database_url: Database
) -> None:
    """Record that somebody was reached by phone; what still waits about the referral is not sent any more."""
    count = run_on_database(database_url, notify.record_call(database_url, code))
    if not count:
        typer.echo(f"{code}: nothing is waiting about this referral", err=True)
        raise typer.Exit(1)
    typer.echo(f"{code}: recorded; {count} alerts ended")


@app.command("proof")
def notify_proof(database_url: Database) -> None:
    """Show who has confirmed the last weekly test, by which number or address; exit code 1 if somebody has not.

    The test is sent at SIMPUL_REACH_CHECK. What is younger than two days may still be confirmed and is not listed.
    """
    checks = run_on_database(database_url, notify.find_reach_checks(database_url))
    if not checks:
        typer.echo("no weekly test was sent; set SIMPUL_REACH_CHECK")
        return
    table = Table("person", "by", "test of", "on the phone", "confirmed")
    for check in sorted(checks, key=lambda one: one.is_confirmed):
        sent = "unknown" if check.state == reach_checks.SENT else "NOT SENT"
        arrived = "yes" if DeliveryState(check.delivery).has_arrived else check.problem or sent
        table.add_row(
            check.recipient.responder,
            check.recipient.method,
            check.due_at.astimezone().strftime("%Y-%m-%d"),
            "not needed" if check.state == reach_checks.UNNEEDED else arrived,
            "yes" if check.is_confirmed else "NO",
        )
    Console(markup=False).print(table)
    if any(not check.is_confirmed for check in checks):
        raise typer.Exit(1)


@app.command("preview")
def notify_preview(
    city_dir: CityDir = KEDIRI,
    kind: Annotated[str, typer.Option(help="only this text, such as offered or several")] = "",
    language: Annotated[str, typer.Option(help="only this language")] = "",
    public_url: PublicUrl = EXAMPLE_URL,
) -> None:
    """Show the texts of messages.yaml with the longest values, or the line of the first fault."""
    path = city_dir / "messages.yaml"
    city = City.read(city_dir)
    try:
        texts = AlertTexts.read(path, city, public_url)
    except TextInvalid as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(_preview(texts, city, kind, language))


def _preview(texts: AlertTexts, city: City, kind: str, language: str) -> str:
    longest: dict[tuple[str, str, str], str] = {}
    for message in longest_notifications(texts.clocks, max(city.agency_codes, key=len)):
        for each in texts.languages:
            if kind in ("", message.kind) and language in ("", each):
                text = texts.render(message, each)
                key = (message.kind, message.recipient.channel.value, each)
                shown = f"{text.subject}\n\n{text.body}" if text.subject else f"{text.body}\n({len(text.body)} of 160)"
                longest[key] = max(longest.get(key, ""), shown, key=len)
    return "\n\n".join(f"== {' '.join(key)}\n{text.rstrip()}" for key, text in sorted(longest.items()))
