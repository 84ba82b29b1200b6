"""The records that the kit puts into its store and gets back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Optional, Union

from simpul_seal import SignedHead


@dataclass(frozen=True)
class SignedBody:
    """The bytes of an event, and the signature that travels with them."""

    body: bytes = field(repr=False)
    signature: str = field(repr=False)


@dataclass(frozen=True)
class ReplyDraft:
    """A reply without a sequence, which it gets when it is stored."""

    subject: str
    wire_name: str
    event_id: str
    correlation_id: str
    sign_with_sequence: Callable[[int], SignedBody] = field(repr=False, compare=False)
    """Returns the bytes with this sequence, and their signature."""


@dataclass(frozen=True)
class IncomingEvent:
    """A verified event; with a park reason when its content cannot be used."""

    source: str
    event_id: str
    subject: str
    sequence: int
    type: str
    body: bytes = field(repr=False)
    park_reason: str = ""
    replies: tuple[ReplyDraft, ...] = ()
    signature: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of the body."""
        return sha256(self.body).hexdigest()


@dataclass(frozen=True)
class InvalidMessage:
    """A message that is not an event of the contract."""

    body: bytes = field(repr=False)
    park_reason: str
    source: str = ""
    """Source and event id are set when the city signed the message: the event arrived, so it is not missing."""
    event_id: str = ""
    signature: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of the body."""
        return sha256(self.body).hexdigest()

    @property
    def name(self) -> str:
        """A digest of body and signature: a copy with a bad signature does not replace one with a good signature."""
        return sha256(sha256(self.body).digest() + self.signature.encode()).hexdigest()


@dataclass(frozen=True)
class DeliveryManifest:
    """What the city says it has sent."""

    source: str
    sequence: int
    last_number: int
    issued_at: float
    """Unix time by the city's clock."""
    max_silence: float
    """Seconds until the next manifest is overdue."""
    events: tuple[tuple[int, str, bool], ...]
    """(manifest number, event id, whether the event is withheld)"""
    heads: tuple[SignedHead, ...] = ()
    """Verified heads of the audits of the city's services."""


@dataclass(frozen=True)
class DeliveryStatus:
    """How far the received events agree with the manifests of one source."""

    source: str
    last_number: int
    settled_number: int
    """Every event up to this number was received, or is withheld."""
    received_at: float
    """When the last manifest came, by this machine's clock."""
    issued_at: float
    """When it was made, by the city's clock."""
    next_due_at: float
    missing_ranges: tuple[tuple[int, int], ...]
    """The first ranges of numbers that are missing."""

    @property
    def first_missing(self) -> Optional[tuple[int, int]]:
        """The first missing range; None when nothing is missing."""
        return self.missing_ranges[0] if self.missing_ranges else None

    def is_silent(self, now: float) -> bool:
        """Whether a manifest is overdue."""
        return now > self.next_due_at


@dataclass(frozen=True)
class StreamGap:
    """An event whose predecessor did not come."""

    subject: str
    sequence: int
    body: bytes = field(repr=False)
    previous_body: Optional[bytes] = field(repr=False)
    """The last received event before the gap; None when there is none."""


IncomingMessage = Union[IncomingEvent, InvalidMessage, DeliveryManifest]


@dataclass(frozen=True)
class DueEvent:
    """An event whose handler can be called."""

    source: str
    event_id: str
    subject: str
    type: str
    body: bytes = field(repr=False)
    attempts: int


@dataclass(frozen=True)
class HandlerResult:
    """How a handler ended: with replies, or with a time to call it again."""

    source: str
    event_id: str
    replies: tuple[ReplyDraft, ...] = ()
    retry_at: Optional[float] = None
    reason: str = ""


@dataclass(frozen=True)
class OutgoingReply:
    """A stored reply to publish."""

    event_id: str
    wire_name: str
    correlation_id: str
    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    """Empty when the reply was stored by a version that put the signature into the body."""


TypedBody = tuple[str, bytes]
"""The wire name and the body of an event or a reply."""


@dataclass(frozen=True)
class ReferralStream:
    """The events and replies of one referral."""

    events: tuple[TypedBody, ...] = field(repr=False)
    """The city's events by their sequence; at least one of them asks for services."""
    replies: tuple[TypedBody, ...] = field(repr=False)
    """This agency's replies in their order."""
    refusals: tuple[bytes, ...] = field(default=(), repr=False)
    """The city's refusals of these replies."""
    releases: tuple[bytes, ...] = field(default=(), repr=False)
    """Its releases of the dossier by their sequence; what was withdrawn is no longer in them."""


@dataclass(frozen=True)
class ParkedEntry:
    """A parked message, as lists show it."""

    name: str
    """The event id, or the digest of a message that could not be read."""
    type: str
    reason: str


@dataclass(frozen=True)
class ParkedMessage:
    """The content of a parked message."""

    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    was_verified: bool
    """Whether it was stored as a verified event whose content could not be used."""
