"""An event for one destination, before its sections are sealed and it is signed."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from simpul_runtime.outbox_message import OutboxMessage
from simpul_runtime.signing import Keys
from simpul_schema import Event, SealedSection
from simpul_schema.envelope import wire_bytes
from simpul_schema.names import EVENTS


@dataclass(frozen=True, slots=True)
class UnsignedEvent:
    """An event with its position in the stream and one destination, not yet sealed or signed."""

    event: Event
    """The event as published, without sealed sections."""
    sections: dict[str, tuple[str, str]]
    """Section -> (recipient, content as JSON)."""
    agency: str
    exchange: str
    routing_key: str

    @property
    def event_id(self) -> UUID:
        """The event's id; its copies to other exchanges share it."""
        return self.event.id

    @property
    def case_id(self) -> UUID:
        """The case to which the sealed sections are bound."""
        return self.event.correlationid

    def find_recipients_without_key(self, keys: Keys, now: datetime) -> frozenset[str]:
        """Finds the recipients of its sections that have no usable key now."""
        return frozenset(party for party, _ in self.sections.values() if not keys.has_usable_key(party, now))

    def choose_awaited_party(self, without_key: frozenset[str]) -> str:
        """Chooses the party whose key it has to wait for; empty if it can be published now.

        Services never read what is sealed to an agency, so their copy is published without that section.
        """
        needed = (party for party in sorted(without_key) if self.exchange != EVENTS or party != self.agency)
        return next(needed, "")

    def build_body(self, keys: Keys, now: datetime, without_key: frozenset[str]) -> bytes:
        """Seals its sections, except those to `without_key`, and returns the bytes to sign and publish.

        Raises UnknownKey if another recipient has no key.
        """
        sealed = {
            section: SealedSection.model_validate(
                keys.seal_section(
                    content.encode(),
                    recipient=recipient,
                    event_id=self.event_id,
                    case_id=self.case_id,
                    section=section,
                    now=now,
                )
            )
            for section, (recipient, content) in self.sections.items()
            if recipient not in without_key
        }
        data = self.event.data.model_copy(update={"sealed": sealed})  # type: ignore[attr-defined]  # all have data
        return wire_bytes(self.event.model_copy(update={"data": data}))

    def to_message(self, body: bytes, signature: str, traceparent: str) -> OutboxMessage:
        """Returns the outbox message for this destination."""
        about = self.event_id, self.case_id, traceparent
        return OutboxMessage(uuid4(), self.exchange, self.routing_key, body, signature, *about)
