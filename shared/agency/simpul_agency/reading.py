"""A message of the city becomes an event of the contract, or is set aside with a reason."""

from datetime import datetime
from typing import Any, Final, Optional, TypeVar

from pydantic import BaseModel, ValidationError

from simpul_agency.received import Received
from simpul_schema import Event, Producer, message_class
from simpul_schema.catalog import may_publish
from simpul_schema.envelope import MAX_EVENT_BYTES, NotReadableJson, read_json
from simpul_schema.messages.referral import ReferralFacts, SuggestedExclusions
from simpul_schema.vocabulary import UnusableReason
from simpul_seal import Directory, KeyRing, NotForUs, SealError, UnknownKey, open_section, verify

_FACTS: Final = "facts"
_SUGGESTIONS: Final = "suggestions"
_M = TypeVar("_M", bound=BaseModel)


class NotReadable(Exception):
    """The message is no event that the city addressed to this agency; `reason` says why."""

    def __init__(self, reason: UnusableReason, event: Optional[dict[str, Any]] = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.signed_by_the_city = event
        """The event where its signature was right: it came, although it cannot be used."""


class Reader:
    """Verifies and opens with the agency's keys."""

    def __init__(self, agency: str, keys: KeyRing, directory: Directory) -> None:
        self._agency = agency
        self._keys = keys
        self._directory = directory

    def verified(self, body: bytes, now: datetime) -> dict[str, Any]:
        """The event as JSON, signed by the party it names; NotReadable otherwise."""
        if len(body) > MAX_EVENT_BYTES:
            raise NotReadable(UnusableReason.TOO_LARGE)
        try:
            event = read_json(body)
        except NotReadableJson as error:
            raise NotReadable(UnusableReason.NOT_JSON) from error
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise NotReadable(UnusableReason.NO_EVENT)
        try:
            signer = verify(event, self._directory, now)
            producer = Producer.of(str(event.get("source")))
        except UnknownKey as error:
            raise NotReadable(UnusableReason.UNKNOWN_KEY) from error
        except SealError as error:
            raise NotReadable(UnusableReason.FORGED if event.get("signature") else UnusableReason.UNSIGNED) from error
        except ValueError as error:
            raise NotReadable(UnusableReason.NO_SOURCE) from error
        if signer != producer.party:
            raise NotReadable(UnusableReason.FORGED)
        if not may_publish(producer.party, is_agency=producer.is_agency, wire_name=event["type"]):
            raise NotReadable(
                UnusableReason.NOT_ITS_TO_SAY if message_class(event["type"]) else UnusableReason.UNKNOWN_TYPE, event
            )
        return event

    def event(self, verified: dict[str, Any]) -> Event:
        """The typed event; NotReadable when it does not match the contract, or is addressed to another agency."""
        message = message_class(verified["type"])
        if message is None:
            raise NotReadable(UnusableReason.UNKNOWN_TYPE, verified)
        try:
            event = message.model_validate(verified)
        except ValidationError as error:
            raise NotReadable(UnusableReason.INVALID, verified) from error
        if getattr(event.data, "agency", self._agency) != self._agency:  # type: ignore[attr-defined]  # all have data
            raise NotReadable(UnusableReason.FOR_ANOTHER_AGENCY, verified)
        return event

    def opened(self, event: Event) -> Received[Any]:
        """The event with its sealed facts, where it has some; NotReadable when they do not open."""
        suggested = self._section(event, _SUGGESTIONS, SuggestedExclusions)
        return Received(event, self._section(event, _FACTS, ReferralFacts), suggested.agencies if suggested else ())

    def _section(self, event: Event, name: str, content: type[_M]) -> Optional[_M]:
        sealed = event.data.sealed.get(name)  # type: ignore[attr-defined]  # all messages have data
        if sealed is None:
            return None
        try:
            opened = open_section(
                sealed.ciphertext, self._keys, event_id=event.id, case_id=event.correlationid, section=name
            )
            return content.model_validate_json(opened)
        except NotForUs as error:
            raise NotReadable(UnusableReason.CANNOT_OPEN) from error
        except ValidationError as error:
            raise NotReadable(UnusableReason.INVALID) from error
