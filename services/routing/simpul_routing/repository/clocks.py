"""Clocks of referrals, found by the time of their next step."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.clocks import ReferralClock
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
_DUE = text("SELECT referral_id FROM clock WHERE next_at <= :now ORDER BY next_at LIMIT :limit").bindparams(
    bindparam("now", type_=DateTime(timezone=True))
)
_DUE_OF = text("""
    SELECT referral_id, clock, started_at, due_at, step, stopped_at FROM clock
    WHERE referral_id = ANY(:ids) AND next_at <= :now ORDER BY next_at FOR UPDATE
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("now", type_=DateTime(timezone=True)))
_UPDATE_STEPS = text("""
    UPDATE clock c SET step = a.step, next_at = a.next_at
    FROM unnest(:ids, :clocks, :steps, :moments) AS a (referral_id, clock, step, next_at)
    WHERE c.referral_id = a.referral_id AND c.clock = a.clock
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("clocks", type_=ARRAY(Text)), bindparam("steps", type_=ARRAY(Text)),
    bindparam("moments", type_=ARRAY(DateTime(timezone=True))),
)  # fmt: skip
_POSTPONE = text("UPDATE clock SET next_at = :until WHERE referral_id = :referral_id AND next_at <= :now").bindparams(
    bindparam("until", type_=DateTime(timezone=True)), bindparam("now", type_=DateTime(timezone=True))
)
_UPSERT = text("""
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


def add_clock(transaction: Transaction, referral_id: UUID, clock: ReferralClock) -> None:
    """Adds a clock of a referral that is being offered."""
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
    """Stops clocks whose deadline was met or no longer matters."""
    pairs = list(stopped)
    if pairs:
        ids, clocks = [referral_id for referral_id, _ in pairs], [clock.value for _, clock in pairs]
        await transaction.connection.execute(_STOP, {"ids": ids, "clocks": clocks, "now": transaction.now})


async def load_clocks(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, list[ReferralClock]]:
    """Loads the clocks of referrals, including stopped ones."""
    found: dict[UUID, list[ReferralClock]] = {referral_id: [] for referral_id in ids}
    for row in await transaction.connection.execute(_CLOCKS, {"ids": list(ids)}):
        found[row.referral_id].append(_clock_from_row(row))
    return found


async def find_due_referrals(transaction: Transaction, now: datetime, limit: int) -> list[UUID]:
    """Finds referrals with a step that is due, the one that fell due first at the front; locks nothing."""
    due = (await transaction.connection.execute(_DUE, {"now": now, "limit": limit})).scalars()
    return list(dict.fromkeys(due))


async def load_due_clocks_for_update(
    transaction: Transaction, now: datetime, referrals: Collection[UUID]
) -> list[tuple[UUID, ReferralClock]]:
    """Loads the due clocks of locked referrals and locks them."""
    due = await transaction.connection.execute(_DUE_OF, {"ids": list(referrals), "now": now})
    return [(row.referral_id, _clock_from_row(row)) for row in due]


async def update_clock_steps(transaction: Transaction, clocks: Sequence[tuple[UUID, ReferralClock]]) -> None:
    """Updates the next step of clocks."""
    if clocks:
        await transaction.connection.execute(
            _UPDATE_STEPS,
            {
                "ids": [referral_id for referral_id, _ in clocks],
                "clocks": [clock.clock.value for _, clock in clocks],
                "steps": [clock.step.value if clock.step else None for _, clock in clocks],
                "moments": [clock.next_at for _, clock in clocks],
            },
        )


async def postpone_due_clocks(transaction: Transaction, referral_id: UUID, now: datetime, until: datetime) -> None:
    """Postpones the due steps of a referral."""
    await transaction.connection.execute(_POSTPONE, {"referral_id": referral_id, "now": now, "until": until})


async def upsert_clocks(transaction: Transaction, clocks: Sequence[tuple[UUID, ReferralClock]]) -> None:
    """Inserts clocks or updates running ones; stopped clocks stay unchanged."""
    if clocks:
        await transaction.connection.execute(
            _UPSERT,
            {
                "ids": [referral_id for referral_id, _ in clocks],
                "clocks": [clock.clock.value for _, clock in clocks],
                "starts": [clock.started_at for _, clock in clocks],
                "dues": [clock.due_at for _, clock in clocks],
                "steps": [clock.step.value if clock.step else None for _, clock in clocks],
                "moments": [clock.next_at for _, clock in clocks],
            },
        )


def _clock_from_row(row: Any) -> ReferralClock:
    return ReferralClock(
        ClockName(row.clock), row.started_at, row.due_at, Step(row.step) if row.step else None,
        is_stopped=row.stopped_at is not None,
    )  # fmt: skip
