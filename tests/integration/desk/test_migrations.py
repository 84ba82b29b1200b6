"""A migration of a desk with people and an audit in it."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from simpul_cli.databases import create_databases
from simpul_desk.hosting.agencies import _ACTIONS
from simpul_dev.backends import Backends
from simpul_runtime.migrations import migrate_async
from tests.support.ledger import eventually

NOW = datetime(2026, 11, 27, tzinfo=UTC)


async def add_reader(connection: asyncpg.Connection, referral: UUID) -> UUID:
    account = uuid4()
    await connection.execute(
        "INSERT INTO account (account_id, login_name, name, language, created_at)"
        " VALUES ($1, $2, 'Wiji Rekaan', 'id', $3)",
        account,
        str(account),
        NOW,
    )
    await connection.execute("INSERT INTO referral_reader VALUES ($1, $2, $3)", referral, account, NOW)
    return account


async def record(connection: asyncpg.Connection, action: str, referral: UUID, account: UUID, at: datetime) -> None:
    await connection.execute(
        "INSERT INTO audit SELECT coalesce(max(position), 0) + 1, 0, CAST($1 AS timestamptz), CAST($2 AS text), '',"
        " CAST($3 AS text), CAST($4 AS text), '', '', '', '', '' FROM audit",
        at,
        str(account),
        action,
        f"referral/{referral}",
    )


@pytest.fixture
async def url(backends: Backends) -> str:
    name = f"before_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"desk": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_desk", "20261208_examination")
    return url


async def test_who_acted_last_is_read_from_the_audit(url: str) -> None:
    connection = await asyncpg.connect(url)
    referral = uuid4()
    only_read = await add_reader(connection, referral)
    await record(connection, "referral.read", referral, only_read, NOW)
    acted = {await add_reader(connection, referral): action for action in ["reply.accepted", *sorted(_ACTIONS)]}
    for account, action in acted.items():
        await record(connection, action, referral, account, NOW + timedelta(hours=1))
        await record(connection, action, referral, account, NOW)
        await record(connection, action, uuid4(), account, NOW + timedelta(hours=2))
        await record(connection, "referral.read", referral, account, NOW + timedelta(hours=3))

    await migrate_async(url, "simpul_desk")

    rows = await connection.fetch("SELECT account_id, acted_at FROM referral_reader")
    await connection.close()
    assert dict(rows) == {only_read: None, **dict.fromkeys(acted, NOW + timedelta(hours=1))}


async def test_referrals_can_be_opened_while_the_audit_is_read(url: str) -> None:
    keeper, reader = await asyncpg.connect(url), await asyncpg.connect(url)

    async def waits() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = CAST('audit' AS regclass)"
        return bool(await reader.fetchval(waiting))

    async with keeper.transaction():
        await keeper.execute("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
        migrating = asyncio.create_task(migrate_async(url, "simpul_desk"))
        await eventually(waits)
        await reader.execute("SET lock_timeout = '5s'")
        account = await add_reader(reader, uuid4())
    await migrating

    found = await reader.fetchval("SELECT acted_at IS NULL FROM referral_reader WHERE account_id = $1", account)
    await keeper.close()
    await reader.close()
    assert found
