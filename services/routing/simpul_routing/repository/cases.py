"""Cases: what was decided, on which facts, the rights ledger, and the history."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, LargeBinary, Text, Uuid

from simpul_agreement.plan import CasePlan
from simpul_agreement.rights import Entry, Ledger
from simpul_routing.domain.case_life import CaseDeed, CaseState, state_after, states_before
from simpul_routing.tables import CasePlanRow, TransitionRow
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import CaseEnd, Right, RightState, Urgency


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case as it stands."""

    case_id: UUID
    state: CaseState
    urgency: Urgency
    urgency_from_facts: Urgency
    """What the facts alone said when it was last decided."""
    mediation_locked: bool
    agreement: str
    agreement_digest: str
    situation: bytes
    """Locked; see `stored_facts`."""
    rights: Ledger
    ended_as: CaseEnd | None
    ended_at: datetime | None
    merged_into: UUID | None
    decided_at: datetime
    version: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is asked of anybody in it."""
        return self.ended_at is not None


def version_of(case: StoredCase, referrals: Iterable[int]) -> int:
    """The version of a case with everything that is shown of it: it grows with each change of it and its referrals."""
    return case.version + sum(referrals)


_CASES = text("""
    SELECT case_id, state, urgency, urgency_from_facts, mediation_locked, agreement, agreement_digest, situation,
        rights, ended_as, ended_at, merged_into, decided_at, version
    FROM case_plan WHERE case_id = ANY(:ids) ORDER BY case_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_LOCK_CASES = text(f"{_CASES.text} FOR UPDATE").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_WRITE_LEDGERS = text("""
    UPDATE case_plan p SET rights = CAST(w.rights AS jsonb), version = p.version + 1
    FROM unnest(:ids, :rights) AS w (case_id, rights) WHERE p.case_id = w.case_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("rights", type_=ARRAY(Text)))
_WRITE_CASE = text("""
    UPDATE case_plan SET state = :state, urgency = :urgency, urgency_from_facts = :urgency_from_facts,
        mediation_locked = :mediation_locked, agreement = :agreement, agreement_digest = :agreement_digest,
        situation = :situation, rights = CAST(:rights AS jsonb), ended_as = :ended_as, ended_at = :ended_at,
        merged_into = :merged_into, version = version + 1
    WHERE case_id = :case_id
""").bindparams(
    bindparam("ended_at", type_=DateTime(timezone=True)), bindparam("ended_as", type_=Text),
    bindparam("merged_into", type_=Uuid), bindparam("situation", type_=LargeBinary),
)  # fmt: skip
_LOCK_MOVING = text("""
    SELECT case_id, state FROM case_plan WHERE case_id = ANY(:ids) AND state = ANY(:before) ORDER BY case_id FOR UPDATE
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("before", type_=ARRAY(Text)))
_STILL_SERVED = text("""
    SELECT DISTINCT case_id FROM referral WHERE case_id = ANY(:ids) AND role = 'lead' AND ended_at IS NULL
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_MOVE_CASES = text("""
    UPDATE case_plan SET state = :after, version = version + 1 WHERE case_id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_FOLLOW_MERGED = text("UPDATE case_plan SET merged_into = :into WHERE merged_into = :twin").bindparams(
    bindparam("into", type_=Uuid), bindparam("twin", type_=Uuid)
)


def add_plan(transaction: Transaction, case_id: UUID, plan: CasePlan, digest: str, situation: bytes) -> None:
    """Store what was decided for a case, with the locked facts it was decided on."""
    transaction.add(
        CasePlanRow,
        {
            "case_id": case_id,
            "state": state_after(CaseDeed.DECIDED).value,
            "urgency": plan.urgency.value,
            "urgency_from_facts": plan.urgency.value,
            "mediation_locked": plan.mediation_locked,
            "agreement": plan.agreement,
            "agreement_digest": digest,
            "situation": situation,
            "rights": _written(plan.rights),
            "version": 1,
            "decided_at": transaction.now,
        },
    )


async def cases_of(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, StoredCase]:
    """These cases, those that routing knows."""
    return _by_id(await connection.execute(_CASES, {"ids": list(ids)}))


async def cases_for_update(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, StoredCase]:
    """These cases, locked until the transaction ends; referrals are locked before their cases."""
    return _by_id(await transaction.connection.execute(_LOCK_CASES, {"ids": list(ids)}))


def _by_id(rows: Any) -> dict[UUID, StoredCase]:
    return {
        row.case_id: StoredCase(
            row.case_id, CaseState(row.state), Urgency(row.urgency), Urgency(row.urgency_from_facts),
            row.mediation_locked, row.agreement, row.agreement_digest, row.situation, _read(row.rights),
            CaseEnd(row.ended_as) if row.ended_as else None, row.ended_at, row.merged_into, row.decided_at,
            row.version,
        )
        for row in rows
    }  # fmt: skip


async def write_ledgers(transaction: Transaction, ledgers: Mapping[UUID, Ledger]) -> None:
    """Where the rights of these cases stand now."""
    if ledgers:
        await transaction.connection.execute(
            _WRITE_LEDGERS,
            {"ids": list(ledgers), "rights": [json.dumps(_written(ledger)) for ledger in ledgers.values()]},
        )


async def write_case(transaction: Transaction, case: StoredCase) -> None:
    """Write a case that was read for update."""
    await transaction.connection.execute(
        _WRITE_CASE,
        {
            "case_id": case.case_id,
            "state": case.state.value,
            "urgency": case.urgency.value,
            "urgency_from_facts": case.urgency_from_facts.value,
            "mediation_locked": case.mediation_locked,
            "agreement": case.agreement,
            "agreement_digest": case.agreement_digest,
            "situation": case.situation,
            "rights": json.dumps(_written(case.rights)),
            "ended_as": case.ended_as.value if case.ended_as else None,
            "ended_at": case.ended_at,
            "merged_into": case.merged_into,
        },
    )


async def move_cases(transaction: Transaction, deed: CaseDeed, ids: Collection[UUID], actor: str) -> None:
    """Let a deed move those of the cases that it leads on; as served only those in which no lead is open."""
    if not ids:
        return
    after = state_after(deed).value
    before = [state.value for state in states_before(deed)]
    found = await transaction.connection.execute(_LOCK_MOVING, {"ids": list(ids), "before": before})
    moving = {row.case_id: row.state for row in found}
    if moving and deed is CaseDeed.SERVED:
        # Asked once the cases are locked: what another transaction ended meanwhile is seen now.
        served = await transaction.connection.execute(_STILL_SERVED, {"ids": list(moving)})
        for case_id in served.scalars():
            del moving[case_id]
    if moving:
        await transaction.connection.execute(_MOVE_CASES, {"ids": list(moving), "after": after})
    for case_id, state in moving.items():
        add_case_transition(transaction, case_id, state, after, actor, deed.value)


async def follow_merged(transaction: Transaction, twin: UUID, into: UUID) -> None:
    """What was merged into a twin before goes on where the twin does."""
    await transaction.connection.execute(_FOLLOW_MERGED, {"twin": twin, "into": into})


def add_case_transition(
    transaction: Transaction,
    case_id: UUID,
    before: str,
    after: str,
    actor: str,
    reason: str,
    note: bytes = b"",
    cause: UUID | None = None,
) -> None:
    """A change of the case itself, for ever; `note` is what a person wrote, locked."""
    transaction.add(
        TransitionRow,
        {
            "transition_id": uuid4(), "case_id": case_id, "referral_id": None, "agency": "", "actor": actor,
            "before": before, "after": after, "reason": reason, "note": note, "causation_id": cause,
            "at": transaction.now,
        },
    )  # fmt: skip


def _written(ledger: Ledger) -> dict[str, dict[str, str]]:
    return {right.value: {"state": entry.state.value, "reason": entry.reason} for right, entry in ledger.items()}


def _read(stored: Mapping[str, Mapping[str, str]]) -> Ledger:
    return {
        right: Entry(RightState(stored[right.value]["state"]), stored[right.value]["reason"])
        if right.value in stored
        else Entry(RightState.UNANSWERED)
        for right in Right
    }
