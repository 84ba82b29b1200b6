"""Creates engines and classifies the driver's errors; the only module that knows the driver."""

from datetime import UTC, datetime
from typing import Final

from asyncpg.exceptions import DataError as RefusedByDriver
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_DATA_ERROR_CLASSES: Final = frozenset({"22", "23", "54"})
"""SQLSTATE classes of PostgreSQL: data exception, integrity constraint violation, program limit exceeded."""

_SERVER_SETTINGS: Final = {
    "application_name": "simpul",
    "timezone": "UTC",
    # It costs more than it saves for short statements.
    "jit": "off",
    # Plans of prepared statements are made while tables are still small, and would read them as a whole until their
    # statistics are made. PostgreSQL also takes comparing two arrays for as cheap as comparing two numbers.
    "enable_seqscan": "off",
}
"""How PostgreSQL plans statements. It still reads a whole table where no index can be used."""


def create_engine(database_url: str, *, connections: int) -> AsyncEngine:
    """Creates an engine on asyncpg; its errors hide parameters, because those may be personal."""
    driver_url = database_url.replace("postgresql://", "postgresql+asyncpg://", 1)
    return create_async_engine(
        driver_url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=30,
        hide_parameters=True,
        # Timeouts free the locks of a frozen process.
        connect_args={
            "timeout": 5,
            "command_timeout": 30,
            "server_settings": _SERVER_SETTINGS,
        },
    )


def utc_now() -> datetime:
    """Returns the current time, aware, in UTC; rules get it as an argument and never read a clock."""
    return datetime.now(UTC)


def is_data_error(error: BaseException) -> bool:
    """Whether the stored data caused the error, so that a retry gives the same error.

    False if the database or the network failed, for a deadlock, and if a table or a permission is missing: the same
    data can be stored later.
    """
    if isinstance(error, DBAPIError):
        sqlstate = str(getattr(error.orig, "sqlstate", None) or "")
        return sqlstate[:2] in _DATA_ERROR_CLASSES or _was_refused_by_driver(error)
    return isinstance(error, Exception) and not isinstance(error, OSError | SQLAlchemyError)


def _was_refused_by_driver(error: BaseException) -> bool:
    """Whether the driver could not encode a value, such as a time out of range or text that is not UTF-8."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, RefusedByDriver):
            return True
        cause = cause.__cause__
    return False
