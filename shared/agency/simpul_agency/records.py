"""What goes into the store and comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Optional, Union


@dataclass(frozen=True)
class SignedBody:
    """The bytes of an event, and the signature that travels beside them."""

    body: bytes = field(repr=False)
    signature: str = field(repr=False)


@dataclass(frozen=True)
class Draft:
    """A reply that has no place in its stream yet."""

    subject: str
    wire_name: str
    event_id: str
    correlation_id: str
    finish: Callable[[int], SignedBody] = field(repr=False, compare=False)
    """The bytes and their signature once the place is known."""


@dataclass(frozen=True)
class Arrived:
    """An event that was verified and read, or parked with a reason although it was read."""

    source: str
    event_id: str
    subject: str
    sequence: int
    type: str
    body: bytes = field(repr=False)
    parked: str = ""
    replies: tuple[Draft, ...] = ()
    signature: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """The same for the same bytes."""
        return sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Unreadable:
    """A message that is no event of the contract, with the reason."""

    body: bytes = field(repr=False)
    reason: str
    source: str = ""
    event_id: str = ""
    """Where the city has signed it: the event came, so it is not missing."""
    signature: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """The same for the same bytes."""
        return sha256(self.body).hexdigest()

    @property
    def name(self) -> str:
        """The same for the same bytes and signature: a copy with a bad signature takes the place of no good one."""
        return sha256(sha256(self.body).digest() + self.signature.encode()).hexdigest()


@dataclass(frozen=True)
class Account:
    """What the city says it has sent, and how long it may be silent from now."""

    source: str
    sequence: int
    last_number: int
    issued_at: float
    allowance: float
    """Seconds until the next account is missed."""
    events: tuple[tuple[int, str, bool], ...]
    """(number, event id, whether it is withheld)"""


@dataclass(frozen=True)
class Standing:
    """How far what is held agrees with the city's accounts."""

    source: str
    last_number: int
    settled: int
    """All up to this number are here, or withheld."""
    received_at: float
    """When the last account came, by our clock."""
    issued_at: float
    """When it was made, by the city's."""
    next_due_at: float
    holes: tuple[tuple[int, int], ...]
    """The first ranges of numbers that are missing."""

    @property
    def hole(self) -> Optional[tuple[int, int]]:
        """The first of them; None when nothing is missing."""
        return self.holes[0] if self.holes else None

    def is_silent(self, now: float) -> bool:
        """Whether an account is missed."""
        return now > self.next_due_at


@dataclass(frozen=True)
class Gap:
    """An event that waits for one that never came."""

    subject: str
    sequence: int
    body: bytes = field(repr=False)
    before: Optional[bytes] = field(repr=False)
    """The last event of the same stream that came before it, if one did."""


Message = Union[Arrived, Unreadable, Account]


@dataclass(frozen=True)
class Due:
    """An event whose turn has come."""

    source: str
    event_id: str
    subject: str
    type: str
    body: bytes = field(repr=False)
    attempts: int


@dataclass(frozen=True)
class Handled:
    """What became of an event: done with its replies, or to be tried again at a moment."""

    source: str
    event_id: str
    replies: tuple[Draft, ...] = ()
    again_at: Optional[float] = None
    reason: str = ""


@dataclass(frozen=True)
class Outgoing:
    """A reply on its way."""

    event_id: str
    wire_name: str
    correlation_id: str
    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    """Empty where a version that put it into the body stored the reply."""


@dataclass(frozen=True)
class Stream:
    """Everything that was said about one referral, in its order."""

    offer: bytes = field(repr=False)
    events: tuple[tuple[str, bytes], ...] = field(repr=False)
    """(wire name, body) of what the city said."""
    replies: tuple[str, ...]
    """Wire names of what was replied."""


@dataclass(frozen=True)
class Parked:
    """A message set aside."""

    name: str
    """The event id, or the name of what could not be read."""
    type: str
    reason: str


@dataclass(frozen=True)
class ParkedBody:
    """What a message that was set aside consists of."""

    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    was_verified: bool
    """It is an event whose signature was right when it was stored; only what it holds could not be used."""
