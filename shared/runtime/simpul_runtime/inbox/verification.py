"""Verifies deliveries: each becomes an accepted event or is rejected with a reason."""

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

import structlog

from simpul_runtime.acknowledging import Receipt
from simpul_runtime.signing import Keys
from simpul_schema import Event
from simpul_schema.vocabulary import ParkReason
from simpul_seal import Rejection

MAX_CAUSES: Final = 5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as the broker delivered it."""

    body: bytes
    signature: str
    """Signature of the body; empty if the message had none."""
    exchange: str
    routing_key: str
    receipt: Receipt | None = field(default=None, repr=False, compare=False)
    """Acknowledges the delivery once it is stored; None for a message that was read from a table."""
    traceparent: str = field(default="", compare=False)
    """Its trace; empty where the sender traces nothing."""

    @property
    def digest(self) -> bytes:
        """Digest of the body."""
        return sha256(self.body).digest()

    @property
    def parked_digest(self) -> bytes:
        """Digest of body and signature, so that a copy with a bad signature never replaces a parked good one."""
        return sha256(self.digest + self.signature.encode()).digest()


@dataclass(frozen=True, slots=True)
class RejectedDelivery:
    """A delivery that is parked, and why."""

    delivery: Delivery
    reason: ParkReason
    detail: str


@dataclass(frozen=True, slots=True)
class AcceptedEvent:
    """A verified event and its delivery."""

    delivery: Delivery
    event: Event

    @property
    def key(self) -> tuple[str, UUID]:
        """Source and id, which identify the event."""
        return self.event.source, self.event.id

    @property
    def stream(self) -> tuple[str, str]:
        """Subject and source; the events of a stream are handled in the order of their sequence."""
        return self.event.subject, self.event.source


def verify_delivery(delivery: Delivery, keys: Keys, now: datetime) -> AcceptedEvent | RejectedDelivery:
    """Verifies a delivery; rejects it whatever goes wrong, so that it cannot harm the others of its batch."""
    try:
        outcome = keys.verify(delivery.body, delivery.signature, now)
    except Exception as error:
        log.warning("message_not_readable", exc_info=error)
        return RejectedDelivery(delivery, ParkReason.MALFORMED, describe_causes(error))
    if isinstance(outcome, Rejection):
        return RejectedDelivery(delivery, outcome.reason, outcome.detail)
    return AcceptedEvent(delivery, outcome.event)


def describe_causes(error: BaseException) -> str:
    """Names the types of an error and of its causes; their messages could quote personal data."""
    names: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(names) < MAX_CAUSES:
        names.append(type(cause).__name__)
        cause = cause.__cause__
    return " < ".join(names)
