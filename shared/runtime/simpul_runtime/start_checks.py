"""Finds why a service cannot start: an old schema, a refused login, a missing queue; one sentence each."""

import asyncio
from typing import Any, Final

import aio_pika
import asyncpg
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, ProbableAuthenticationError
from asyncpg.exceptions import TargetServerAttributeNotMatched

from simpul_runtime.broker_addresses import BrokerAddresses
from simpul_runtime.revisions import newest_revision

CONNECT_TIMEOUT: Final = 10.0
"""Seconds."""
_REFUSED_LOGIN: Final = "28"
_NO_DATABASE: Final = "3D000"
_NO_TABLE: Final = "42P01"
"""SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html"""


class StartRefused(Exception):
    """The service cannot start; the message says why and what to do."""


async def find_database_problems(database_url: str, service: str, *, must_answer: bool) -> list[str]:
    """Finds why a service cannot use its database.

    A database that does not answer is a problem only if it must: a service that runs waits for it. A schema that a
    newer version has extended is none, because the version before it still runs on it.
    """
    try:
        connection: Any = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT)
    except asyncpg.PostgresError as error:
        return _explain_refusal(error)
    except (OSError, TimeoutError):
        return ["the database does not answer"] if must_answer else []
    except TargetServerAttributeNotMatched:
        return ["no server of SIMPUL_DATABASE_URL is the primary"] if must_answer else []
    try:
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.PostgresError as error:
        return _explain_refusal(error, service)
    finally:
        await connection.close()
    return _compare_revision(revision, service)


def _explain_refusal(error: asyncpg.PostgresError, service: str = "") -> list[str]:
    state = str(error.sqlstate or "")
    if state.startswith(_REFUSED_LOGIN):
        return ["the database refuses the login: its password is not that of SIMPUL_DATABASE_URL"]
    if state == _NO_DATABASE:
        return ["the server has no database of the name in SIMPUL_DATABASE_URL"]
    if state == _NO_TABLE and service:
        return [f"the database has no tables: run `simpul migrate {service}`"]
    # Such as a server that starts or shuts down: it will answer later.
    return []


def _compare_revision(revision: str | None, service: str) -> list[str]:
    newest, known = newest_revision(f"simpul_{service}")
    if revision is None or (revision in known and revision != newest):
        found = revision or "none"
        return [f"the database is at revision {found} and this version needs {newest}: run `simpul migrate {service}`"]
    return []


async def find_broker_problems(addresses: BrokerAddresses, queue: str | None) -> list[str]:
    """Finds why a service cannot use any of the broker's addresses; `queue` is the one that it consumes."""
    problems: list[str] = []
    for address in addresses.all:
        problems = await _find_problems_at(address, queue)
        if not problems:
            break
    return problems


async def _find_problems_at(amqp_url: str, queue: str | None) -> list[str]:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT), await aio_pika.connect(amqp_url) as connection:
            channel = await connection.channel()
            if queue is not None:
                await channel.declare_queue(queue, passive=True)
    except ProbableAuthenticationError:
        return ["the broker refuses the login: its password is not that of SIMPUL_AMQP_URL"]
    except ChannelNotFoundEntity:
        return [f"the broker has no queue {queue}: run `simpul topology apply`"]
    except (AMQPError, OSError, TimeoutError):
        return ["the broker does not answer"]
    return []
