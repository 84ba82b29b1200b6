"""Service plans; each case has at most one that is open."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime, LargeBinary, Text, Uuid

from simpul_agreement.model import ClockName, Step
from simpul_routing.domain.case_file import CaseFile
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.service_plan import Proposal, ServicePlan
from simpul_routing.repository.access import Scope, in_scope, scope_parameters
from simpul_routing.stored_facts import decode_proposal, encode_proposal, plan_context
from simpul_routing.tables import ServicePlanRow
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction

_MOMENT = DateTime(timezone=True)
SELECT_OPEN_PLANS = """
    SELECT referral_id, case_id, agency, services, is_sent_at_deadline, started_at, due_at, step, next_at,
        half_at, twice_at
    FROM service_plan WHERE closed_at IS NULL"""
_OPEN_OF = text(f"{SELECT_OPEN_PLANS} AND case_id = :case_id")
_LIST = text(f"""
    SELECT s.referral_id, s.case_id, s.agency, s.is_sent_at_deadline, s.started_at, s.due_at AS confirm_by, p.urgency
    FROM service_plan s JOIN case_plan p USING (case_id)
    WHERE s.closed_at IS NULL AND (s.due_at, s.referral_id) > (:due_at, :referral_id) AND {in_scope("s.case_id")}
    ORDER BY s.due_at, s.referral_id LIMIT :limit
""").bindparams(  # noqa: S608 - built from constants
    bindparam("due_at", type_=_MOMENT), bindparam("referral_id", type_=Uuid), *scope_parameters()
)
_COUNT = text(f"""
    SELECT count(*) FROM service_plan WHERE closed_at IS NULL AND {in_scope("service_plan.case_id")}
""").bindparams(*scope_parameters())  # noqa: S608 - built from constants
_UPDATE = text("""
    UPDATE service_plan SET services = coalesce(:services, services), is_sent_at_deadline = :is_sent_at_deadline,
        due_at = :due_at, step = :step, next_at = :next_at, closed_at = :closed_at,
        half_at = :half_at, twice_at = :twice_at
    WHERE referral_id = :referral_id
""").bindparams(
    bindparam("services", type_=LargeBinary),
    bindparam("due_at", type_=_MOMENT),
    bindparam("next_at", type_=_MOMENT),
    bindparam("closed_at", type_=_MOMENT),
    bindparam("step", type_=Text),
    bindparam("half_at", type_=_MOMENT),
    bindparam("twice_at", type_=_MOMENT),
)


async def find_open_plan(connection: AsyncConnection, keys: Keys, case_id: UUID) -> ServicePlan | None:
    """Finds the open service plan of a case."""
    row = (await connection.execute(_OPEN_OF, {"case_id": case_id})).one_or_none()
    return plan_from_row(keys, row) if row else None


async def list_open_plans(
    connection: AsyncConnection, after: tuple[datetime, UUID], limit: int, scope: Scope
) -> Sequence[Mapping[str, Any]]:
    """Lists open service plans after a cursor by deadline, without their services."""
    due_at, referral_id = after
    values = {"due_at": due_at, "referral_id": referral_id, "limit": limit} | scope.bind()
    return [row._asdict() for row in await connection.execute(_LIST, values)]


async def count_open_plans(connection: AsyncConnection, scope: Scope) -> int:
    """Counts the open service plans."""
    return int((await connection.execute(_COUNT, scope.bind())).scalar_one())


def plan_from_row(keys: Keys, row: Any) -> ServicePlan:
    """Returns the service plan that a row of SELECT_OPEN_PLANS holds."""

    @cache
    def read_services() -> Proposal:
        return decode_proposal(keys.decrypt(row.services, associated_data=plan_context(row.referral_id)))

    step = Step(row.step) if row.step else None
    clock = ReferralClock(
        ClockName.ANSWER, row.started_at, row.due_at, step, half_at=row.half_at, twice_at=row.twice_at
    )
    return ServicePlan(row.referral_id, row.case_id, row.agency, clock, row.is_sent_at_deadline, read_services)


async def save_plan(transaction: Transaction, keys: Keys, file: CaseFile) -> None:
    """Saves what changed in the open service plan of a case."""
    loaded, plan = file.loaded_plan, file.plan
    if loaded is plan:
        return
    is_closed = loaded is not None and (plan is None or plan.referral_id != loaded.referral_id)
    if loaded and is_closed:
        await _update_plan(transaction, loaded, None, transaction.now)
    if plan is None:
        return
    if loaded is None or is_closed:
        _add_plan(transaction, keys, plan)
    else:
        is_changed = plan.read_services is not loaded.read_services
        await _update_plan(transaction, plan, _encrypt(keys, plan) if is_changed else None, None)


def _add_plan(transaction: Transaction, keys: Keys, plan: ServicePlan) -> None:
    row = _clock_values(plan) | {
        "referral_id": plan.referral_id,
        "case_id": plan.case_id,
        "agency": plan.agency,
        "services": _encrypt(keys, plan),
        "is_sent_at_deadline": plan.is_sent_at_deadline,
        "started_at": plan.clock.started_at,
    }
    transaction.add_row(ServicePlanRow, row)


async def _update_plan(
    transaction: Transaction, plan: ServicePlan, services: bytes | None, closed_at: datetime | None
) -> None:
    values = _clock_values(plan) | {
        "referral_id": plan.referral_id,
        "services": services,
        "is_sent_at_deadline": plan.is_sent_at_deadline,
        "closed_at": closed_at,
    }
    await transaction.connection.execute(_UPDATE, values | ({"next_at": None} if closed_at else {}))


def _clock_values(plan: ServicePlan) -> dict[str, Any]:
    clock = plan.clock
    return {
        "due_at": clock.due_at,
        "step": clock.step.value if clock.step else None,
        "next_at": clock.next_at,
        "half_at": clock.half_at,
        "twice_at": clock.twice_at,
    }


def _encrypt(keys: Keys, plan: ServicePlan) -> bytes:
    return keys.encrypt(encode_proposal(plan.services), associated_data=plan_context(plan.referral_id))
