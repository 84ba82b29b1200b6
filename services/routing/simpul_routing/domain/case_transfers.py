"""A case file records letters to parties outside the agreement, and holds a child in danger until one has it."""

from datetime import datetime
from typing import Final
from uuid import UUID

from simpul_agreement.deadlines import Within
from simpul_agreement.model import ClockName, ClockRuns
from simpul_routing.domain.case_events import CaseEventKind
from simpul_routing.domain.plan_actions import PlanActions
from simpul_routing.domain.transfer import (
    Acknowledgement,
    ExternalParty,
    Transfer,
    TransferState,
    TransferSubject,
    TransferWay,
)
from simpul_routing.errors import ReasonMissing, TransferNotAcknowledged, TransferUnknown
from simpul_schema.vocabulary import Answer, CaseEnd, Urgency

DEFAULT_TIME: Final = Within(working_days=3)
"""The time to acknowledge where no clause sets one."""


class CaseTransfers(PlanActions):
    """Transfers of a case: letters to parties outside the agreement, of which a case may have several.

    A transfer ends nothing by itself. While nobody has acknowledged it, the agency that manages the case is reminded,
    and a child in danger stays in the care of the city.
    """

    @property
    def is_child_in_danger(self) -> bool:
        """Whether the child may not be left without care for a moment."""
        return self.case.urgency is Urgency.HIGH or Answer.NO.value in self.facts.situation["safe_now"]

    def send_transfer(
        self, subject: TransferSubject, way: TransferWay, party: ExternalParty, actor: str, note: str
    ) -> Transfer:
        """Records a letter to an external party; referrals and deadlines stay as they are. Raises ReasonMissing."""
        if not note:
            raise ReasonMissing
        now = self.rules.now
        transfer = Transfer(self.rules.new_id(), self.case_id, subject, way, now, self._find_deadline(), lambda: party)
        self.transfers[transfer.transfer_id] = transfer
        self._record_transfer(CaseEventKind.TRANSFER_SENT, actor, note)
        return transfer

    def acknowledge_transfer(self, transfer_id: UUID, acknowledgement: Acknowledgement, actor: str) -> None:
        """Notes who received the letter, and when. Raises TransferUnknown."""
        transfer = self._find_open_transfer(transfer_id)
        settled = transfer.settle(TransferState.ACKNOWLEDGED, self.rules.now, acknowledgement)
        self.transfers[transfer_id] = settled
        self._record_transfer(CaseEventKind.TRANSFER_ACKNOWLEDGED, actor)

    def withdraw_transfer(self, transfer_id: UUID, actor: str, note: str) -> None:
        """Withdraws a letter that nobody has acknowledged. Raises TransferUnknown, ReasonMissing."""
        if not note:
            raise ReasonMissing
        transfer = self._find_open_transfer(transfer_id)
        self.transfers[transfer_id] = transfer.settle(TransferState.WITHDRAWN, self.rules.now)
        self._record_transfer(CaseEventKind.TRANSFER_WITHDRAWN, actor, note)

    def check_transferred(self, end: CaseEnd) -> None:
        """Raises TransferNotAcknowledged if the end would leave a child in danger before another party has it."""
        if not self.is_child_in_danger:
            return
        of_child = [one for one in self.transfers.values() if one.subject is TransferSubject.CHILD]
        is_taken_over = any(one.state is TransferState.ACKNOWLEDGED for one in of_child)
        if any(one.is_open for one in of_child) or (end is CaseEnd.TRANSFERRED and not is_taken_over):
            raise TransferNotAcknowledged

    def _record_transfer(self, kind: CaseEventKind, actor: str, note: str = "") -> None:
        self.update_transfer_clock()
        self.record_event(kind, actor, note=note)
        self.change_case()

    def _find_open_transfer(self, transfer_id: UUID) -> Transfer:
        transfer = self.transfers.get(transfer_id)
        if transfer is None or not transfer.is_open:
            raise TransferUnknown
        return transfer

    def _find_deadline(self) -> datetime:
        effects = (clause.effect for clause in self.rules.decide(self.facts, self.case.urgency).effective)
        withins = (e.within for e in effects if isinstance(e, ClockRuns) and e.clock is ClockName.TRANSFER)
        return next(withins, DEFAULT_TIME).due(self.rules.now, self.rules.city.zone, self.rules.agreement.calendar)
