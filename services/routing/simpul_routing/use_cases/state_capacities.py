"""Stores what agencies can take: by a reply of an agency's system, or entered by its lead."""

from collections.abc import Sequence
from datetime import datetime

from simpul_routing import repository
from simpul_routing.domain.actors import Actor
from simpul_routing.domain.rules import Rules
from simpul_routing.errors import AgencyNotEligible, DayTooFar
from simpul_routing.repository import CaseFiles
from simpul_runtime.audit import AuditEntry
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema import Producer
from simpul_schema.messages import ReplyCapacityStatedV1
from simpul_schema.messages.capacity import LONGEST_FULL, StatedCapacity
from simpul_schema.names import subject_of_agency


class StateCapacities:
    """What agencies state about their capacity; it counts for the next decision on."""

    def __init__(self, transactions: Transactions, files: CaseFiles) -> None:
        self._transactions = transactions
        self._files = files

    def rules_at(self, now: datetime) -> Rules:
        """Returns the rules at `now`, which say which services an agency may be offered."""
        return self._files.rules_at(now)

    async def store_replies(self, transaction: Transaction, events: Sequence[ReplyCapacityStatedV1]) -> None:
        """Stores what the systems of agencies stated."""
        for event in events:
            agency = Producer.of(event.source).party
            for stated in event.data.services:
                await self._store(transaction, agency, stated, agency)

    async def state_capacity(self, stated: StatedCapacity, by: Actor) -> None:
        """Stores what a lead states for the own agency. Raises AgencyNotEligible and DayTooFar."""
        async with self._transactions.begin() as transaction:
            rules = self._files.rules_at(transaction.now)
            if stated.service not in rules.find_mandate(by.agency):
                raise AgencyNotEligible(by.agency, stated.service)
            if stated.full_until and stated.full_until > rules.today + LONGEST_FULL:
                raise DayTooFar
            await self._store(transaction, by.agency, stated, by.code, by.role.value)

    async def _store(
        self, transaction: Transaction, agency: str, stated: StatedCapacity, actor: str, role: str = ""
    ) -> None:
        await repository.state_capacity(transaction, agency, stated.service, stated.max_open_cases, stated.full_until)
        parts = [agency, f"service:{stated.service.value}"]
        parts += [f"max_open:{stated.max_open_cases}"] if stated.max_open_cases else []
        parts += [f"full_until:{stated.full_until.isoformat()}"] if stated.full_until else []
        transaction.record(AuditEntry("capacity.stated", subject_of_agency(agency), actor, role, ",".join(parts)))
