"""Cases: the decision, the facts behind it, the rights ledger and the history."""

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
from simpul_routing.domain.case_lifecycle import CaseAction, CaseState, state_after, states_before
from simpul_routing.tables import CasePlanRow, TransitionRow
from simpul_runtime.transaction import Transaction
from simpul_schema.vocabulary import CaseEnd, Right, RightState, Urgency


@dataclass(frozen=True, slots=True)
class StoredCase:
    """A case as routing stored it."""

    case_id: UUID
    state: CaseState
    urgency: Urgency
    urgency_from_facts: Urgency
    """The urgency by the facts alone at the last decision."""
    mediation_locked: bool
    agreement: str
    agreement_digest: str
    situation: bytes
    """Encrypted; see `stored_facts`."""
    rights: Ledger
    ended_as: CaseEnd | None
    ended_at: datetime | None
    merged_into: UUID | None
    decided_at: datetime
    version: int

    @property
    def has_ended(self) -> bool:
        """Whether the case is closed, merged or void."""
        return self.ended_at is not None


def compute_version(case: StoredCase, referrals: Iterable[int]) -> int:
    """Returns the version of a case with its referrals, which grows with every change of any of them."""
    return case.version + sum(referrals)


_CASES = text("""
    SELECT case_id, state, urgency, urgency_from_facts, mediation_locked, agreement, agreement_digest, situation,
        rights, ended_as, ended_at, merged_into, decided_at, version
    FROM case_plan WHERE case_id = ANY(:ids) ORDER BY case_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_LOCK_CASES = text(f"{_CASES.text} FOR UPDATE").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_UPDATE_LEDGERS = text("""
    UPDATE case_plan p SET rights = CAST(w.rights AS jsonb), version = p.version + 1
    FROM unnest(:ids, :rights) AS w (case_id, rights) WHERE p.case_id = w.case_id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("rights", type_=ARRAY(Text)))
_UPDATE_CASE = text("""
    UPDATE case_plan SET state = :state, urgency = :urgency, urgency_from_facts = :urgency_from_facts,
        mediation_locked = :mediation_locked, agreement = :agreement, agreement_digest = :agreement_digest,
        situation = :situation, rights = CAST(:rights AS jsonb), ended_as = :ended_as, ended_at = :ended_at,
        merged_into = :merged_into, version = version + 1
    WHERE case_id = :case_id
""").bindparams(
    bindparam("ended_at", type_=DateTime(timezone=True)), bindparam("ended_as", type_=Text),
    bindparam("merged_into", type_=Uuid), bindparam("situation", type_=LargeBinary),
)  # fmt: skip
_LOCK_CHANGING = text("""
    SELECT case_id, state FROM case_plan WHERE case_id = ANY(:ids) AND state = ANY(:before) ORDER BY case_id FOR UPDATE
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("before", type_=ARRAY(Text)))
_WITH_OPEN_LEAD = text("""
    SELECT DISTINCT case_id FROM referral WHERE case_id = ANY(:ids) AND role = 'lead' AND ended_at IS NULL
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_CHANGE_STATES = text("""
    UPDATE case_plan SET state = :after, version = version + 1 WHERE case_id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)))
_REDIRECT_MERGED = text("UPDATE case_plan SET merged_into = :into WHERE merged_into = :duplicate").bindparams(
    bindparam("into", type_=Uuid), bindparam("duplicate", type_=Uuid)
)


def add_plan(transaction: Transaction, case_id: UUID, plan: CasePlan, digest: str, situation: bytes) -> None:
    """Adds the decision about a case, with the encrypted facts behind it."""
    transaction.add(
        CasePlanRow,
        {
            "case_id": case_id,
            "state": state_after(CaseAction.DECIDED).value,
            "urgency": plan.urgency.value,
            "urgency_from_facts": plan.urgency.value,
            "mediation_locked": plan.mediation_locked,
            "agreement": plan.agreement,
            "agreement_digest": digest,
            "situation": situation,
            "rights": _encode_ledger(plan.rights),
            "version": 1,
            "decided_at": transaction.now,
        },
    )


async def load_cases(connection: AsyncConnection, ids: Collection[UUID]) -> dict[UUID, StoredCase]:
    """Loads cases by id; unknown ids are left out."""
    return _index_cases(await connection.execute(_CASES, {"ids": list(ids)}))


async def load_cases_for_update(transaction: Transaction, ids: Collection[UUID]) -> dict[UUID, StoredCase]:
    """Loads cases by id and locks them until the transaction ends; lock their referrals first."""
    return _index_cases(await transaction.connection.execute(_LOCK_CASES, {"ids": list(ids)}))


def _index_cases(rows: Any) -> dict[UUID, StoredCase]:
    return {
        row.case_id: StoredCase(
            row.case_id, CaseState(row.state), Urgency(row.urgency), Urgency(row.urgency_from_facts),
            row.mediation_locked, row.agreement, row.agreement_digest, row.situation, _decode_ledger(row.rights),
            CaseEnd(row.ended_as) if row.ended_as else None, row.ended_at, row.merged_into, row.decided_at,
            row.version,
        )
        for row in rows
    }  # fmt: skip


async def update_ledgers(transaction: Transaction, ledgers: Mapping[UUID, Ledger]) -> None:
    """Updates the rights ledgers of cases."""
    if ledgers:
        await transaction.connection.execute(
            _UPDATE_LEDGERS,
            {"ids": list(ledgers), "rights": [json.dumps(_encode_ledger(ledger)) for ledger in ledgers.values()]},
        )


async def update_case(transaction: Transaction, case: StoredCase) -> None:
    """Updates a case that was loaded for update."""
    await transaction.connection.execute(
        _UPDATE_CASE,
        {
            "case_id": case.case_id,
            "state": case.state.value,
            "urgency": case.urgency.value,
            "urgency_from_facts": case.urgency_from_facts.value,
            "mediation_locked": case.mediation_locked,
            "agreement": case.agreement,
            "agreement_digest": case.agreement_digest,
            "situation": case.situation,
            "rights": json.dumps(_encode_ledger(case.rights)),
            "ended_as": case.ended_as.value if case.ended_as else None,
            "ended_at": case.ended_at,
            "merged_into": case.merged_into,
        },
    )


async def apply_case_action(transaction: Transaction, action: CaseAction, ids: Collection[UUID], actor: str) -> None:
    """Changes the state of the cases in which an action is allowed; `SERVED` only where no lead is open."""
    if not ids:
        return
    after = state_after(action).value
    before = [state.value for state in states_before(action)]
    found = await transaction.connection.execute(_LOCK_CHANGING, {"ids": list(ids), "before": before})
    changing = {row.case_id: row.state for row in found}
    if changing and action is CaseAction.SERVED:
        # Queried once the cases are locked, so that referrals that other transactions ended are seen.
        served = await transaction.connection.execute(_WITH_OPEN_LEAD, {"ids": list(changing)})
        for case_id in served.scalars():
            del changing[case_id]
    if changing:
        await transaction.connection.execute(_CHANGE_STATES, {"ids": list(changing), "after": after})
    for case_id, state in changing.items():
        add_case_transition(transaction, case_id, state, after, actor, action.value)


async def redirect_merged_cases(transaction: Transaction, duplicate: UUID, into: UUID) -> None:
    """Redirects cases that were merged into `duplicate` before to the case `into`."""
    await transaction.connection.execute(_REDIRECT_MERGED, {"duplicate": duplicate, "into": into})


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
    """Adds a change of the case itself to its history; `note` is what a person wrote, encrypted."""
    transaction.add(
        TransitionRow,
        {
            "transition_id": uuid4(), "case_id": case_id, "referral_id": None, "agency": "", "actor": actor,
            "before": before, "after": after, "reason": reason, "note": note, "causation_id": cause,
            "at": transaction.now,
        },
    )  # fmt: skip


def _encode_ledger(ledger: Ledger) -> dict[str, dict[str, str]]:
    return {right.value: {"state": entry.state.value, "reason": entry.reason} for right, entry in ledger.items()}


def _decode_ledger(stored: Mapping[str, Mapping[str, str]]) -> Ledger:
    return {
        right: Entry(RightState(stored[right.value]["state"]), stored[right.value]["reason"])
        if right.value in stored
        else Entry(RightState.UNANSWERED)
        for right in Right
    }
