"""Decides what a message is: an event to handle, a delivery manifest, or a message to park."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import structlog

from simpul_agency.event_reader import EventReader, UnusableMessage
from simpul_agency.received_event import ReceivedEvent
from simpul_agency.records import DeliveryManifest, IncomingEvent, IncomingMessage, InvalidMessage, ParkedMessage
from simpul_agency.reply import Reply
from simpul_schema import Event
from simpul_schema.messages import AgencyManifestV1
from simpul_seal import SignedHead

log = structlog.get_logger()


class MessageClassifier:
    """Verifies messages and opens their sections before they are stored."""

    def __init__(
        self,
        agency: str,
        reader: EventReader,
        *,
        create_reply: Callable[[Event], Reply],
        on_opened: Callable[[ReceivedEvent[Any]], None],
    ) -> None:
        """`on_opened` is called with each event that can be handled."""
        self._agency = agency
        self._reader = reader
        self._create_reply = create_reply
        self._on_opened = on_opened

    def classify(self, body: bytes, signature: str, traceparent: str = "") -> IncomingMessage:
        """Classifies a message from the broker."""
        return self._classify(
            body,
            signature,
            lambda: self._reader.verify(body, signature, datetime.now(timezone.utc)),
            traceparent=traceparent,
        )

    def classify_parked(self, parked: ParkedMessage) -> IncomingMessage:
        """Classifies a parked message again; the signature of a verified event is not verified a second time."""
        if parked.was_verified:
            return self._classify(parked.body, parked.signature, lambda: self._reader.read_stored(parked.body))
        return self.classify(parked.body, parked.signature)

    def _classify(
        self, body: bytes, signature: str, read: Callable[[], Event], *, traceparent: str = ""
    ) -> IncomingMessage:
        try:
            event = read()
        except UnusableMessage as error:
            log.error("message_parked", agency=self._agency, reason=error.reason.value)
            source, event_id = (error.identity.source, error.identity.event_id) if error.identity else ("", "")
            return InvalidMessage(body, error.reason.value, source, event_id, signature)
        if isinstance(event, AgencyManifestV1):
            return _manifest_of(event, self._reader.read_heads(event.data.audit_heads))
        known: dict[str, Any] = {
            "source": event.source,
            "event_id": str(event.id),
            "subject": event.subject,
            "sequence": event.position,
            "type": event.type,
            "body": body,
            "signature": signature,
        }
        try:
            received = self._reader.open_sections(event)
        except UnusableMessage as error:
            log.error("message_parked", agency=self._agency, event_id=str(event.id), reason=error.reason.value)
            return IncomingEvent(**known, park_reason=error.reason.value)
        self._on_opened(replace(received, traceparent=traceparent) if traceparent else received)
        if not received.new_services:
            return IncomingEvent(**known)
        # Each service has its own receipt clock, also one that an amendment added.
        receipt = self._create_reply(event)
        receipt.mark_delivered()
        return IncomingEvent(**known, replies=receipt.drafts)


def _manifest_of(event: AgencyManifestV1, heads: tuple[SignedHead, ...]) -> DeliveryManifest:
    """The silence is counted by this machine's clock from now on, so clocks that differ do no harm."""
    data = event.data
    return DeliveryManifest(
        source=event.source,
        sequence=event.position,
        last_number=data.last_manifest_number,
        issued_at=event.time.timestamp(),
        max_silence=(data.next_by - event.time).total_seconds(),
        events=tuple((one.manifest_number, str(one.event_id), one.is_withheld) for one in data.events),
        heads=heads,
    )
