"""Referrals: offered, moved, amended; and the replies that changed nothing."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_routing.domain.lifecycle import TERMINAL, ReferralState, Standing
from simpul_routing.domain.referral import Move, NewReferral, Raised, StoredReferral
from simpul_routing.domain.rights import Served
from simpul_routing.repository.clocks import add_clock
from simpul_routing.tables import ReferralRow, RefusedReplyRow, TransitionRow
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import ReferralOutcome, ReferralRole, ReplyRefusal, Service, Urgency

_SELECT = """
    SELECT referral_id, case_id, agency, service, role, state, urgency, answer_by, agreement, clauses, reroute_count,
        rerouted_from, started_at, outcome, version, raised_service, raised_role, by_hand, ended_at
    FROM referral"""
_LOCK = text(f"{_SELECT} WHERE referral_id = ANY(:ids) ORDER BY referral_id FOR UPDATE").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_LOCK_OF_CASES = text(f"""{_SELECT} WHERE case_id IN (
        SELECT case_id FROM case_plan WHERE case_id = ANY(:ids)
        UNION ALL SELECT case_id FROM case_plan WHERE merged_into = ANY(:ids))
    ORDER BY referral_id FOR UPDATE
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))  # noqa: S608 - put together from constants
_LOCK_FREE = text(f"{_LOCK.text} SKIP LOCKED").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_MOVE = text("""
    UPDATE referral r SET state = m.state,
        -- That somebody received or opened it changes nothing that a person would decide otherwise.
        version = r.version + CASE WHEN m.state IN ('delivered', 'seen') THEN 0 ELSE 1 END,
        outcome = coalesce(nullif(m.outcome, ''), r.outcome),
        delivered_at = CASE WHEN m.state = 'delivered' THEN coalesce(r.delivered_at, :now) ELSE r.delivered_at END,
        seen_at = CASE WHEN m.state = 'seen' THEN coalesce(r.seen_at, :now) ELSE r.seen_at END,
        accepted_at = CASE WHEN m.state = 'accepted' THEN coalesce(r.accepted_at, :now) ELSE r.accepted_at END,
        started_at = CASE WHEN m.state = 'in_progress' THEN coalesce(r.started_at, :now) ELSE r.started_at END,
        ended_at = CASE WHEN m.state = ANY(:terminal) THEN :now ELSE r.ended_at END
    FROM unnest(:ids, :states, :outcomes) AS m (referral_id, state, outcome) WHERE r.referral_id = m.referral_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("states", type_=ARRAY(Text)),
    bindparam("outcomes", type_=ARRAY(Text)), bindparam("terminal", type_=ARRAY(Text)),
    bindparam("now", type_=DateTime(timezone=True)),
)  # fmt: skip
_DELIVERED_LATE = text("""
    UPDATE referral SET delivered_at = :now WHERE referral_id = ANY(:ids) AND delivered_at IS NULL
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("now", type_=DateTime(timezone=True)))
_LEADS = text("""
    SELECT coalesce(p.merged_into, r.case_id) AS case_id, coalesce(r.raised_service, r.service) AS service, r.state,
        r.outcome, r.started_at IS NOT NULL AND r.raised_service IS NULL AS has_begun
    FROM referral r JOIN case_plan p USING (case_id)
    WHERE coalesce(r.raised_role, r.role) = 'lead' AND r.case_id IN (
        SELECT case_id FROM case_plan WHERE case_id = ANY(:ids)
        UNION ALL SELECT case_id FROM case_plan WHERE merged_into = ANY(:ids))
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_CASES_OF = text("SELECT DISTINCT case_id FROM referral WHERE referral_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_AMEND = text("""
    UPDATE referral r SET urgency = a.urgency, answer_by = a.answer_by, version = r.version + 1
    FROM unnest(:ids, :urgencies, :answers) AS a (referral_id, urgency, answer_by)
    WHERE r.referral_id = a.referral_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("urgencies", type_=ARRAY(Text)),
    bindparam("answers", type_=ARRAY(DateTime(timezone=True))),
)  # fmt: skip
_ENDED = text("SELECT referral_id FROM referral WHERE referral_id = ANY(:ids) AND ended_at IS NOT NULL").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_ASKED = text("""
    SELECT case_id, service, agency FROM referral
    WHERE case_id = ANY(:ids) AND (service <> 'manual_triage' OR state IN ('declined', 'rerouted'))
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


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
            "reroute_count": referral.reroute_count,
            "rerouted_from": referral.rerouted_from,
            "raised_service": referral.raised.service.value if referral.raised else None,
            "raised_role": referral.raised.role.value if referral.raised else None,
            "by_hand": referral.by_hand,
            "version": 1,
            "answer_by": referral.answer_by,
            "offered_at": transaction.now,
        },
    )
    for clock in referral.clocks:
        add_clock(transaction, referral.referral_id, clock)


async def find_ended_referrals(transaction: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Those of these referrals that have ended."""
    return set((await transaction.connection.execute(_ENDED, {"ids": list(ids)})).scalars())


async def referrals_for_update(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, StoredReferral]:
    """Where these referrals stand, locked until the transaction ends."""
    found = await transaction.connection.execute(_LOCK, {"ids": list(ids)})
    return {row.referral_id: _referral(row) for row in found}


async def referrals_free_for_update(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, StoredReferral]:
    """Those of these referrals that no other process holds, locked until the transaction ends."""
    found = await transaction.connection.execute(_LOCK_FREE, {"ids": list(ids)})
    return {row.referral_id: _referral(row) for row in found}


async def referrals_of_cases_for_update(transaction: Transaction, cases: Collection[UUID]) -> list[StoredReferral]:
    """Every referral of these cases and of twins merged into them, locked in the order in which replies lock them."""
    return [_referral(row) for row in await transaction.connection.execute(_LOCK_OF_CASES, {"ids": list(cases)})]


def _referral(row: Any) -> StoredReferral:
    return StoredReferral(
        row.referral_id, row.case_id, Service(row.service), ReferralRole(row.role), row.answer_by, row.agreement,
        row.clauses, row.reroute_count, row.rerouted_from,
        Standing(row.agency, ReferralState(row.state), Urgency(row.urgency), row.started_at is not None),
        ReferralOutcome(row.outcome) if row.outcome else None, row.version,
        Raised(Service(row.raised_service), ReferralRole(row.raised_role)) if row.raised_service else None,
        row.by_hand, row.ended_at,
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
            "terminal": [state.value for state in TERMINAL],
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
                "note": step.note,
                "causation_id": step.cause,
                "at": transaction.now,
            },
        )


async def leads_of(transaction: Transaction, cases: Collection[UUID]) -> list[tuple[UUID, Service, Served]]:
    """Every lead referral of these cases and of the twins merged into them, and how it ended if it has."""
    return [
        (
            row.case_id, Service(row.service),
            Served(
                ReferralState(row.state), ReferralOutcome(row.outcome) if row.outcome else None,
                has_begun=row.has_begun,
            ),
        )
        for row in await transaction.connection.execute(_LEADS, {"ids": list(cases)})
    ]  # fmt: skip


async def cases_of_referrals(transaction: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """The cases of these referrals; nothing is locked."""
    return set((await transaction.connection.execute(_CASES_OF, {"ids": list(ids)})).scalars())


async def note_delivered(transaction: Transaction, ids: Collection[UUID]) -> None:
    """Receipts that were overtaken by an answer still say when the machine had it."""
    if ids:
        await transaction.connection.execute(_DELIVERED_LATE, {"ids": list(ids), "now": transaction.now})


async def agencies_asked(transaction: Transaction, cases: Collection[UUID]) -> dict[tuple[UUID, Service], set[str]]:
    """Which agencies were asked for which service of these cases, whatever became of it.

    Of manual triage only those who declined it: who decides about one service can decide about another.
    """
    asked: dict[tuple[UUID, Service], set[str]] = {}
    for row in await transaction.connection.execute(_ASKED, {"ids": list(cases)}):
        asked.setdefault((row.case_id, Service(row.service)), set()).add(row.agency)
    return asked


async def amend(transaction: Transaction, amended: Mapping[UUID, tuple[Urgency, datetime]]) -> None:
    """The urgency of these referrals from now on, and when an answer is due."""
    if amended:
        await transaction.connection.execute(
            _AMEND,
            {
                "ids": list(amended),
                "urgencies": [urgency.value for urgency, _ in amended.values()],
                "answers": [answer_by for _, answer_by in amended.values()],
            },
        )


def add_refusal(transaction: Transaction, event_id: UUID, referral_id: UUID, agency: str, reason: ReplyRefusal) -> None:
    """Record a reply that changed nothing."""
    transaction.add(
        RefusedReplyRow,
        {"event_id": event_id, "referral_id": referral_id, "agency": agency, "reason": reason.value},
    )
