"""The only SQL of routing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text, Uuid

from simpul_routing.domain.referral import CasePlan, PlannedReferral, ReferralState, Standing
from simpul_routing.errors import ReplyRefusal
from simpul_routing.tables import CasePlanRow, ReferralRow, RefusedReplyRow
from simpul_runtime.transaction import Transaction
from simpul_schema.messages.reply import ReplyData


@dataclass(frozen=True, slots=True)
class StoredReferral:
    """A referral's place in its case, and where it stands."""

    referral_id: UUID
    case_id: UUID
    standing: Standing


_LOCK = text("""
    SELECT referral_id, case_id, agency, state FROM referral WHERE referral_id = ANY(:ids)
    ORDER BY referral_id FOR UPDATE
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_MOVE = text("""
    UPDATE referral r SET state = m.state,
        delivered_at = CASE WHEN m.said = 'delivered' THEN coalesce(r.delivered_at, :now) ELSE r.delivered_at END,
        accepted_at = CASE WHEN m.said = 'accepted' THEN coalesce(r.accepted_at, :now) ELSE r.accepted_at END
    FROM unnest(:ids, :states, :said) AS m (referral_id, state, said) WHERE r.referral_id = m.referral_id
""").bindparams(
    bindparam("ids", type_=ARRAY(Uuid)), bindparam("states", type_=ARRAY(Text)), bindparam("said", type_=ARRAY(Text))
)


def add_plan(
    transaction: Transaction, case_id: UUID, plan: CasePlan, situation: bytes
) -> Iterable[tuple[UUID, PlannedReferral]]:
    """Store a plan with its referrals and the locked facts it was made from; gives each referral its id."""
    transaction.add(
        CasePlanRow,
        {
            "case_id": case_id,
            "urgency": plan.urgency.value,
            "mediation_locked": plan.mediation_locked,
            "agreement": plan.agreement,
            "situation": situation,
            "decided_at": transaction.now,
        },
    )
    for referral in plan.referrals:
        referral_id = uuid4()
        transaction.add(
            ReferralRow,
            {
                "referral_id": referral_id,
                "case_id": case_id,
                "agency": referral.agency,
                "service": referral.service.value,
                "role": referral.role.value,
                "agreement": plan.agreement,
                "clauses": list(referral.clauses),
                "state": ReferralState.OFFERED.value,
                "answer_by": plan.answer_by,
                "offered_at": transaction.now,
            },
        )
        yield referral_id, referral


async def referrals_for_update(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, StoredReferral]:
    """Where these referrals stand, locked until the transaction ends."""
    found = await transaction.connection.execute(_LOCK, {"ids": list(ids)})
    return {
        row.referral_id: StoredReferral(row.referral_id, row.case_id, Standing(row.agency, ReferralState(row.state)))
        for row in found
    }


async def move(transaction: Transaction, states: dict[UUID, ReferralState], said: ReferralState) -> None:
    """Write new states, and when what was said was said first."""
    if states:
        await transaction.connection.execute(
            _MOVE,
            {
                "ids": list(states),
                "states": [state.value for state in states.values()],
                "said": [said.value] * len(states),
                "now": transaction.now,
            },
        )


def add_refusal(transaction: Transaction, event_id: UUID, reply: ReplyData, agency: str, reason: ReplyRefusal) -> None:
    """Record a reply that changed nothing."""
    transaction.add(
        RefusedReplyRow,
        {"event_id": event_id, "referral_id": reply.referral_id, "agency": agency, "reason": reason.value},
    )
