"""The history of a case: typed events, of which nothing is ever changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from enum import Enum
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_routing.domain.case_events import PAYLOADS, CaseEvent, CaseEventKind, Payload
from simpul_routing.stored_facts import note_context
from simpul_routing.tables import CaseEventRow
from simpul_runtime.audit import AuditEntry
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction
from simpul_schema.names import subject_of_case, subject_of_referral
from simpul_schema.vocabulary import ActorRole

_OF_CASE = text("""
    SELECT case_id, referral_id, service_id, kind, actor, payload, note, causation_id, at, actor_agency,
        actor_role FROM case_event
    WHERE case_id = :case_id ORDER BY position
""")

_NAMES: Final = {payload: tuple(field.name for field in fields(payload)) for payload in PAYLOADS.values()}
_ADAPTERS: Final[Mapping[CaseEventKind, TypeAdapter[Payload]]] = {
    kind: TypeAdapter(payload) for kind, payload in PAYLOADS.items()
}


@dataclass(frozen=True, slots=True)
class StoredCaseEvent:
    """An entry of the history and when it happened."""

    event: CaseEvent
    at: datetime


def add_case_events(transaction: Transaction, keys: Keys, events: Iterable[CaseEvent]) -> None:
    """Adds entries to the history; what people wrote is encrypted."""
    for event in events:
        note = keys.encrypt(event.note.encode(), associated_data=note_context(event.case_id)) if event.note else b""
        transaction.record(_audit_entry(event))
        transaction.add_row(
            CaseEventRow,
            {
                "event_id": uuid4(),
                "case_id": event.case_id,
                "referral_id": event.referral_id,
                "service_id": event.service_id,
                "kind": event.kind.value,
                "actor": event.actor,
                "payload": encode_payload(event.payload),
                "note": note,
                "causation_id": event.cause,
                "at": transaction.now,
                "actor_agency": event.actor_agency,
                "actor_role": event.actor_role.value if event.actor_role else "",
            },
        )


def _audit_entry(event: CaseEvent) -> AuditEntry:
    role = event.actor_role.value if event.actor_role else ""
    parts = [event.actor_agency] if event.actor_agency else []
    parts += [subject_of_referral(event.referral_id)] if event.referral_id else []
    for name, value in encode_payload(event.payload).items():
        parts.append(f"{name}:{'+'.join(value) if isinstance(value, tuple) else value}")
    subject = subject_of_case(event.case_id)
    return AuditEntry(f"case.{event.kind.value}", subject, event.actor, role, ",".join(parts), event.note)


async def list_case_events(connection: AsyncConnection, keys: Keys, case_id: UUID) -> Sequence[StoredCaseEvent]:
    """Lists the history of a case in order, with what people wrote."""
    rows = await connection.execute(_OF_CASE, {"case_id": case_id})
    return [StoredCaseEvent(_event_from_row(keys, row), row.at) for row in rows]


def _event_from_row(keys: Keys, row: Any) -> CaseEvent:
    kind, context = CaseEventKind(row.kind), note_context(row.case_id)
    return CaseEvent(
        case_id=row.case_id,
        kind=kind,
        actor=row.actor,
        payload=decode_payload(kind, row.payload),
        referral_id=row.referral_id,
        service_id=row.service_id,
        note=keys.decrypt(row.note, associated_data=context).decode() if row.note else "",
        cause=row.causation_id,
        actor_agency=row.actor_agency,
        actor_role=ActorRole(row.actor_role) if row.actor_role else None,
    )


def encode_payload(payload: Payload) -> dict[str, Any]:
    """Returns the fields of a payload as JSON, without those that are not set."""
    values = ((name, getattr(payload, name)) for name in _NAMES[type(payload)])
    return {name: _encode_value(value) for name, value in values if value}


def _encode_value(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else value


def decode_payload(kind: CaseEventKind, stored: Mapping[str, Any]) -> Payload:
    """Returns the payload of a kind from its JSON."""
    return _ADAPTERS[kind].validate_python(stored)
