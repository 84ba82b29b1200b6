"""The board shows late referrals first, with the time and the step, until the missed deadline is met."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from simpul_cli.databases import create_databases
from simpul_desk import repository
from simpul_desk.consumers import board_handlers
from simpul_desk.hosting import repository as worklists
from simpul_desk.repository import BoardLine
from simpul_dev.backends import Backends
from simpul_runtime.database import create_engine
from simpul_runtime.migrations import migrate_async
from simpul_runtime.outbox import Outbox
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transactions
from simpul_schema import message_class
from simpul_seal import Directory, generate
from tests.support.databases import create_migrated

START = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
LATER, LATEST = START + timedelta(hours=1), START + timedelta(days=2)


@dataclass
class Board:
    """A desk on a real database, without its broker."""

    engine: AsyncEngine
    transactions: Transactions
    services: dict[UUID, tuple[UUID, ...]] = field(default_factory=dict)
    """Referral -> its services."""

    async def offer(self, *deadlines: datetime) -> UUID:
        """Receives an offer of a service per deadline; returns the referral's id."""
        referral_id = uuid4()
        self.services[referral_id] = tuple(uuid4() for _ in deadlines)
        await self.describe("referral.offered.v1", referral_id, deadlines)
        return referral_id

    async def describe(self, wire_name: str, referral_id: UUID, deadlines: Sequence[datetime]) -> None:
        """Receives an offer or amendment with these deadlines of the referral's services."""
        services = [
            {"service_id": service_id, "service": need, "role": "lead", "urgency": urgency, "answer_by": answer_by}
            for service_id, need, urgency, answer_by in zip(
                self.services[referral_id],
                ("medical_care", "shelter", "legal_aid"),
                ("medium", "high", "low"),
                deadlines,
                strict=False,
            )
        ]
        await self.receive(wire_name, referral_id, services=services, urgency="high", answer_by=min(deadlines))

    async def late(
        self, referral_id: UUID, clock: str, due_at: datetime, step: int = 100, services: Sequence[UUID] = ()
    ) -> None:
        """Receives a passed deadline."""
        name = "overdue" if step == 100 else "escalated"
        await self.receive(
            f"referral.{name}.v1",
            referral_id,
            services,
            clock=clock,
            step=step,
            due_at=due_at,
            urgency="high",
            escalation_targets=["uptd-ppa"],
        )

    async def receive(self, wire_name: str, referral_id: UUID, only: Sequence[UUID] = (), **data: Any) -> None:
        """Receives an event about these services of a referral, or all."""
        message = message_class(wire_name)
        assert message is not None
        about = {
            "referral_id": referral_id,
            "case_id": uuid4(),
            "agency": "rs-rujukan",
            "services": [
                {"service_id": each, "service": "medical_care"} for each in only or self.services[referral_id]
            ],
        }
        event = message.model_validate(
            {
                "id": uuid4(),
                "source": "/kediri/routing",
                "subject": f"referral/{referral_id}",
                "time": START,
                "sequence": "0000000001",
                "correlationid": uuid4(),
                "data": about | data,
            }
        )
        async with self.transactions.begin() as transaction:
            await board_handlers()[message](transaction, [event])

    async def receive_overlap(self, name: str, overlap: UUID, case_id: UUID, other: UUID, **data: Any) -> None:
        """Receives an event about two cases."""
        message = message_class(f"overlap.{name}.v1")
        assert message is not None
        event = message.model_validate(
            {
                "id": uuid4(),
                "source": "/kediri/intake",
                "subject": f"overlap/{overlap}",
                "time": START,
                "sequence": "0000000001",
                "correlationid": case_id,
                "data": {"case_id": case_id, "other_case_id": other, **data},
            }
        )
        async with self.transactions.begin() as transaction:
            await board_handlers()[message](transaction, [event])

    async def receive_merge(self, case_id: UUID, into: UUID) -> None:
        """Receives that a case was merged into another."""
        message = message_class("case.merged.v1")
        assert message is not None
        event = message.model_validate(
            {
                "id": uuid4(),
                "source": "/kediri/routing",
                "subject": f"case/{case_id}",
                "time": START,
                "sequence": "0000000001",
                "correlationid": case_id,
                "data": {"case_id": case_id, "into": into, "merged_at": LATER},
            }
        )
        async with self.transactions.begin() as transaction:
            await board_handlers()[message](transaction, [event])

    async def lines(self) -> list[BoardLine]:
        """Loads the lines of the board."""
        return await repository.load_board(self.engine, 200)

    async def line(self, referral_id: UUID) -> BoardLine:
        """Loads the line of one referral."""
        return next(line for line in await self.lines() if line.referral_id == referral_id)


@pytest.fixture
async def board(backends: Backends) -> AsyncIterator[Board]:
    engine = create_engine(await create_migrated(backends, "desk", f"desk_{uuid4().hex[:8]}"), connections=2)
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


async def test_a_referral_is_one_line_with_its_open_services(board: Board) -> None:
    referral = await board.offer(LATEST, LATER, START)
    first, second, third = board.services[referral]
    await board.receive("referral.accepted.v1", referral, [first], accepted_at=START)
    await board.late(referral, "answer", LATER, services=[second])
    await board.receive("referral.revoked.v1", referral, [third], revoked_at=START, why="facts_amended")

    [line] = await board.lines()
    assert (line.urgency, line.answer_by, line.accepted_at, line.late_since) == ("high", LATER, None, LATER)


async def test_a_referral_is_accepted_when_its_last_open_service_is_and_leaves_when_the_last_ends(
    board: Board,
) -> None:
    referral = await board.offer(LATER, LATEST)
    first, second = board.services[referral]

    await board.receive("referral.accepted.v1", referral, [first], accepted_at=START)
    partly = await board.line(referral)
    await board.receive("referral.accepted.v1", referral, [second], accepted_at=LATER)
    fully = await board.line(referral)
    await board.receive("referral.completed.v1", referral, [first], outcome="served", completed_at=LATEST)
    one_left = await board.line(referral)
    await board.receive("referral.completed.v1", referral, [second], outcome="served", completed_at=LATEST)

    assert (partly.accepted_at, partly.answer_by) == (None, LATEST)
    assert fully.accepted_at == LATER
    assert one_left.accepted_at == LATER
    assert await board.lines() == []


async def test_an_amendment_adds_services_and_changes_deadlines(board: Board) -> None:
    referral = await board.offer(LATEST)
    await board.receive("referral.accepted.v1", referral, accepted_at=START)
    board.services[referral] += (uuid4(),)
    await board.describe("referral.amended.v1", referral, [LATEST, LATER])

    line = await board.line(referral)
    assert (line.accepted_at, line.answer_by) == (None, LATER)


async def test_services_of_an_older_version_join_the_referral_that_lists_them(board: Board) -> None:
    oldest, other = await board.offer(LATER), await board.offer(LATEST)
    board.services[oldest] += board.services[other]
    await board.describe("referral.amended.v1", oldest, [LATER, LATEST])

    [line] = await board.lines()
    assert line.referral_id == oldest


async def test_a_board_of_an_older_version_shows_each_former_referral_as_a_service(
    backends: Backends, board: Board
) -> None:
    name = f"desk_{uuid4().hex[:8]}"
    await create_databases(backends.postgres_url, {"desk": name})
    url = backends.database_url(name)
    await migrate_async(url, "simpul_desk", "20261126_overlaps")
    connection = await asyncpg.connect(url)
    waiting, ended = uuid4(), uuid4()
    for referral_id, ended_as in ((waiting, None), (ended, "completed")):
        await connection.execute(
            "INSERT INTO board (referral_id, case_id, agency, service, urgency, answer_by, ended_as, unanswered_since,"
            " unanswered_step) VALUES ($1, $2, 'ylpa', 'legal_aid', 'high', $3, $4, $3, 200)",
            referral_id,
            uuid4(),
            START,
            ended_as,
        )
    await connection.close()

    await migrate_async(url, "simpul_desk")

    engine = create_engine(url, connections=1)
    [line] = await repository.load_board(engine, 10)
    await engine.dispose()
    assert (line.referral_id, line.late_since, line.late_step) == (waiting, START, 200)


async def test_a_deadline_after_a_withdrawal_is_not_shown(board: Board) -> None:
    referral = await board.offer(START)
    await board.late(referral, "withdrawal", START)

    assert (await board.line(referral)).late_since is None


async def test_a_case_that_may_be_a_duplicate_is_marked_until_the_suspicion_is_dismissed(board: Board) -> None:
    referral, overlap = await board.offer(START), uuid4()
    case_id, other = (await board.line(referral)).case_id, uuid4()

    await board.receive_overlap("suspected", overlap, other, case_id, is_likely=False, suspected_at=START)
    marked = (await board.line(referral)).has_overlap
    await board.receive_overlap("dismissed", overlap, other, case_id, dismissed_at=LATER)
    await board.receive_overlap("suspected", overlap, other, case_id, is_likely=True, suspected_at=LATEST)

    assert (marked, (await board.line(referral)).has_overlap) == (True, False)


async def test_a_merged_case_leaves_no_mark(board: Board) -> None:
    referral, merged = await board.offer(START), uuid4()
    case_id = (await board.line(referral)).case_id
    await board.receive_overlap("suspected", uuid4(), merged, case_id, is_likely=True, suspected_at=START)

    await board.receive_merge(merged, case_id)

    assert not (await board.line(referral)).has_overlap


async def test_who_is_kept_from_one_of_two_merged_cases_is_kept_from_both(board: Board) -> None:
    old, new, unrelated, near_old, near_new = (uuid4() for _ in range(5))
    async with board.engine.begin() as connection:
        for number, (account, case_id) in enumerate(((near_old, old), (near_new, new), (near_new, unrelated))):
            bound = {"account": account, "case_id": case_id, "name": f"rekaan-{number}", "now": START}
            await connection.execute(
                text("""
                    INSERT INTO account (account_id, login_name, name, language, created_at)
                    VALUES (:account, :name, 'Wiji Rekaan', 'id', :now) ON CONFLICT DO NOTHING
                """),
                bound,
            )
            await worklists.exclude_case(connection, account, case_id, START)

    await board.receive_merge(old, new)
    await board.receive_merge(old, new)

    async with board.engine.connect() as connection:
        found = {tuple(row) for row in await connection.execute(text("SELECT account_id, case_id FROM case_exclusion"))}
    assert found == {(near_old, old), (near_old, new), (near_new, old), (near_new, new), (near_new, unrelated)}
