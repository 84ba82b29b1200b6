"""The columns of cases, referrals, services and clocks, and statements over many rows of them."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Boolean, DateTime, Integer, SmallInteger, Text, Uuid

from simpul_routing.domain.case import Case
from simpul_routing.domain.clocks import ReferralClock
from simpul_routing.domain.referral import Referral, ReferralService
from simpul_routing.repository.cases import encode_ledger

T = TypeVar("T")
Values: TypeAlias = dict[str, list[Any]]

MOMENT: Final = DateTime(timezone=True)
CASE_COLUMNS: Final[Sequence[tuple[str, Any, Callable[[Case], Any]]]] = (
    ("state", Text, lambda case: case.state.value),
    ("urgency", Text, lambda case: case.urgency.value),
    ("urgency_from_facts", Text, lambda case: case.urgency_from_facts.value),
    ("mediation_locked", Boolean, lambda case: case.mediation_locked),
    ("agreement", Text, lambda case: case.agreement),
    ("agreement_digest", Text, lambda case: case.agreement_digest),
    ("rights", Text, lambda case: json.dumps(encode_ledger(case.rights))),
    ("ended_as", Text, lambda case: case.ended_as.value if case.ended_as else None),
    ("ended_at", MOMENT, lambda case: case.ended_at),
    ("merged_into", Uuid, lambda case: case.merged_into),
    ("version", Integer, lambda case: case.version),
)
"""Name, type and value of each column of a case that may change."""
CONSTANT_CASE_COLUMNS: Final[Sequence[tuple[str, Any, Callable[[Case], Any]]]] = (
    ("case_id", Uuid, lambda case: case.case_id),
    ("decided_at", MOMENT, lambda case: case.decided_at),
)
REFERRAL_COLUMNS: Final[Sequence[tuple[str, Any, Callable[[Referral], Any]]]] = (
    ("offered_at", MOMENT, lambda referral: referral.offered_at),
    ("answer_by", MOMENT, lambda referral: referral.answer_by),
)
CONSTANT_REFERRAL_COLUMNS: Final[Sequence[tuple[str, Any, Callable[[Referral], Any]]]] = (
    ("referral_id", Uuid, lambda referral: referral.referral_id),
    ("case_id", Uuid, lambda referral: referral.case_id),
    ("agency", Text, lambda referral: referral.agency),
)
SERVICE_COLUMNS: Final[Sequence[tuple[str, Any, Callable[[ReferralService], Any]]]] = (
    ("state", Text, lambda service: service.standing.state.value),
    ("urgency", Text, lambda service: service.standing.urgency.value),
    ("outcome", Text, lambda service: service.outcome.value if service.outcome else None),
    ("answer_by", MOMENT, lambda service: service.answer_by),
    ("delivered_at", MOMENT, lambda service: service.delivered_at),
    ("seen_at", MOMENT, lambda service: service.seen_at),
    ("accepted_at", MOMENT, lambda service: service.accepted_at),
    ("started_at", MOMENT, lambda service: service.started_at),
    ("ended_at", MOMENT, lambda service: service.ended_at),
    ("version", Integer, lambda service: service.version),
)
CONSTANT_SERVICE_COLUMNS: Final[Sequence[tuple[str, Any, Callable[[ReferralService], Any]]]] = (
    ("service_id", Uuid, lambda service: service.service_id),
    ("referral_id", Uuid, lambda service: service.referral_id),
    ("position", SmallInteger, lambda service: service.position),
    ("service", Text, lambda service: service.service.value),
    ("role", Text, lambda service: service.role.value),
    ("agreement", Text, lambda service: service.agreement),
    ("reroute_count", SmallInteger, lambda service: service.reroute_count),
    ("rerouted_from", Uuid, lambda service: service.rerouted_from),
    ("escalated_service", Text, lambda s: s.escalated_service.service.value if s.escalated_service else None),
    ("escalated_role", Text, lambda s: s.escalated_service.role.value if s.escalated_service else None),
    ("by_hand", Boolean, lambda service: service.by_hand),
)
CLOCK_COLUMNS: Final[Sequence[tuple[str, Any, Callable[[ReferralClock], Any]]]] = (
    ("started_at", MOMENT, lambda clock: clock.started_at),
    ("due_at", MOMENT, lambda clock: clock.due_at),
    ("step", Text, lambda clock: clock.step.value if clock.step else None),
    ("next_at", MOMENT, lambda clock: clock.next_at),
    ("stopped_at", MOMENT, lambda clock: clock.stopped_at),
    ("half_at", MOMENT, lambda clock: clock.half_at),
    ("twice_at", MOMENT, lambda clock: clock.twice_at),
)


def list_values(prefix: str, columns: Sequence[tuple[str, Any, Callable[[T], Any]]], rows: Sequence[T]) -> Values:
    """Returns the values of each column, as parameters of a statement over many rows."""
    return {f"{prefix}_{name}": [value_of(row) for row in rows] for name, _, value_of in columns}


def assign(columns: Sequence[tuple[str, Any, Any]]) -> str:
    """Returns the assignments of an update from the rows `n`; those of JSON need a cast."""
    return ", ".join(f"{name} = n.{name}" for name, _, _ in columns if name != "rights")


def unnest(prefix: str, keys: str, columns: Sequence[tuple[str, Any, Any]], more: str = "") -> str:
    """Returns the rows `n` that the parameters of a statement hold, one array for each column."""
    names = [*keys.split(), *(name for name, _, _ in columns), *more.split()]
    return f"unnest({', '.join(f':{prefix}_{name}' for name in names)}) AS n ({', '.join(names)})"


def insert_from(table: str, prefix: str, keys: str, columns: Sequence[tuple[str, Any, Any]], more: str = "") -> str:
    """Returns the insertion of the rows that the parameters of a statement hold."""
    names = [*keys.split(), *(name for name, _, _ in columns), *more.split()]
    values = ["CAST(rights AS jsonb)" if name == "rights" else name for name in names]
    rows = unnest(prefix, keys, columns, more)
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {rows}"  # noqa: S608 - constants


def bind(prefix: str, columns: Iterable[tuple[str, Any]]) -> list[Any]:
    """Returns the parameters of a statement over many rows with their types."""
    return [bindparam(f"{prefix}_{name}", type_=ARRAY(type_)) for name, type_ in columns]
