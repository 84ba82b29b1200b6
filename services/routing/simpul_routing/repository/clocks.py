"""Deadlines as rows, found by the moment of their next step."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.clocks import Running
from simpul_routing.tables import ClockRow
from simpul_runtime.transaction import Transaction

_STOP = text("""
    UPDATE clock c SET next_at = NULL, stopped_at = :now FROM unnest(:ids, :clocks) AS s (referral_id, clock)
    WHERE c.referral_id = s.referral_id AND c.clock = s.clock AND c.stopped_at IS NULL
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("clocks", type_=ARRAY(Text)),
    bindparam("now", type_=DateTime(timezone=True)),
)  # fmt: skip
_CLOCKS = text("""
    SELECT referral_id, clock, started_at, due_at, step, stopped_at FROM clock WHERE referral_id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_DUE = text("SELECT referral_id FROM clock WHERE next_at <= :now ORDER BY next_at LIMIT :most").bindparams(
    bindparam("now", type_=DateTime(timezone=True))
)
_DUE_OF = text("""
    SELECT referral_id, clock, started_at, due_at, step, stopped_at FROM clock
    WHERE referral_id = ANY(:ids) AND next_at <= :now ORDER BY next_at FOR UPDATE
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("now", type_=DateTime(timezone=True)))
_ADVANCE = text("""
    UPDATE clock c SET step = a.step, next_at = a.next_at
    FROM unnest(:ids, :clocks, :steps, :moments) AS a (referral_id, clock, step, next_at)
    WHERE c.referral_id = a.referral_id AND c.clock = a.clock
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("clocks", type_=ARRAY(Text)), bindparam("steps", type_=ARRAY(Text)),
    bindparam("moments", type_=ARRAY(DateTime(timezone=True))),
)  # fmt: skip
_PUT_OFF = text("UPDATE clock SET next_at = :until WHERE referral_id = :referral_id AND next_at <= :now").bindparams(
    bindparam("until", type_=DateTime(timezone=True)), bindparam("now", type_=DateTime(timezone=True))
)
_RESET = text("""
    INSERT INTO clock (referral_id, clock, started_at, due_at, step, next_at)
    SELECT * FROM unnest(:ids, :clocks, :starts, :dues, :steps, :moments)
    ON CONFLICT (referral_id, clock) DO UPDATE SET started_at = excluded.started_at, due_at = excluded.due_at,
        step = excluded.step, next_at = excluded.next_at
    WHERE clock.stopped_at IS NULL
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("clocks", type_=ARRAY(Text)),
    bindparam("starts", type_=ARRAY(DateTime(timezone=True))), bindparam("dues", type_=ARRAY(DateTime(timezone=True))),
    bindparam("steps", type_=ARRAY(Text)), bindparam("moments", type_=ARRAY(DateTime(timezone=True))),
)  # fmt: skip


def add_clock(transaction: Transaction, referral_id: UUID, clock: Running) -> None:
    """A deadline of a referral that is offered now."""
    transaction.add(
        ClockRow,
        {
            "referral_id": referral_id,
            "clock": clock.clock.value,
            "started_at": clock.started_at,
            "due_at": clock.due_at,
            "step": clock.step.value if clock.step else None,
            "next_at": clock.next_at,
        },
    )


async def stop_clocks(transaction: Transaction, stopped: Iterable[tuple[UUID, ClockName]]) -> None:
    """These deadlines are met or no longer matter."""
    pairs = list(stopped)
    if pairs:
        ids, clocks = [referral_id for referral_id, _ in pairs], [clock.value for _, clock in pairs]
        await transaction.connection.execute(_STOP, {"ids": ids, "clocks": clocks, "now": transaction.now})


async def clocks_of(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, list[Running]]:
    """The deadlines of these referrals, also those that were stopped."""
    found: dict[UUID, list[Running]] = {referral_id: [] for referral_id in ids}
    for row in await transaction.connection.execute(_CLOCKS, {"ids": list(ids)}):
        found[row.referral_id].append(_running(row))
    return found


async def due_referrals(transaction: Transaction, now: datetime, most: int) -> list[UUID]:
    """Referrals with a step that is due, the longest due first; nothing is locked yet."""
    return list(set((await transaction.connection.execute(_DUE, {"now": now, "most": most})).scalars()))


async def due_clocks(
    transaction: Transaction, now: datetime, referrals: Collection[UUID]
) -> list[tuple[UUID, Running]]:
    """What is due of referrals that are locked, locked too."""
    due = await transaction.connection.execute(_DUE_OF, {"ids": list(referrals), "now": now})
    return [(row.referral_id, _running(row)) for row in due]


async def advance(transaction: Transaction, clocks: Sequence[tuple[UUID, Running]]) -> None:
    """Write the next steps."""
    if clocks:
        await transaction.connection.execute(
            _ADVANCE,
            {
                "ids": [referral_id for referral_id, _ in clocks],
                "clocks": [clock.clock.value for _, clock in clocks],
                "steps": [clock.step.value if clock.step else None for _, clock in clocks],
                "moments": [clock.next_at for _, clock in clocks],
            },
        )


async def put_off(transaction: Transaction, referral_id: UUID, now: datetime, until: datetime) -> None:
    """Take the steps of this referral that are due only then."""
    await transaction.connection.execute(_PUT_OFF, {"referral_id": referral_id, "now": now, "until": until})


async def reset(transaction: Transaction, clocks: Sequence[tuple[UUID, Running]]) -> None:
    """Write deadlines anew, or for the first time; what was stopped stays stopped."""
    if clocks:
        await transaction.connection.execute(
            _RESET,
            {
                "ids": [referral_id for referral_id, _ in clocks],
                "clocks": [clock.clock.value for _, clock in clocks],
                "starts": [clock.started_at for _, clock in clocks],
                "dues": [clock.due_at for _, clock in clocks],
                "steps": [clock.step.value if clock.step else None for _, clock in clocks],
                "moments": [clock.next_at for _, clock in clocks],
            },
        )


def _running(row: Any) -> Running:
    return Running(
        ClockName(row.clock), row.started_at, row.due_at, Step(row.step) if row.step else None,
        is_stopped=row.stopped_at is not None,
    )  # fmt: skip
