"""Records cases that may be about the same child, and that a person says they are not."""

from collections.abc import Sequence
from uuid import UUID

from simpul_routing import publisher, repository
from simpul_routing.domain.actors import Actor
from simpul_routing.errors import OverlapUnknown, ReasonMissing
from simpul_routing.stored_facts import note_context
from simpul_routing.use_cases.see_cases import SeeCases
from simpul_runtime.audit import AuditEntry
from simpul_runtime.signing import Keys
from simpul_runtime.transaction import Transaction, Transactions
from simpul_schema.messages import OverlapSuspectedV1
from simpul_schema.names import subject_of_case


async def record_overlaps(transaction: Transaction, events: Sequence[OverlapSuspectedV1]) -> None:
    """Stores suspected overlaps; a case of one may arrive later, so nothing is looked up."""
    await repository.record_overlaps(
        transaction, [{"overlap_id": event.subject_id} | event.data.model_dump(exclude={"sealed"}) for event in events]
    )


class DismissOverlaps:
    """Ends the suspicion that two cases are about one child; merging them ends it too."""

    def __init__(self, transactions: Transactions, keys: Keys, see_cases: SeeCases) -> None:
        self._transactions = transactions
        self._keys = keys
        self._see_cases = see_cases

    async def dismiss_overlap(self, case_id: UUID, overlap_id: UUID, *, by: Actor, reason: str) -> None:
        """Records who says that the children differ, and why. Raises OverlapUnknown and ReasonMissing."""
        if not reason:
            raise ReasonMissing
        async with self._transactions.begin() as transaction:
            await self._see_cases.find_case(transaction.connection, case_id, by)
            note = self._keys.encrypt(reason.encode(), associated_data=note_context(overlap_id))
            cases = await repository.dismiss_overlap(transaction, case_id, overlap_id, by=by.code, note=note)
            if cases is None:
                raise OverlapUnknown
            # Raised before the commit, so nothing changes where either case is not for this person.
            for either in cases:
                await self._see_cases.find_case(transaction.connection, either, by)
            subject = subject_of_case(case_id)
            dismissed = AuditEntry("case.overlap_dismissed", subject, by.code, by.role.value, by.agency, reason)
            transaction.record(dismissed)
            transaction.enqueue_event(publisher.overlap_dismissed(overlap_id, *cases, transaction.now))
