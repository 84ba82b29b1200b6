"""`simpul-agency capacity`: what this agency can take."""

import asyncio
from datetime import datetime
from typing import Annotated, Optional

import typer
from pydantic import ValidationError

from simpul_agency.agency import Agency
from simpul_agency.command.errors import load_settings, refuse
from simpul_schema.messages.capacity import MAX_OPEN_CASES, StatedCapacity
from simpul_schema.vocabulary import Service


def add_commands(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command("capacity")(capacity)


def capacity(
    service: Annotated[str, typer.Argument(help="code of the service, such as counselling")],
    open_cases: Annotated[
        Optional[int], typer.Option(min=1, max=MAX_OPEN_CASES, help="how many open cases fit at once")
    ] = None,
    full_until: Annotated[
        Optional[datetime], typer.Option(formats=["%Y-%m-%d"], help="no new case up to this day and on it")
    ] = None,
) -> None:
    """State how many open cases of a service the agency can take, or until when it is full; neither ends a limit."""
    if service not in [one.value for one in Service]:
        refuse(f"there is no service {service}: choose {', '.join(one.value for one in Service)}")
    stated = StatedCapacity(
        service=Service(service), max_open_cases=open_cases, full_until=full_until.date() if full_until else None
    )
    agency = Agency.from_settings(load_settings())

    async def send() -> bool:
        await agency.store.open()
        try:
            await agency.state_capacity([stated])
            return await agency.publish_replies()
        finally:
            await agency.store.close()

    try:
        is_sent = asyncio.run(send())
    except ValidationError as error:
        refuse("; ".join(str(one["msg"]) for one in error.errors(include_input=False)))
    if is_sent:
        typer.echo(f"the city has it, and counts it for the next case: {_describe(stated)}")
    else:
        typer.echo(f"the broker does not answer; stored, and sent when the consumer starts next: {_describe(stated)}")


def _describe(stated: StatedCapacity) -> str:
    parts = [f"at most {stated.max_open_cases} open cases"] if stated.max_open_cases else []
    parts += [f"full until {stated.full_until}"] if stated.full_until else []
    return f"{stated.service.value}: {', '.join(parts) or 'no limit'}"
