"""A transfer: a letter to a party outside the agreement, whose receipt a person notes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from simpul_schema.vocabulary import Term


class TransferSubject(Term):
    """Whom another party takes over."""

    CHILD = "child", "anak", "the child"
    SUSPECT = "suspect", "terduga pelaku", "the suspect"


class TransferWay(Term):
    """How the letter travels."""

    MAIL = "mail", "surel", "e-mail"
    PAPER = "paper", "surat di atas kertas", "letter on paper"


class TransferState(StrEnum):
    """Where a transfer stands."""

    SENT = "sent"
    """Nobody has acknowledged it yet."""
    ACKNOWLEDGED = "acknowledged"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ExternalParty:
    """An institution outside the agreement, with the address of its office."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who received the letter, as a person noted it."""

    name: str
    office: str
    received_on: date


@dataclass(frozen=True, slots=True)
class Transfer:
    """A letter to an external party, which is asked to take somebody over."""

    transfer_id: UUID
    """The reference that people quote, as they quote that of a referral."""
    case_id: UUID
    subject: TransferSubject
    way: TransferWay
    sent_at: datetime
    due_at: datetime
    """When the other party has to acknowledge."""
    read_party: Callable[[], ExternalParty] = field(repr=False, compare=False)
    """Decrypts the party when it is needed first: an address may hold the name of a person."""
    state: TransferState = TransferState.SENT
    settled_at: datetime | None = None
    """When the receipt was noted, or the letter withdrawn."""
    read_acknowledgement: Callable[[], Acknowledgement | None] = field(default=lambda: None, repr=False, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether the city waits for the other party."""
        return self.state is TransferState.SENT

    def settle(self, state: TransferState, now: datetime, acknowledgement: Acknowledgement | None = None) -> "Transfer":
        """Returns the transfer acknowledged or withdrawn."""
        return replace(self, state=state, settled_at=now, read_acknowledgement=lambda: acknowledgement)
