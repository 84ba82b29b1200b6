"""Publishes the signed heads of a service's audit once an hour, so that others keep them."""

import asyncio
from datetime import datetime, timedelta
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from simpul_runtime.audit import head_moment, sign_earlier_heads, sign_head
from simpul_runtime.database import utc_now
from simpul_runtime.outbox import OutgoingEvent
from simpul_runtime.signing import Keys
from simpul_runtime.supervision import repeat
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import AuditHeadSignedV1
from simpul_schema.messages.audit import AuditHead
from simpul_schema.names import subject_of_audit

POLL_INTERVAL: Final = timedelta(minutes=1)
"""Time between two looks at the clock; also from the start to the first head, so that restarts publish none."""


class PublishHeads:
    """Publishes the head of each full hour; of several processes each does, and the heads are the same."""

    def __init__(self, transactions: Transactions, keys: Keys) -> None:
        self._transactions = transactions
        self._keys = keys
        self._published: datetime | None = None

    async def run(self) -> None:
        """Publishes until cancelled."""
        await asyncio.sleep(POLL_INTERVAL.total_seconds())
        await repeat(self._publish_due, POLL_INTERVAL, "audit_heads_not_published")

    async def _publish_due(self) -> None:
        moment = head_moment(utc_now())
        if moment != self._published and self._keys.can_sign(utc_now()):
            async with self._transactions.begin() as transaction:
                await publish_heads(transaction, self._keys)
            self._published = moment


async def publish_heads(transaction: Transaction, keys: Keys) -> None:
    """Publishes `audit.head_signed.v1`: earlier heads as they are now, and the newest."""
    keys = keys.freeze()
    heads = await sign_earlier_heads(transaction.connection, keys, transaction.now)
    heads.append(await sign_head(transaction.connection, keys, transaction.now))
    transaction.enqueue_event(
        OutgoingEvent(
            AuditHeadSignedV1,
            subject=subject_of_audit(keys.party),
            # No case: one id per service, so that all its heads belong to one trace.
            case_id=uuid5(NAMESPACE_OID, subject_of_audit(keys.party)),
            data={"heads": [AuditHead(**head.to_dict()) for head in heads]},
            is_perishable=True,
        )
    )
