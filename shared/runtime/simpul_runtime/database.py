"""Engines, the moment, and whose fault an error is; the only place that knows the driver."""

from datetime import UTC, datetime
from typing import Final

from asyncpg.exceptions import DataError as RefusedByDriver
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_FAULTS_OF_DATA: Final = frozenset({"22", "23", "54"})
"""SQLSTATE classes of PostgreSQL: data exception, integrity constraint violation, program limit exceeded."""


def engine_for(database_url: str, *, connections: int) -> AsyncEngine:
    """An engine on asyncpg; parameters never show in its errors, because they may be personal."""
    driver_url = database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    return create_async_engine(
        driver_url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=30,
        hide_parameters=True,
        # jit only costs at the size of these statements; the timeouts free a lock held by a frozen peer.
        connect_args={
            "timeout": 5,
            "command_timeout": 30,
            "server_settings": {"jit": "off", "application_name": "simpul", "timezone": "UTC"},
        },
    )


def utc_now() -> datetime:
    """The moment, aware, in UTC; passed into the rules, which never look at a clock."""
    return datetime.now(UTC)


def is_fault_of_data(error: BaseException) -> bool:
    """Whether what was to be stored is at fault, so that trying it again gives the same error.

    False when the database or the network failed, when transactions waited for each other in a circle, and when a
    table or a permission is missing: then the same data can be stored later.
    """
    if isinstance(error, DBAPIError):
        sqlstate = str(getattr(error.orig, "sqlstate", None) or "")
        return sqlstate[:2] in _FAULTS_OF_DATA or _was_refused_by_driver(error)
    return isinstance(error, Exception) and not isinstance(error, OSError | SQLAlchemyError)


def _was_refused_by_driver(error: BaseException) -> bool:
    """A value that cannot even be sent, such as a moment out of range or a text that is not UTF-8."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RefusedByDriver):
            return True
        cause = cause.__cause__
    return False
