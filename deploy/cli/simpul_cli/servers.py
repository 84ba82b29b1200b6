"""Runs work on a database or a broker; when the server cannot be used, the command ends with one sentence."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from socket import gaierror
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import parse_qs, urlsplit

import typer

T = TypeVar("T")

UNAVAILABLE: Final = 3
"""Exit code of a command whose database or broker does not answer or refuses the login."""
_LOGIN: Final = "refuses the login; check the user and the password"
# PostgreSQL's SQLSTATE classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_SQL_STATES: Final = {
    "28": _LOGIN,
    "3D": "has no database of this name",
    "42P01": "lacks the tables of this service; run `simpul migrate`",
    "08": "closed the connection",
    "57P": "is starting or shutting down",
    "53300": "has no connection left",
}
"""Start of the state -> what an operator reads."""


def run_on_database(url: str, work: Coroutine[Any, Any, T]) -> T:
    """Runs work on a service's database; exits when the database cannot be used."""
    return _run(work, "database", [url])


def run_on_broker(work: Coroutine[Any, Any, T], *urls: str) -> T:
    """Runs work on the broker, which `urls` address; exits when the broker cannot be used."""
    return _run(work, "broker", urls)


def hosts_of(url: str) -> str:
    """Returns the hosts of an address with their ports, and no user name; empty if it has none.

    A database may have its hosts in the query, as in `postgresql://user@/name?host=one,two&port=5432,5432`.
    """
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or ",".join(parse_qs(parts.query).get("host", ()))


def _run(work: Coroutine[Any, Any, T], server: str, urls: Sequence[str]) -> T:
    for url in urls:
        if not hosts_of(url):
            work.close()
            _exit(f"the address of the {server} has no host; write it as in `simpul --help`", 2)
    # The client of the broker logs the error that it raises, which would be a second line for the same fault.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(work)
    except Exception as error:
        if (reason := _reason(error)) is None:
            raise
        hosts = " or ".join(dict.fromkeys(hosts_of(url) for url in urls))
        _exit(f"the {server} at {hosts} {reason}", UNAVAILABLE)


def _reason(error: BaseException) -> str | None:
    """Why a server cannot be used, without a user name or password; None for any other error."""
    match error:
        case BaseExceptionGroup(exceptions=[first, *_]):
            return _reason(first)
        case gaierror():
            return "has a name that cannot be resolved"
        case TimeoutError():
            return "does not answer in time"
        case OSError(filename=None):
            return _LOGIN if "Authentication" in type(error).__name__ else f"does not answer ({error.strerror})"
        case _:
            return _sql_reason(error) or _broker_reason(error)


def _sql_reason(error: BaseException) -> str | None:
    state = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    return next((reason for start, reason in _SQL_STATES.items() if state.startswith(start)), None)


def _broker_reason(error: BaseException) -> str | None:
    from simpul_agency.broker_api import BrokerRefused  # noqa: PLC0415 - only when something failed

    if not isinstance(error, BrokerRefused):
        return None
    return _LOGIN if ": 401 " in str(error) else f"refuses {error}"


def _exit(sentence: str, code: int) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(code) from None
