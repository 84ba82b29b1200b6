"""The signed heads of the services' audits, until the manifests have passed them on."""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, text
from sqlalchemy.types import DateTime

from simpul_runtime.transaction import Transaction
from simpul_schema.messages.audit import AuditHead

_STORE = text("""
    INSERT INTO audit_head_of_service (service, heads, received_at) VALUES (:service, :heads, :now)
    ON CONFLICT (service) DO UPDATE SET heads = excluded.heads, received_at = excluded.received_at
""").bindparams(bindparam("now", type_=DateTime(timezone=True)))
_RECEIVED_SINCE = text("""
    SELECT heads FROM audit_head_of_service WHERE received_at >= :since ORDER BY service
""").bindparams(bindparam("since", type_=DateTime(timezone=True)))


async def store_audit_heads(transaction: Transaction, service: str, heads: Sequence[AuditHead]) -> None:
    """Stores the heads that a service published, in place of its earlier ones."""
    listed = json.dumps([head.model_dump() for head in heads])
    values = {"service": service, "heads": listed, "now": transaction.now}
    await transaction.connection.execute(_STORE, values)


async def list_audit_heads(transaction: Transaction, since: datetime) -> list[AuditHead]:
    """Lists the heads of the services that have published since a moment."""
    rows = await transaction.connection.execute(_RECEIVED_SINCE, {"since": since})
    return [AuditHead.model_validate(head) for (heads,) in rows for head in json.loads(heads)]
