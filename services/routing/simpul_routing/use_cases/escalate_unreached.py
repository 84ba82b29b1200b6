"""Escalates what nobody could be reached about, without waiting for its deadline."""

from collections.abc import Sequence

import structlog

from simpul_routing import repository
from simpul_routing.repository import UnreachedStep
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import AlertExhaustedV1

log = structlog.get_logger()


async def escalate_unreached(transaction: Transaction, events: Sequence[AlertExhaustedV1]) -> None:
    """Makes the next step of each clock due now; the sweep takes it, with all the rules of a step at its time.

    What is not a service, such as a decision, is escalated by its own deadline.
    """
    unreached = [
        UnreachedStep(service_id, event.data.clock, event.data.step)
        for event in events
        for service_id in event.data.services
    ]
    await repository.bring_steps_forward(transaction, unreached, transaction.now)
    log.info("unreached_escalated", count=len(unreached))
