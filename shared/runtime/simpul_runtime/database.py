"""Engines and the moment; the only place that knows the driver."""

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


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
