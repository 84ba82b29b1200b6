"""`simpul topology`: exchanges, queues and policies of the broker."""

from typing import Annotated

import typer

from simpul_agency.broker_api import BrokerApi
from simpul_city import City
from simpul_cli import broker_users, topology
from simpul_cli.agency import accounts
from simpul_cli.broker_options import BrokerPasswords, read_broker_passwords
from simpul_cli.city_topology import build_city_topology
from simpul_cli.options import KEDIRI, Amqp, Api, CityDir
from simpul_cli.servers import run_on_broker
from simpul_schema.names import DEAD, UNROUTED

app = typer.Typer(no_args_is_help=True)


@app.command("apply")
def apply(api: Api, amqp_url: Amqp, city_dir: CityDir = KEDIRI, passwords: BrokerPasswords = "") -> None:
    """Declare exchanges, queues, bindings, policies and users, and resend unrouted messages. Idempotent.

    With passwords every service and the operator get a broker user of their own, and administrators use the API only.
    """
    city, users = City.read(city_dir), read_broker_passwords(passwords)
    sent = run_on_broker(topology.prepare_broker(api, amqp_url, city, users), api, amqp_url)
    if users:
        shut_out = run_on_broker(_shut_out_administrators(api), api)
        typer.echo(f"{len(users)} users of services and operator; {', '.join(shut_out)} can use the API only")
    typer.echo(f"topology applied for {len(city.agencies)} agencies; {sent} unrouted messages were sent again")


async def _shut_out_administrators(api_url: str) -> list[str]:
    async with BrokerApi(api_url) as api:
        return await broker_users.shut_out_administrators(api)


@app.command("verify")
def topology_verify(api: Api, city_dir: CityDir = KEDIRI, passwords: BrokerPasswords = "") -> None:
    """Compare the broker with the declaration; list each difference and exit 1 when there is one.

    With passwords the broker users of services and operator must exist and have these.
    """
    users = read_broker_passwords(passwords)

    async def compare() -> list[str]:
        city = City.read(city_dir)
        async with BrokerApi(api) as broker:
            return [
                *await topology.find_differences(broker, build_city_topology(city)),
                *await broker_users.find_differences(broker, users),
                *await accounts.find_differences(broker, sorted(city.agency_codes)),
            ]

    found = run_on_broker(compare(), api)
    for difference in found:
        typer.echo(difference)
    typer.echo("the broker holds what is declared" if not found else f"{len(found)} differences; run topology apply")
    raise typer.Exit(1 if found else 0)


@app.command("resend")
def topology_resend(
    amqp_url: Amqp, queue: Annotated[str, typer.Argument(help=f"{UNROUTED} or {DEAD}")] = UNROUTED
) -> None:
    """Send the messages of the unrouted or the dead-letter queue again."""
    typer.echo(f"{run_on_broker(topology.resend_messages(amqp_url, queue), amqp_url)} messages sent again")
