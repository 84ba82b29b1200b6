"""A message of the city becomes an event of the contract, or is set aside with a reason."""

import json
from datetime import datetime
from enum import Enum
from typing import Any, Final, Optional

from pydantic import ValidationError

from simpul_agency.received import Received
from simpul_schema import Event, Producer, message_class
from simpul_schema.catalog import may_publish
from simpul_schema.envelope import MAX_EVENT_BYTES
from simpul_schema.messages.referral import ReferralFacts
from simpul_seal import Directory, KeyRing, NotForUs, SealError, UnknownKey, open_section, verify

_FACTS: Final = "facts"


class Reason(str, Enum):
    """Why a message is set aside."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NO_EVENT = "no_event"
    NO_SOURCE = "no_source"
    UNSIGNED = "unsigned"
    FORGED = "forged"
    UNKNOWN_KEY = "unknown_key"
    NOT_ITS_TO_SAY = "not_its_to_say"
    UNKNOWN_TYPE = "unknown_type"
    INVALID = "invalid"
    FOR_ANOTHER_AGENCY = "for_another_agency"
    CANNOT_OPEN = "cannot_open"


class NotReadable(Exception):
    """The message is no event that the city addressed to this agency; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Reader:
    """Verifies and opens with the agency's keys."""

    def __init__(self, agency: str, keys: KeyRing, directory: Directory) -> None:
        self._agency = agency
        self._keys = keys
        self._directory = directory

    def verified(self, body: bytes, now: datetime) -> dict[str, Any]:
        """The event as JSON, signed by the party it names; NotReadable otherwise."""
        if len(body) > MAX_EVENT_BYTES:
            raise NotReadable(Reason.TOO_LARGE)
        try:
            event = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise NotReadable(Reason.NOT_JSON) from error
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise NotReadable(Reason.NO_EVENT)
        try:
            signer = verify(event, self._directory, now)
            producer = Producer.of(str(event.get("source")))
        except UnknownKey as error:
            raise NotReadable(Reason.UNKNOWN_KEY) from error
        except SealError as error:
            raise NotReadable(Reason.FORGED if event.get("signature") else Reason.UNSIGNED) from error
        except ValueError as error:
            raise NotReadable(Reason.NO_SOURCE) from error
        if signer != producer.party:
            raise NotReadable(Reason.FORGED)
        if not may_publish(producer.party, is_agency=producer.is_agency, wire_name=event["type"]):
            raise NotReadable(Reason.NOT_ITS_TO_SAY if message_class(event["type"]) else Reason.UNKNOWN_TYPE)
        return event

    def event(self, verified: dict[str, Any]) -> Event:
        """The typed event; NotReadable when it does not match the contract, or is addressed to another agency."""
        message = message_class(verified["type"])
        if message is None:
            raise NotReadable(Reason.UNKNOWN_TYPE)
        try:
            event = message.model_validate(verified)
        except ValidationError as error:
            raise NotReadable(Reason.INVALID) from error
        if getattr(event.data, "agency", self._agency) != self._agency:  # type: ignore[attr-defined]  # all have data
            raise NotReadable(Reason.FOR_ANOTHER_AGENCY)
        return event

    def opened(self, event: Event) -> Received[Any]:
        """The event with its sealed facts, where it has some; NotReadable when they do not open."""
        return Received(event, self._facts(event))

    def _facts(self, event: Event) -> Optional[ReferralFacts]:
        sealed = event.data.sealed.get(_FACTS)  # type: ignore[attr-defined]  # all messages have data
        if sealed is None:
            return None
        try:
            opened = open_section(
                sealed.ciphertext, self._keys, event_id=event.id, case_id=event.correlationid, section=_FACTS
            )
            return ReferralFacts.model_validate_json(opened)
        except NotForUs as error:
            raise NotReadable(Reason.CANNOT_OPEN) from error
        except ValidationError as error:
            raise NotReadable(Reason.INVALID) from error
