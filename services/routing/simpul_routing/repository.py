"""The only SQL of routing."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_routing.domain.agreement import ClockName, Step
from simpul_routing.domain.clocks import Running
from simpul_routing.domain.lifecycle import ReferralState, Standing
from simpul_routing.domain.plan import CasePlan
from simpul_routing.domain.referral import Move, NewReferral, StoredReferral
from simpul_routing.domain.rights import Entry, Ledger, Served
from simpul_routing.tables import CasePlanRow, ClockRow, ReferralRow, RefusedReplyRow, TransitionRow
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import (
    CaseEnd,
    ReferralOutcome,
    ReferralRole,
    ReplyRefusal,
    Right,
    RightState,
    Service,
    Urgency,
)


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """By which version a case was decided, and its locked facts."""

    agreement: str
    situation: bytes
    has_ended: bool


_LOCK = text("""
    SELECT referral_id, case_id, agency, service, role, state, urgency, answer_by, agreement, clauses, hand_overs,
        started_at
    FROM referral WHERE referral_id = ANY(:ids) ORDER BY referral_id FOR UPDATE
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_MOVE = text("""
    UPDATE referral r SET state = m.state, version = r.version + 1,
        outcome = coalesce(nullif(m.outcome, ''), r.outcome),
        delivered_at = CASE WHEN m.state = 'delivered' THEN coalesce(r.delivered_at, :now) ELSE r.delivered_at END,
        accepted_at = CASE WHEN m.state = 'accepted' THEN coalesce(r.accepted_at, :now) ELSE r.accepted_at END,
        started_at = CASE WHEN m.state = 'in_progress' THEN coalesce(r.started_at, :now) ELSE r.started_at END,
        ended_at = CASE WHEN m.state IN ('completed', 'rerouted', 'cancelled') THEN :now ELSE r.ended_at END
    FROM unnest(:ids, :states, :outcomes) AS m (referral_id, state, outcome) WHERE r.referral_id = m.referral_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("states", type_=ARRAY(Text)),
    bindparam("outcomes", type_=ARRAY(Text)), bindparam("now", type_=DateTime(timezone=True)),
)  # fmt: skip
_DELIVERED_LATE = text("""
    UPDATE referral SET delivered_at = :now WHERE referral_id = ANY(:ids) AND delivered_at IS NULL
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("now", type_=DateTime(timezone=True)))
_STOP = text("""
    UPDATE clock c SET next_at = NULL, stopped_at = :now FROM unnest(:ids, :clocks) AS s (referral_id, clock)
    WHERE c.referral_id = s.referral_id AND c.clock = s.clock AND c.stopped_at IS NULL
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("clocks", type_=ARRAY(Text)),
    bindparam("now", type_=DateTime(timezone=True)),
)  # fmt: skip
_CLOCKS = text("""
    SELECT referral_id, clock, started_at, due_at, step FROM clock WHERE referral_id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_PLANS = text("""
    SELECT case_id, agreement, situation, ended_as FROM case_plan WHERE case_id = ANY(:ids) ORDER BY case_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_LOCK_PLANS = text(f"{_PLANS.text} FOR UPDATE").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_LEDGERS = text(
    "SELECT case_id, rights FROM case_plan WHERE case_id = ANY(:ids) ORDER BY case_id FOR UPDATE"
).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_LEADS = text("""
    SELECT r.case_id, r.service, r.state, r.outcome, s.service IS DISTINCT FROM r.service AS is_raised
    FROM referral r LEFT JOIN referral s ON s.handed_over_from = r.referral_id
    WHERE r.case_id = ANY(:ids) AND r.role = 'lead'
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_WRITE_LEDGERS = text("""
    UPDATE case_plan p SET rights = CAST(w.rights AS jsonb), version = p.version + 1
    FROM unnest(:ids, :rights) AS w (case_id, rights) WHERE p.case_id = w.case_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("rights", type_=ARRAY(Text)))
_CASE = text("""
    SELECT case_id, urgency, mediation_locked, agreement, rights, ended_as, ended_at, decided_at, version
    FROM case_plan WHERE case_id = :case_id
""")
_LOCK_CASE = text(f"{_CASE.text} FOR UPDATE")
_WRITE_CASE = text("""
    UPDATE case_plan SET rights = CAST(:rights AS jsonb), ended_as = :ended_as, ended_at = :ended_at,
        version = version + 1
    WHERE case_id = :case_id
""").bindparams(bindparam("ended_at", type_=DateTime(timezone=True)), bindparam("ended_as", type_=Text))
_OPEN_OF_CASE = text("SELECT referral_id FROM referral WHERE case_id = :case_id AND ended_at IS NULL")
_OF_CASE = text("""
    SELECT referral_id, agency, service, role, state, answer_by, hand_overs, offered_at, delivered_at, accepted_at,
        started_at, ended_at, outcome
    FROM referral WHERE case_id = :case_id ORDER BY offered_at, service, role, referral_id
""")
_TRANSITIONS = text("""
    SELECT t.at, t.agency, t.actor, t.before, t.after, t.reason, r.service
    FROM transition t LEFT JOIN referral r ON r.referral_id = t.referral_id
    WHERE t.case_id = :case_id ORDER BY t.position
""")
_WORKLIST = text("""
    SELECT referral_id, case_id, agency, service, role, state, urgency, answer_by, hand_overs FROM referral
    WHERE agency = :agency AND ended_at IS NULL AND (answer_by, referral_id) > (:answer_by, :referral_id)
    ORDER BY answer_by, referral_id LIMIT :most
""").bindparams(bindparam("answer_by", type_=DateTime(timezone=True)), bindparam("referral_id", type_=Uuid))
_ASKED = text("SELECT case_id, service, agency FROM referral WHERE case_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_DUE = text("SELECT referral_id FROM clock WHERE next_at <= :now ORDER BY next_at LIMIT :most").bindparams(
    bindparam("now", type_=DateTime(timezone=True))
)
_LOCK_FREE = text(f"{_LOCK.text} SKIP LOCKED").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_DUE_OF = text("""
    SELECT referral_id, clock, started_at, due_at, step FROM clock
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


def add_plan(transaction: Transaction, case_id: UUID, plan: CasePlan, digest: str, situation: bytes) -> None:
    """Store what was decided for a case, with the locked facts it was decided on."""
    transaction.add(
        CasePlanRow,
        {
            "case_id": case_id,
            "urgency": plan.urgency.value,
            "mediation_locked": plan.mediation_locked,
            "agreement": plan.agreement,
            "agreement_digest": digest,
            "situation": situation,
            "rights": _written(plan.rights),
            "version": 1,
            "decided_at": transaction.now,
        },
    )


def add_referral(transaction: Transaction, referral: NewReferral) -> None:
    """Store a referral that is offered now, with its clocks."""
    transaction.add(
        ReferralRow,
        {
            "referral_id": referral.referral_id,
            "case_id": referral.case_id,
            "agency": referral.agency,
            "service": referral.service.value,
            "role": referral.role.value,
            "agreement": referral.agreement,
            "clauses": referral.clauses,
            "state": ReferralState.OFFERED.value,
            "urgency": referral.urgency.value,
            "hand_overs": referral.hand_overs,
            "handed_over_from": referral.handed_over_from,
            "version": 1,
            "answer_by": referral.answer_by,
            "offered_at": transaction.now,
        },
    )
    for clock in referral.clocks:
        transaction.add(
            ClockRow,
            {
                "referral_id": referral.referral_id,
                "clock": clock.clock.value,
                "started_at": clock.started_at,
                "due_at": clock.due_at,
                "step": clock.step.value if clock.step else None,
                "next_at": clock.next_at,
            },
        )


async def referrals_for_update(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, StoredReferral]:
    """Where these referrals stand, locked until the transaction ends."""
    found = await transaction.connection.execute(_LOCK, {"ids": list(ids)})
    return {row.referral_id: _referral(row) for row in found}


def _referral(row: Any) -> StoredReferral:
    return StoredReferral(
        row.referral_id, row.case_id, Service(row.service), ReferralRole(row.role), row.answer_by, row.agreement,
        row.clauses, row.hand_overs,
        Standing(row.agency, ReferralState(row.state), Urgency(row.urgency), row.started_at is not None),
    )  # fmt: skip


async def move(transaction: Transaction, moves: Sequence[Move]) -> None:
    """Write new states, and each change for ever; of several moves of one referral the last is its state."""
    last = {step.referral.referral_id: step for step in moves}
    if not last:
        return
    await transaction.connection.execute(
        _MOVE,
        {
            "ids": list(last),
            "states": [step.after.value for step in last.values()],
            "outcomes": [step.outcome.value if step.outcome else "" for step in last.values()],
            "now": transaction.now,
        },
    )
    for step in moves:
        transaction.add(
            TransitionRow,
            {
                "transition_id": uuid4(),
                "case_id": step.referral.case_id,
                "referral_id": step.referral.referral_id,
                "agency": step.referral.standing.agency,
                "actor": step.actor,
                "before": step.referral.standing.state.value,
                "after": step.after.value,
                "reason": step.reason,
                "causation_id": step.cause,
                "at": transaction.now,
            },
        )


async def ledgers_for_update(transaction: Transaction, cases: Collection[UUID]) -> dict[UUID, Ledger]:
    """The rights of these cases, locked until the transaction ends."""
    found = await transaction.connection.execute(_LEDGERS, {"ids": list(cases)})
    return {row.case_id: _read(row.rights) for row in found}


async def leads_of(transaction: Transaction, cases: Collection[UUID]) -> list[tuple[UUID, Service, Served]]:
    """Every lead referral of these cases, and how it ended if it has."""
    return [
        (
            row.case_id, Service(row.service),
            Served(
                ReferralState(row.state), ReferralOutcome(row.outcome) if row.outcome else None,
                is_raised=row.state == ReferralState.REROUTED.value and row.is_raised,
            ),
        )
        for row in await transaction.connection.execute(_LEADS, {"ids": list(cases)})
    ]  # fmt: skip


async def write_ledgers(transaction: Transaction, ledgers: Mapping[UUID, Ledger]) -> None:
    """Where the rights of these cases stand now."""
    if ledgers:
        await transaction.connection.execute(
            _WRITE_LEDGERS,
            {"ids": list(ledgers), "rights": [json.dumps(_written(ledger)) for ledger in ledgers.values()]},
        )


def _written(ledger: Ledger) -> dict[str, dict[str, str]]:
    return {right.value: {"state": entry.state.value, "reason": entry.reason} for right, entry in ledger.items()}


def _read(stored: Mapping[str, Mapping[str, str]]) -> Ledger:
    return {Right(right): Entry(RightState(entry["state"]), entry["reason"]) for right, entry in stored.items()}


async def note_delivered(transaction: Transaction, ids: Collection[UUID]) -> None:
    """Receipts that were overtaken by an answer still say when the machine had it."""
    if ids:
        await transaction.connection.execute(_DELIVERED_LATE, {"ids": list(ids), "now": transaction.now})


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
        found[row.referral_id].append(_running(row.clock, row.started_at, row.due_at, row.step))
    return found


async def plans_for_update(transaction: Transaction, cases: Collection[UUID]) -> dict[UUID, StoredPlan]:
    """What was decided for these cases, locked until the transaction ends."""
    found = await transaction.connection.execute(_LOCK_PLANS, {"ids": list(cases)})
    return {row.case_id: StoredPlan(row.agreement, row.situation, row.ended_as is not None) for row in found}


async def plans_of(transaction: Transaction, cases: Collection[UUID]) -> dict[UUID, StoredPlan]:
    """What was decided for these cases."""
    found = await transaction.connection.execute(_PLANS, {"ids": list(cases)})
    return {row.case_id: StoredPlan(row.agreement, row.situation, row.ended_as is not None) for row in found}


async def agencies_asked(transaction: Transaction, cases: Collection[UUID]) -> dict[tuple[UUID, Service], set[str]]:
    """Which agencies were asked for which service of these cases, whatever became of it."""
    asked: dict[tuple[UUID, Service], set[str]] = {}
    for row in await transaction.connection.execute(_ASKED, {"ids": list(cases)}):
        asked.setdefault((row.case_id, Service(row.service)), set()).add(row.agency)
    return asked


async def take_due(
    transaction: Transaction, now: datetime, most: int
) -> tuple[dict[UUID, StoredReferral], list[tuple[UUID, Running]]]:
    """Referrals with a step that is due, and those clocks, locked in the order in which replies lock them.

    What another process holds is left to it.
    """
    found = await transaction.connection.execute(_DUE, {"now": now, "most": most})
    ids = list(set(found.scalars()))
    free = await transaction.connection.execute(_LOCK_FREE, {"ids": ids}) if ids else ()
    referrals = {row.referral_id: _referral(row) for row in free}
    if not referrals:
        return {}, []
    due = await transaction.connection.execute(_DUE_OF, {"ids": list(referrals), "now": now})
    return referrals, [(row.referral_id, _running(row.clock, row.started_at, row.due_at, row.step)) for row in due]


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


def add_refusal(transaction: Transaction, event_id: UUID, referral_id: UUID, agency: str, reason: ReplyRefusal) -> None:
    """Record a reply that changed nothing."""
    transaction.add(
        RefusedReplyRow,
        {"event_id": event_id, "referral_id": referral_id, "agency": agency, "reason": reason.value},
    )


def _running(clock: str, started_at: datetime, due_at: datetime, step: str | None) -> Running:
    return Running(ClockName(clock), started_at, due_at, Step(step) if step else None)


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case as it stands."""

    case_id: UUID
    urgency: Urgency
    mediation_locked: bool
    agreement: str
    rights: Ledger
    ended_as: CaseEnd | None
    ended_at: datetime | None
    decided_at: datetime
    version: int


async def case_of(connection: AsyncConnection, case_id: UUID, *, for_update: bool = False) -> StoredCase | None:
    """A case, locked until the transaction ends where that is wanted; None when there is none."""
    found = await connection.execute(_LOCK_CASE if for_update else _CASE, {"case_id": case_id})
    row = found.one_or_none()
    if row is None:
        return None
    return StoredCase(
        row.case_id, Urgency(row.urgency), row.mediation_locked, row.agreement, _read(row.rights),
        CaseEnd(row.ended_as) if row.ended_as else None, row.ended_at, row.decided_at, row.version,
    )  # fmt: skip


async def write_case(transaction: Transaction, case: StoredCase) -> None:
    """Write a case that was read for update."""
    await transaction.connection.execute(
        _WRITE_CASE,
        {
            "case_id": case.case_id,
            "rights": json.dumps(_written(case.rights)),
            "ended_as": case.ended_as.value if case.ended_as else None,
            "ended_at": case.ended_at,
        },
    )


async def open_referrals_of(transaction: Transaction, case_id: UUID) -> list[UUID]:
    """The referrals of a case that have not ended."""
    return list((await transaction.connection.execute(_OPEN_OF_CASE, {"case_id": case_id})).scalars())


def add_case_transition(
    transaction: Transaction, case_id: UUID, before: str, after: str, actor: str, reason: str
) -> None:
    """A change of the case itself, for ever."""
    transaction.add(
        TransitionRow,
        {
            "transition_id": uuid4(), "case_id": case_id, "referral_id": None, "agency": "", "actor": actor,
            "before": before, "after": after, "reason": reason, "causation_id": None, "at": transaction.now,
        },
    )  # fmt: skip


async def referrals_of(connection: AsyncConnection, case_id: UUID) -> list[Mapping[str, Any]]:
    """Every referral of a case, in the order in which they were offered."""
    return [row._asdict() for row in await connection.execute(_OF_CASE, {"case_id": case_id})]


async def transitions_of(connection: AsyncConnection, case_id: UUID) -> list[Mapping[str, Any]]:
    """Every change of a case, in order."""
    return [row._asdict() for row in await connection.execute(_TRANSITIONS, {"case_id": case_id})]


async def worklist(
    connection: AsyncConnection, agency: str, after: tuple[datetime, UUID], most: int
) -> list[Mapping[str, Any]]:
    """Referrals of an agency that have not ended, by the time an answer is due, from a place onwards."""
    answer_by, referral_id = after
    values = {"agency": agency, "answer_by": answer_by, "referral_id": referral_id, "most": most}
    return [row._asdict() for row in await connection.execute(_WORKLIST, values)]
