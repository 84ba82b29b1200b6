"""Referrals, their transitions, and refused replies."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import DateTime, Text, Uuid

from simpul_routing.domain.lifecycle import TERMINAL, ReferralState, Standing
from simpul_routing.domain.referral import NewReferral, OutstandingService, StoredReferral, Transition
from simpul_routing.domain.rights import LeadReferral
from simpul_routing.repository.clocks import add_clock
from simpul_routing.tables import ReferralRow, RefusedReplyRow, TransitionRow
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import ReferralOutcome, ReferralRole, ReplyRefusal, Service, Urgency

_SELECT = """
    SELECT referral_id, case_id, agency, service, role, state, urgency, answer_by, agreement, clauses, reroute_count,
        rerouted_from, started_at, outcome, version, escalated_service, escalated_role, by_hand, ended_at
    FROM referral"""
_LOCK = text(f"{_SELECT} WHERE referral_id = ANY(:ids) ORDER BY referral_id FOR UPDATE").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_LOCK_OF_CASES = text(f"""{_SELECT} WHERE case_id IN (
        SELECT case_id FROM case_plan WHERE case_id = ANY(:ids)
        UNION ALL SELECT case_id FROM case_plan WHERE merged_into = ANY(:ids))
    ORDER BY referral_id FOR UPDATE
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))  # noqa: S608 - built from constants
_LOCK_UNLOCKED = text(f"{_LOCK.text} SKIP LOCKED").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_APPLY = text("""
    UPDATE referral r SET state = t.state,
        -- Receiving or opening a referral changes nothing that a person decides on.
        version = r.version + CASE WHEN t.state IN ('delivered', 'seen') THEN 0 ELSE 1 END,
        outcome = coalesce(nullif(t.outcome, ''), r.outcome),
        delivered_at = CASE WHEN t.state = 'delivered' THEN coalesce(r.delivered_at, :now) ELSE r.delivered_at END,
        seen_at = CASE WHEN t.state = 'seen' THEN coalesce(r.seen_at, :now) ELSE r.seen_at END,
        accepted_at = CASE WHEN t.state = 'accepted' THEN coalesce(r.accepted_at, :now) ELSE r.accepted_at END,
        started_at = CASE WHEN t.state = 'in_progress' THEN coalesce(r.started_at, :now) ELSE r.started_at END,
        ended_at = CASE WHEN t.state = ANY(:terminal) THEN :now ELSE r.ended_at END
    FROM unnest(:ids, :states, :outcomes) AS t (referral_id, state, outcome) WHERE r.referral_id = t.referral_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("states", type_=ARRAY(Text)),
    bindparam("outcomes", type_=ARRAY(Text)), bindparam("terminal", type_=ARRAY(Text)),
    bindparam("now", type_=DateTime(timezone=True)),
)  # fmt: skip
_RECORD_RECEIPTS = text("""
    UPDATE referral SET delivered_at = :now WHERE referral_id = ANY(:ids) AND delivered_at IS NULL
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("now", type_=DateTime(timezone=True)))
_LEADS = text("""
    SELECT coalesce(p.merged_into, r.case_id) AS case_id, coalesce(r.escalated_service, r.service) AS service, r.state,
        r.outcome, r.started_at IS NOT NULL AND r.escalated_service IS NULL AS has_begun
    FROM referral r JOIN case_plan p USING (case_id)
    WHERE coalesce(r.escalated_role, r.role) = 'lead' AND r.case_id IN (
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
_TRIED = text("""
    SELECT case_id, service, agency FROM referral
    WHERE case_id = ANY(:ids) AND (service <> 'manual_triage' OR state IN ('declined', 'rerouted'))
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))


def add_referral(transaction: Transaction, referral: NewReferral) -> None:
    """Adds a referral that is being offered, with its clocks."""
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
            "escalated_service": referral.escalated_service.service.value if referral.escalated_service else None,
            "escalated_role": referral.escalated_service.role.value if referral.escalated_service else None,
            "by_hand": referral.by_hand,
            "version": 1,
            "answer_by": referral.answer_by,
            "offered_at": transaction.now,
        },
    )
    for clock in referral.clocks:
        add_clock(transaction, referral.referral_id, clock)


async def find_ended_referrals(transaction: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Finds which of these referrals have ended."""
    return set((await transaction.connection.execute(_ENDED, {"ids": list(ids)})).scalars())


async def load_referrals_for_update(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, StoredReferral]:
    """Loads referrals by id and locks them until the transaction ends."""
    found = await transaction.connection.execute(_LOCK, {"ids": list(ids)})
    return {row.referral_id: _referral_from_row(row) for row in found}


async def load_unlocked_referrals_for_update(
    transaction: Transaction, ids: Collection[UUID]
) -> dict[UUID, StoredReferral]:
    """Loads and locks referrals by id, except those that another transaction has locked."""
    found = await transaction.connection.execute(_LOCK_UNLOCKED, {"ids": list(ids)})
    return {row.referral_id: _referral_from_row(row) for row in found}


async def load_referrals_of_cases_for_update(transaction: Transaction, cases: Collection[UUID]) -> list[StoredReferral]:
    """Loads and locks the referrals of cases and of duplicates merged into them, in the order of their ids."""
    return [
        _referral_from_row(row) for row in await transaction.connection.execute(_LOCK_OF_CASES, {"ids": list(cases)})
    ]


def _referral_from_row(row: Any) -> StoredReferral:
    return StoredReferral(
        row.referral_id,
        row.case_id,
        Service(row.service),
        ReferralRole(row.role),
        row.answer_by,
        row.agreement,
        row.clauses,
        row.reroute_count,
        row.rerouted_from,
        Standing(row.agency, ReferralState(row.state), Urgency(row.urgency), row.started_at is not None),
        ReferralOutcome(row.outcome) if row.outcome else None,
        row.version,
        OutstandingService(Service(row.escalated_service), ReferralRole(row.escalated_role))
        if row.escalated_service
        else None,
        row.by_hand,
        row.ended_at,
    )


async def apply_transitions(transaction: Transaction, transitions: Sequence[Transition]) -> None:
    """Updates the states of referrals and adds each transition to the history; the last of a referral prevails."""
    last = {transition.referral.referral_id: transition for transition in transitions}
    if not last:
        return
    await transaction.connection.execute(
        _APPLY,
        {
            "ids": list(last),
            "states": [transition.after.value for transition in last.values()],
            "outcomes": [transition.outcome.value if transition.outcome else "" for transition in last.values()],
            "terminal": [state.value for state in TERMINAL],
            "now": transaction.now,
        },
    )
    for transition in transitions:
        transaction.add(
            TransitionRow,
            {
                "transition_id": uuid4(),
                "case_id": transition.referral.case_id,
                "referral_id": transition.referral.referral_id,
                "agency": transition.referral.standing.agency,
                "actor": transition.actor,
                "before": transition.referral.standing.state.value,
                "after": transition.after.value,
                "reason": transition.reason,
                "note": transition.note,
                "causation_id": transition.cause,
                "at": transaction.now,
            },
        )


async def find_lead_referrals(
    transaction: Transaction, cases: Collection[UUID]
) -> list[tuple[UUID, Service, LeadReferral]]:
    """Finds the lead referrals of cases and of duplicates merged into them, with the service that each counts for."""
    return [
        (
            row.case_id, Service(row.service),
            LeadReferral(
                ReferralState(row.state), ReferralOutcome(row.outcome) if row.outcome else None,
                has_begun=row.has_begun,
            ),
        )
        for row in await transaction.connection.execute(_LEADS, {"ids": list(cases)})
    ]  # fmt: skip


async def find_cases_of_referrals(transaction: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Finds the cases of referrals; locks nothing."""
    return set((await transaction.connection.execute(_CASES_OF, {"ids": list(ids)})).scalars())


async def record_late_receipts(transaction: Transaction, ids: Collection[UUID]) -> None:
    """Records when referrals were delivered whose answer overtook the receipt."""
    if ids:
        await transaction.connection.execute(_RECORD_RECEIPTS, {"ids": list(ids), "now": transaction.now})


async def find_tried_agencies(
    transaction: Transaction, cases: Collection[UUID]
) -> dict[tuple[UUID, Service], set[str]]:
    """Finds the agencies that each service of these cases was offered to, whatever the result.

    Of manual triage only those who declined it: who decides about one service can decide about another.
    """
    tried: dict[tuple[UUID, Service], set[str]] = {}
    for row in await transaction.connection.execute(_TRIED, {"ids": list(cases)}):
        tried.setdefault((row.case_id, Service(row.service)), set()).add(row.agency)
    return tried


async def amend_referrals(transaction: Transaction, amended: Mapping[UUID, tuple[Urgency, datetime]]) -> None:
    """Updates the urgency of referrals and when an answer is due."""
    if amended:
        await transaction.connection.execute(
            _AMEND,
            {
                "ids": list(amended),
                "urgencies": [urgency.value for urgency, _ in amended.values()],
                "answers": [answer_by for _, answer_by in amended.values()],
            },
        )


def add_refused_reply(
    transaction: Transaction, event_id: UUID, referral_id: UUID, agency: str, reason: ReplyRefusal
) -> None:
    """Adds a refused reply and the reason."""
    transaction.add(
        RefusedReplyRow,
        {"event_id": event_id, "referral_id": referral_id, "agency": agency, "reason": reason.value},
    )
