"""What the commands of `simpul case` have in common: options, the client, and how values are read and printed."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from simpul_city import City
from simpul_cli.case_views import CaseViews
from simpul_cli.languages import translator
from simpul_cli.routing_client import CallFailed, RoutingClient, ServiceUnavailable
from simpul_cli.servers import UNAVAILABLE
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import Service

DEFAULT_TOKEN: Final = Path("~/.config/simpul/token.json")
URL: Final = "http://127.0.0.1:8002"
Code = Annotated[str, typer.Argument(metavar="CODE", help="K-7K3Q-2M9F, R-7K3Q2M or the id of the case")]
Url = Annotated[str, typer.Option(envvar="SIMPUL_ROUTING_URL", help="address of routing's API")]
TokenFile = Annotated[
    Path, typer.Option("--token", envvar="SIMPUL_TOKEN_FILE", help="file that `simpul token issue` wrote")
]
AsJson = Annotated[bool, typer.Option("--json", help="print the answer of the API as it is")]
Reason = Annotated[str, typer.Option(help="why, for the history; stored encrypted")]

_WRONG_PARTS: Final = gettext_noop("{option} {value}: write it as {form}.")
_NO_SERVICE: Final = gettext_noop("{value} is not a service. The services and their codes: {services}.")


@contextmanager
def calling(url: str, token: Path, language: str) -> Iterator[RoutingClient]:
    """Yields the client; a call that fails ends the command with its sentence."""
    try:
        yield RoutingClient(url, token.expanduser(), language)
    except ServiceUnavailable as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(UNAVAILABLE) from error
    except CallFailed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def views_of(language: str, city_dir: Path) -> CaseViews:
    """Returns what prints answers, with the city's time zone and the names of its agencies."""
    city = City.read(city_dir)
    return CaseViews(language, city.zone, {agency.code: agency.name for agency in city.agencies})


def print_answer(answer: Any, as_json: bool, print_tables: Callable[[], None]) -> None:
    """Prints the answer of the API as JSON, or by `print_tables`."""
    if as_json:
        typer.echo(json.dumps(answer, indent=1, ensure_ascii=False))
    else:
        print_tables()


def read_parts(
    option: str, values: Sequence[str] | None, names: tuple[str, ...], optional: tuple[str, ...] = (), *, language: str
) -> list[dict[str, str]]:
    """Reads values such as `legal_aid=ylpa` by the names of their parts. Raises CallFailed."""
    read = []
    for value in values or ():
        parts = value.split("=", len(names) + len(optional) - 1)
        if len(parts) < len(names) or not all(parts):
            form = "=".join(name.upper() for name in names)
            raise CallFailed(translator(language)(_WRONG_PARTS).format(option=option, value=value, form=form))
        found = dict(zip(names + optional, parts, strict=False))
        read.append(found | {"service": read_service(found["service"], language).value})
    return read


def read_service(text: str, language: str) -> Service:
    """Reads a service by its code or its label. Raises CallFailed, with the services there are."""
    wanted = text.strip().lower()
    for service in Service:
        if wanted in (service.value, *(service.label(one).lower() for one in ("id", "en"))):
            return service
    services = ", ".join(f"{service.label(language)} ({service.value})" for service in Service)
    raise CallFailed(translator(language)(_NO_SERVICE).format(value=text, services=services))
