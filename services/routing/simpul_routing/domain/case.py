"""A case: its state, the decision about it, the facts behind the decision, and the rights ledger."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from simpul_agreement.rights import Entry, Ledger
from simpul_routing.domain.case_lifecycle import CaseState
from simpul_routing.domain.counting import ERRONEOUS_CASES
from simpul_routing.domain.facts import CaseFacts
from simpul_schema.vocabulary import CancelReason, CaseEnd, RightState, Urgency


@dataclass(frozen=True, slots=True)
class Case:
    """A case without its referrals."""

    case_id: UUID
    state: CaseState
    urgency: Urgency
    urgency_from_facts: Urgency
    """The urgency by the facts alone at the last decision."""
    mediation_locked: bool
    agreement: str
    agreement_digest: str
    read_facts: Callable[[], CaseFacts] = field(repr=False, compare=False)
    """Decrypts the facts when they are needed first, because a case that cannot be decrypted still takes replies."""
    rights: Ledger
    """The rights ledger by the services and decisions alone; see `ledger`."""
    decided_at: datetime
    ended_as: CaseEnd | None = None
    ended_at: datetime | None = None
    merged_into: UUID | None = None
    version: int = 1

    @property
    def facts(self) -> CaseFacts:
        """The facts behind the decision."""
        return self.read_facts()

    @property
    def ledger(self) -> Ledger:
        """The rights ledger as it counts: a case that was entered in error owes nothing."""
        if self.state in ERRONEOUS_CASES:
            return dict.fromkeys(self.rights, Entry(RightState.NOT_APPLICABLE, CancelReason.ENTERED_IN_ERROR.value))
        return self.rights

    @property
    def has_ended(self) -> bool:
        """Whether the case is closed, merged or void."""
        return self.ended_at is not None


def compute_version(case: Case, services: Iterable[int]) -> int:
    """Returns the version of a case with its services, which grows with every change of any of them."""
    return case.version + sum(services)
