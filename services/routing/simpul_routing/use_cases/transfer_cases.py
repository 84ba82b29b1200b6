"""A case manager hands a child or a suspect over to a party outside the agreement."""

from uuid import UUID

from simpul_routing.domain.actors import Actor
from simpul_routing.domain.transfer import Acknowledgement, ExternalParty, TransferSubject, TransferWay
from simpul_routing.use_cases.changes import CaseChanges


class TransferCases:
    """Letters to external parties; all raise CaseUnknown, CaseChanged, CaseMerged and CaseEnded."""

    def __init__(self, changes: CaseChanges) -> None:
        self._changes = changes

    async def send_transfer(
        self,
        case_id: UUID,
        version: int,
        subject: TransferSubject,
        way: TransferWay,
        party: ExternalParty,
        *,
        by: Actor,
        reason: str,
    ) -> UUID:
        """Records a letter to an external party; returns its id. Raises ReasonMissing."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            return file.send_transfer(subject, way, party, by.code, reason).transfer_id

    async def acknowledge_transfer(
        self, case_id: UUID, version: int, transfer_id: UUID, acknowledgement: Acknowledgement, *, by: Actor
    ) -> None:
        """Notes who received the letter, and when. Raises TransferUnknown."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.acknowledge_transfer(transfer_id, acknowledgement, by.code)

    async def withdraw_transfer(
        self, case_id: UUID, version: int, transfer_id: UUID, *, by: Actor, reason: str
    ) -> None:
        """Withdraws a letter that nobody has acknowledged. Raises TransferUnknown, ReasonMissing."""
        async with self._changes.change_open_file(case_id, version, by) as file:
            file.withdraw_transfer(transfer_id, by.code, reason)
