"""The audit on a real database: written with what it records, chained, and every change of it is found and located."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event as database_event
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_dev.backends import Backends
from simpul_runtime.audit import (
    AuditEntry,
    AuditFault,
    AuditFilter,
    AuditProblem,
    StoredEntry,
    VerifiedAudit,
    find_entries,
    sign_head,
    verify_audit,
)
from simpul_runtime.audit.entries import compute_block_hash
from simpul_runtime.database import create_engine, utc_now
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema.catalog import SERVICES
from simpul_seal import Directory, HeadNotSigned, SignedHead, generate, read_heads
from tests.support.databases import create_migrated

NOW = utc_now()
RING, PUBLIC = generate("desk", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
KEYS = Keys(RING, Directory([PUBLIC]))
BLOCKS = (1, 3, 1, 2, 1)
"""Entries of each transaction of a written audit."""
LAST = sum(BLOCKS)
FIRST_OF_BLOCK = {1: 1, 2: 2, 3: 2, 4: 2, 5: 5, 6: 6, 7: 6, 8: 8}
"""Position -> the first position of its transaction."""


class _Undone(Exception):
    """Rolls a transaction back."""


@dataclass
class Book:
    """The audit of a database of its own."""

    engine: AsyncEngine
    transactions: Transactions

    async def write(self, *blocks: int) -> None:
        for size in blocks:
            async with self.transactions.begin() as transaction:
                for number in range(size):
                    transaction.record(AuditEntry("case.read", f"case/{uuid4()}", "sari", "lead", str(number), "why"))

    async def verify(self, *witnessed: SignedHead) -> VerifiedAudit:
        async with self.engine.connect() as connection:
            return await verify_audit(connection, witnessed)

    async def verify_after(self, *statements: str) -> VerifiedAudit:
        """Verifies the audit as these statements leave it, and undoes them."""
        async with self.engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
            found = await verify_audit(connection)
            await connection.rollback()
        return found

    async def execute(self, statement: str, **values: Any) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(text(statement), values)

    async def columns(self) -> list[tuple[str, str]]:
        """Lists the columns of the audit's tables, as the database has them."""
        listed = text(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name IN ('audit', 'audit_head') ORDER BY 1, 2"
        )
        async with self.engine.connect() as connection:
            return [(table, column) for table, column in await connection.execute(listed)]

    async def entries(self) -> list[StoredEntry]:
        async with self.engine.connect() as connection:
            return (await find_entries(connection, AuditFilter(), limit=100)).entries

    async def sign(self, now: datetime) -> SignedHead:
        async with self.engine.connect() as connection:
            return await sign_head(connection, KEYS, now)

    async def rewrite(self, entries: Sequence[StoredEntry]) -> None:
        """Computes the chain of changed entries, as somebody who can write the database could."""
        position, last_hash = 0, bytes(32)
        for end in sorted({one.block for one in entries}):
            block = [replace(one, digest=one.compute_digest()) for one in entries if one.block == end]
            last_hash = compute_block_hash(last_hash, position, [one.digest for one in block])
            position = end
            for one in block:
                await self.execute(
                    "UPDATE audit SET actor = :actor, digest = :digest, hash = :hash WHERE position = :position",
                    actor=one.actor,
                    digest=one.digest,
                    hash=last_hash,
                    position=one.position,
                )
        await self.execute("UPDATE audit_head SET hash = :hash", hash=last_hash)


@pytest.fixture(scope="module")
def database_url(backends: Backends) -> str:
    return asyncio.run(create_migrated(backends, "desk", f"audit_{uuid4().hex[:8]}"))


@pytest.fixture
async def book(database_url: str) -> AsyncIterator[Book]:
    engine = create_engine(database_url, connections=4)
    found = Book(engine, Transactions(engine, Outbox("kediri", "desk", KEYS), lambda _: None))
    await found.execute("TRUNCATE audit")
    await found.execute("UPDATE audit_head SET position = 0, hash = decode(repeat('00', 32), 'hex')")
    yield found
    await engine.dispose()


async def test_an_untouched_audit_is_consistent(book: Book) -> None:
    await book.write(*BLOCKS)

    assert await book.verify() == VerifiedAudit(LAST, ())


CHANGES = {
    "block": "block + 1",
    "at": "at + interval '1 microsecond'",
    "actor": "'budi'",
    "role": "''",
    "action": "'case.closed'",
    "subject": "''",
    "detail": "detail || ' '",
    "salt": "sha256(salt)",
    "commitment": "sha256(commitment)",
    "digest": "sha256(digest)",
    "hash": "sha256(hash)",
}


@pytest.mark.parametrize("column", CHANGES)
async def test_a_change_of_any_column_of_any_entry_is_found_at_its_position(book: Book, column: str) -> None:
    await book.write(*BLOCKS)
    expected = AuditFault.LINK_CHANGED if column in ("block", "hash") else AuditFault.CONTENT_CHANGED

    for position in range(1, LAST + 1):
        change = f"UPDATE audit SET {column} = {CHANGES[column]} WHERE position = {position}"
        found = await book.verify_after(change)

        assert {problem.position for problem in found.problems} == {position}, (position, found)
        assert expected in {problem.fault for problem in found.problems}


def test_every_column_of_the_audit_is_changed_by_these_tests() -> None:
    assert {*CHANGES, "position"} == set(StoredEntry.__dataclass_fields__)


@pytest.mark.parametrize("service", SERVICES)
async def test_every_column_of_both_tables_of_every_service_is_covered_by_its_chain(
    backends: Backends, service: str
) -> None:
    engine = create_engine(await create_migrated(backends, service, f"audit_{uuid4().hex[:8]}"), connections=4)
    book = Book(engine, Transactions(engine, Outbox("kediri", service, KEYS), lambda _: None))
    await book.write(*BLOCKS)
    found = {}
    for table, column in await book.columns():
        if (table, column) == ("audit_head", "is_only"):
            # It cannot have another value, so the row goes.
            found[table, column] = await book.verify_after("DELETE FROM audit_head")
            continue
        change = {"position": "position + 90", "hash": "sha256(hash)"}.get(column) or CHANGES[column]
        where = f" WHERE position = {LAST - 2}" if table == "audit" else ""
        found[table, column] = await book.verify_after(f"UPDATE {table} SET {column} = {change}{where}")
    honest = await book.verify()
    await engine.dispose()

    assert honest.problems == ()
    assert {one for one, verified in found.items() if not verified.problems} == set()
    assert {column for table, column in found if table == "audit"} == {*CHANGES, "position"}
    assert {column for table, column in found if table == "audit_head"} == {"is_only", "position", "hash"}
    located = {
        table: {verified.problems[0].position for (of, _), verified in found.items() if of == table}
        for table in ("audit", "audit_head")
    }
    assert located == {"audit": {LAST - 2}, "audit_head": {LAST + 1, 1}}


async def test_a_moved_entry_leaves_a_gap_that_is_found(book: Book) -> None:
    await book.write(*BLOCKS)

    for position in range(1, LAST + 1):
        for target in (99, -5):
            found = await book.verify_after(f"UPDATE audit SET position = {target} WHERE position = {position}")

            assert found.problems[0].position in (position, target), (position, found)


async def test_a_deleted_entry_is_found_at_its_position(book: Book) -> None:
    await book.write(*BLOCKS)

    for position in range(1, LAST + 1):
        found = await book.verify_after(f"DELETE FROM audit WHERE position = {position}")

        assert found.problems, position
        assert position in {problem.position for problem in found.problems}, (position, found)


async def test_entries_in_another_order_are_found(book: Book) -> None:
    await book.write(*BLOCKS)

    for one, other in ((2, 3), (1, 5), (6, 7), (3, 4)):
        moves = [f"UPDATE audit SET position = {new} WHERE position = {old}" for old, new in ((one, 0), (other, one))]
        found = await book.verify_after(*moves, f"UPDATE audit SET position = {other} WHERE position = 0")

        assert found.problems, (one, other)
        # Entries of one transaction are covered together, so a change of their order is found at the first of them.
        assert FIRST_OF_BLOCK[one] <= found.problems[0].position <= other, (one, other, found)


@pytest.mark.parametrize("kept", [0, 1, 4, 5])
async def test_a_truncated_audit_is_found_also_if_its_head_was_changed_with_it(book: Book, kept: int) -> None:
    await book.write(*BLOCKS)
    await book.execute("UPDATE audit SET at = at - interval '2 hours'")
    await book.rewrite(await book.entries())
    head = await book.sign(utc_now())

    await book.execute("DELETE FROM audit WHERE position > :kept", kept=kept)
    plain = await book.verify()
    await book.execute(
        "UPDATE audit_head SET position = :kept,"
        " hash = coalesce((SELECT hash FROM audit WHERE position = :kept), decode(repeat('00', 32), 'hex'))",
        kept=kept,
    )
    covered, witnessed = await book.verify(), await book.verify(head)

    assert plain.problems == (AuditProblem(AuditFault.END_MISSING, kept + 1),)
    assert covered.problems == ()
    assert witnessed.problems == (AuditProblem(AuditFault.REWRITTEN, 1),)


async def test_a_history_that_was_rewritten_contradicts_the_signed_head_that_others_hold(book: Book) -> None:
    await book.write(2, 1)
    await book.execute("UPDATE audit SET at = at - interval '3 hours'")
    await book.rewrite(await book.entries())
    first = await book.sign(utc_now() - timedelta(hours=1))
    await book.write(1)
    await book.execute("UPDATE audit SET at = at - interval '65 minutes' WHERE position = 4")
    await book.rewrite(await book.entries())
    second = await book.sign(utc_now())
    honest = await book.verify(first, second)

    entries = await book.entries()
    await book.rewrite([replace(one, actor="nobody") if one.position == 4 else one for one in entries])
    forged = await book.verify()
    witnessed = await book.verify(first, second)

    assert honest.problems == forged.problems == ()
    assert first.hash != second.hash
    assert witnessed.problems == (AuditProblem(AuditFault.REWRITTEN, 4),)


async def test_a_head_is_the_same_within_an_hour_and_only_the_service_can_sign_it(book: Book) -> None:
    await book.write(1)
    at = NOW.replace(minute=5, second=0, microsecond=0)
    heads = [await book.sign(at), await book.sign(at + timedelta(minutes=59))]
    kept = [head.to_line() for head in heads]
    forged = kept[0].replace(heads[0].hash.hex(), "ab" * 32)

    assert heads[0].body == heads[1].body
    assert read_heads(kept, KEYS.directory) == heads
    with pytest.raises(HeadNotSigned, match="2"):
        read_heads([kept[0], forged], KEYS.directory)
    with pytest.raises(HeadNotSigned):
        read_heads(["{}"], KEYS.directory)


async def test_entries_are_undone_with_what_they_record(book: Book) -> None:
    async with book.transactions.begin() as transaction:
        transaction.record(AuditEntry("case.read", "", "sari"))
        with suppress(_Undone):
            async with transaction.savepoint():
                transaction.record(AuditEntry("case.closed", "", "sari"))
                raise _Undone
    with suppress(_Undone):
        async with book.transactions.begin() as transaction:
            transaction.record(AuditEntry("case.closed", "", "sari"))
            raise _Undone

    assert [entry.action for entry in await book.entries()] == ["case.read"]
    assert (await book.verify()).problems == ()


async def test_transactions_side_by_side_form_one_chain(book: Book) -> None:
    await asyncio.gather(*(book.write(1, 2, 1) for _ in range(12)))

    assert await book.verify() == VerifiedAudit(48, ())


async def test_the_entries_of_a_transaction_take_one_statement(book: Book) -> None:
    statements: list[str] = []
    database_event.listen(
        book.engine.sync_engine, "before_cursor_execute", lambda *given: statements.append(str(given[2]))
    )
    counts = []
    for size in (0, 1, 50):
        statements.clear()
        await book.write(size)
        counts.append(len(statements))

    assert counts == [0, 1, 1]


async def test_what_a_person_wrote_is_proven_and_never_stored(book: Book) -> None:
    async with book.transactions.begin() as transaction:
        transaction.record(AuditEntry("case.closed", "", "Wenthilora dan ibunya", content="keluarga Wenthilora pindah"))
    (entry,) = await book.entries()

    assert "Wenthilora" not in repr(entry)
    assert entry.actor.startswith("sha256:")
    assert entry.is_about("keluarga Wenthilora pindah")
    assert not entry.is_about("keluarga Wenthilora tinggal")


async def test_pages_are_filtered_counted_and_complete(book: Book) -> None:
    await book.write(5)
    async with book.transactions.begin() as transaction:
        transaction.record(AuditEntry("vault.read", "case/1", "intake"))
    async with book.engine.connect() as connection:
        first = await find_entries(connection, AuditFilter(action="case."), limit=3)
        rest = await find_entries(connection, AuditFilter(action="case."), after=first.next_after, limit=3)
        one = await find_entries(connection, AuditFilter(actor="intake", subject="case/1"), limit=3)
        none = await find_entries(connection, AuditFilter(until=NOW - timedelta(days=1)), limit=3)

    assert (first.total, len(first.entries), len(rest.entries), rest.next_after) == (5, 3, 2, 0)
    assert [entry.action for entry in one.entries] == ["vault.read"]
    assert none.total == 0
