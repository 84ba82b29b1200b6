"""Passes dossiers and their withdrawals on from intake to agencies, unchanged and still sealed.

So they stand behind the exclusions of the case, are numbered in the delivery manifests and are sent again on request,
like everything else that an agency receives.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias
from uuid import UUID, uuid4

import structlog

from simpul_routing import repository
from simpul_runtime.errors import Unprocessable
from simpul_runtime.outbox_message import OutboxMessage
from simpul_runtime.transaction import Transaction
from simpul_schema.messages import DossierReleasedV1, DossierWithdrawnV1
from simpul_schema.names import REFERRALS, routing_key
from simpul_schema.vocabulary import ParkReason

log = structlog.get_logger()

FindClosedCases: TypeAlias = Callable[[Transaction, str, Iterable[UUID]], Awaitable[set[UUID]]]
"""Finds those of the cases of which an agency must learn nothing more."""


class ForwardDossiers:
    """Forwards what intake sends to agencies about dossiers."""

    def __init__(self, find_closed_cases: FindClosedCases) -> None:
        self._find_closed_cases = find_closed_cases

    async def forward_releases(self, transaction: Transaction, events: Sequence[DossierReleasedV1]) -> None:
        """Forwards released sections, unless the agency was excluded after intake released them (R6).

        Raises for a case that cannot be decrypted now: whether it excludes the agency is not known then, and a release
        that is dropped is never sent again, so the inbox tries it again.
        """
        for event in events:
            if await self._find_closed_cases(transaction, event.data.agency, [event.data.case_id]):
                log.warning("dossier_withheld", referral_id=event.data.referral_id, event_id=event.id)
            else:
                await _forward(transaction, event)

    async def forward_withdrawals(self, transaction: Transaction, events: Sequence[DossierWithdrawnV1]) -> None:
        """Forwards withdrawals, also to an excluded agency: it must delete what it holds.

        What is withdrawn is removed from the releases that routing would send again.
        """
        for event in events:
            await _forward(transaction, event)
            await repository.empty_withdrawn_releases(transaction, event.data.agency, {event.data.case_id})


async def _forward(transaction: Transaction, event: DossierReleasedV1 | DossierWithdrawnV1) -> None:
    """Forwards an event to the agency of its referral; raises Unprocessable if it names another agency."""
    if await repository.find_agency_of_referral(transaction, event.data.referral_id) != event.data.agency:
        raise Unprocessable(ParkReason.INVALID, "agency")
    body, signature = transaction.originals[event.id]
    key = routing_key(REFERRALS, event.WIRE_NAME, event.data.agency)
    message = OutboxMessage(uuid4(), REFERRALS, key, body, signature, event.id, event.correlationid)
    await transaction.forward([message])
