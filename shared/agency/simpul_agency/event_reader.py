"""Turns a message into an event of the contract, or rejects it with a reason."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Optional, TypeVar

import structlog
from pydantic import ValidationError

from simpul_agency.earlier_events import with_services
from simpul_agency.received_event import ReceivedEvent
from simpul_schema import Event, SectionContent, message_class
from simpul_schema.envelope import NotReadableJson, read_json
from simpul_schema.messages import DossierReleasedV1
from simpul_schema.messages.audit import AuditHead
from simpul_schema.messages.dossier import DOSSIER_SECTIONS
from simpul_schema.messages.referral import ReferralFacts, SuggestedExclusions
from simpul_schema.messages.service_plan import ProposedPlan
from simpul_schema.vocabulary import DossierSection, ParkReason
from simpul_seal import (
    Directory,
    EventIdentity,
    HeadNotSigned,
    KeyRing,
    NotForUs,
    Rejection,
    SignedHead,
    open_section,
    read_head,
    verify_event,
)

_FACTS: Final = "facts"
_SUGGESTIONS: Final = "suggestions"
_PLAN: Final = "plan"
_M = TypeVar("_M", bound=SectionContent)

log = structlog.get_logger()


class UnusableMessage(Exception):
    """The message is not an event that the city addressed to this agency; `reason` says why."""

    def __init__(self, reason: ParkReason, identity: Optional[EventIdentity] = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.identity = identity
        """Set when the signature is valid: the event arrived, although it cannot be used."""


class EventReader:
    """Verifies events and opens their sealed sections with the agency's keys."""

    def __init__(self, agency: str, keys: KeyRing, directory: Directory) -> None:
        self._agency = agency
        self._keys = keys
        self._directory = directory

    def verify(self, body: bytes, signature: str, now: datetime) -> Event:
        """Returns the verified event; raises UnusableMessage."""
        outcome = verify_event(body, signature, self._directory, now)
        if isinstance(outcome, Rejection):
            raise UnusableMessage(outcome.reason, outcome.identity)
        return self._require_recipient(outcome.event)

    def read_heads(self, heads: Sequence[AuditHead]) -> tuple[SignedHead, ...]:
        """Returns the heads that their services have signed; others prove nothing, and are logged."""
        signed = []
        for head in heads:
            try:
                signed.append(read_head(head.model_dump(), self._directory))
            except HeadNotSigned:
                log.error("audit_head_not_signed", agency=self._agency)
        return tuple(signed)

    def read_stored(self, body: bytes) -> Event:
        """Parses an event that was verified before it was stored, perhaps under an earlier contract.

        Its key may have ended since then. Raises UnusableMessage when this version of the contract does not accept it.
        """
        try:
            parsed = read_json(body)
            message = message_class(parsed["type"])
            if message is None:
                raise UnusableMessage(ParkReason.UNKNOWN_TYPE)
            return self._require_recipient(message.read(with_services(parsed)))
        except (NotReadableJson, ValidationError) as error:
            raise UnusableMessage(ParkReason.INVALID) from error

    def _require_recipient(self, event: Event) -> Event:
        if getattr(event.data, "agency", self._agency) != self._agency:  # type: ignore[attr-defined]  # all have data
            identity = EventIdentity(event.source, str(event.id), event.subject, event.sequence)
            raise UnusableMessage(ParkReason.FOR_ANOTHER_AGENCY, identity)
        return event

    def open_sections(self, event: Event) -> ReceivedEvent[Any]:
        """Opens the sealed sections of an event; raises UnusableMessage when one does not open."""
        suggested = self._open_section(event, _SUGGESTIONS, SuggestedExclusions)
        facts = self._open_section(event, _FACTS, ReferralFacts)
        plan = self._open_section(event, _PLAN, ProposedPlan)
        return ReceivedEvent(event, facts, suggested.agencies if suggested else (), plan, self._open_dossier(event))

    def _open_dossier(self, event: Event) -> dict[DossierSection, SectionContent]:
        if not isinstance(event, DossierReleasedV1):
            return {}
        opened = {
            name: self._open_section(event, content.SECTION, content) for name, content in DOSSIER_SECTIONS.items()
        }
        return {name: content for name, content in opened.items() if content is not None}

    def _open_section(self, event: Event, name: str, content: type[_M]) -> Optional[_M]:
        sealed = event.data.sealed.get(name)  # type: ignore[attr-defined]  # all messages have data
        if sealed is None:
            return None
        try:
            opened = open_section(
                sealed.ciphertext, self._keys, event_id=event.id, case_id=event.correlationid, section=name
            )
            return content.read_json(opened)
        except NotForUs as error:
            raise UnusableMessage(ParkReason.CANNOT_OPEN) from error
        except ValidationError as error:
            raise UnusableMessage(ParkReason.INVALID) from error
