"""The board shows late referrals first, with the time and the step, until the missed deadline is met."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_cli.databases import create_databases
from simpul_desk import repository
from simpul_desk.consumers import board_handlers
from simpul_desk.repository import BoardLine
from simpul_dev.backends import Backends
from simpul_runtime.database import engine_for
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema import message_class
from simpul_seal import Directory, generate

START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
LATER, LATEST = START + timedelta(hours=1), START + timedelta(days=2)


@dataclass
class Board:
    """A desk without its broker."""

    engine: AsyncEngine
    transactions: Transactions
    referrals: list[UUID] = field(default_factory=list)

    async def offer(self, answer_by: datetime) -> UUID:
        """Receives an offer; returns the referral's id."""
        self.referrals.append(uuid4())
        await self.receive(
            "referral.offered.v1", self.referrals[-1], service="medical_care", role="lead", urgency="high",
            answer_by=answer_by,
        )  # fmt: skip
        return self.referrals[-1]

    async def late(self, referral_id: UUID, clock: str, due_at: datetime, step: int = 100) -> None:
        """Receives a passed deadline."""
        name = "overdue" if step == 100 else "escalated"
        await self.receive(
            f"referral.{name}.v1",
            referral_id,
            clock=clock,
            step=step,
            due_at=due_at,
            urgency="high",
            escalation_targets=["uptd-ppa"],
        )

    async def receive(self, wire_name: str, referral_id: UUID, **data: Any) -> None:
        """Receives an event about a referral."""
        message = message_class(wire_name)
        assert message is not None
        about = {"referral_id": referral_id, "case_id": uuid4(), "agency": "rs-rujukan"}
        event = message.model_validate({
            "id": uuid4(), "source": "/kediri/routing", "subject": f"referral/{referral_id}", "time": START,
            "sequence": "0000000001", "correlationid": uuid4(), "data": about | data,
        })  # fmt: skip
        async with self.transactions.begin() as transaction:
            await board_handlers()[message](transaction, [event])

    async def lines(self) -> list[BoardLine]:
        """The lines of the board."""
        return await repository.load_board(self.engine, 200)

    async def line(self, referral_id: UUID) -> BoardLine:
        """The line of one referral."""
        return next(line for line in await self.lines() if line.referral_id == referral_id)


@pytest.fixture
async def board(backends: Backends) -> AsyncIterator[Board]:
    name = f"desk_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"desk": name})
    await migrate_async(backends.database_url(name), "simpul_desk")
    engine = engine_for(backends.database_url(name), connections=2)
    ring, public = generate("desk", not_before=START - timedelta(days=1), not_after=START + timedelta(days=1))
    outbox = Outbox("kediri", "desk", Keys(ring, Directory([public])))
    yield Board(engine, Transactions(engine, outbox, lambda _: None))
    await engine.dispose()


async def test_late_referrals_come_first_even_when_accepted(
    board: Board,
) -> None:
    waits, late, later, accepted = [await board.offer(START + timedelta(minutes=n)) for n in range(4)]
    await board.receive("referral.accepted.v1", accepted, accepted_at=START)
    await board.late(later, "answer", LATER)
    await board.late(late, "answer", START)
    await board.late(accepted, "service", LATEST)

    assert [line.referral_id for line in await board.lines()] == [late, later, accepted, waits]
    counts = await repository.count_open_referrals(board.engine)
    assert (counts.late, counts.unanswered) == (3, 3)


async def test_a_late_referral_shows_its_earliest_deadline_and_highest_step(board: Board) -> None:
    referral = await board.offer(START)
    await board.late(referral, "answer", START)
    await board.late(referral, "contact", LATER)
    await board.late(referral, "answer", START, 200)

    line = await board.line(referral)
    assert (line.late_since, line.late_step) == (START, 200)


async def test_an_answer_and_the_start_clear_their_own_deadlines(board: Board) -> None:
    referral = await board.offer(START)
    await board.late(referral, "answer", START, 200)
    await board.late(referral, "contact", LATER)

    await board.receive("referral.accepted.v1", referral, accepted_at=LATEST)
    answered = await board.line(referral)
    await board.receive("referral.started.v1", referral, started_at=LATEST)
    started = await board.line(referral)

    assert (answered.late_since, answered.late_step) == (LATER, 100)
    assert (started.late_since, started.late_step) == (None, 0)


async def test_an_ended_referral_is_not_late(board: Board) -> None:
    referral = await board.offer(START)
    await board.late(referral, "answer", START)
    await board.receive("referral.cancelled.v1", referral, cancelled_at=START)

    assert await board.lines() == []
    assert (await repository.count_open_referrals(board.engine)).late == 0


async def test_a_deadline_after_a_withdrawal_is_not_shown(board: Board) -> None:
    referral = await board.offer(START)
    await board.late(referral, "withdrawal", START)

    assert (await board.line(referral)).late_since is None
