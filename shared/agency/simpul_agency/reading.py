"""A message of the city becomes an event of the contract, or is set aside with a reason."""

from datetime import datetime
from typing import Any, Final, Optional, TypeVar

from pydantic import BaseModel, ValidationError

from simpul_agency.received import Received
from simpul_schema import Event, message_class
from simpul_schema.envelope import NotReadableJson, read_json
from simpul_schema.messages.referral import ReferralFacts, SuggestedExclusions
from simpul_schema.vocabulary import ParkReason
from simpul_seal import Directory, EventIdentity, KeyRing, NotForUs, Rejection, open_section, verify_event

_FACTS: Final = "facts"
_SUGGESTIONS: Final = "suggestions"
_M = TypeVar("_M", bound=BaseModel)


class NotReadable(Exception):
    """The message is no event that the city addressed to this agency; `reason` says why."""

    def __init__(self, reason: ParkReason, identity: Optional[EventIdentity] = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.identity = identity
        """Where its source has signed the message: it came, although it cannot be used."""


class Reader:
    """Verifies and opens with the agency's keys."""

    def __init__(self, agency: str, keys: KeyRing, directory: Directory) -> None:
        self._agency = agency
        self._keys = keys
        self._directory = directory

    def verified(self, body: bytes, signature: str, now: datetime) -> Event:
        """The event that came; NotReadable when it is none, or is addressed to another agency."""
        outcome = verify_event(body, signature, self._directory, now)
        if isinstance(outcome, Rejection):
            raise NotReadable(outcome.reason, outcome.identity)
        return self._addressed(outcome.event)

    def stored(self, body: bytes) -> Event:
        """An event of the store, whose signature was right when it was put there; its key may have ended since then.

        NotReadable when this version of the contract no longer takes it.
        """
        try:
            parsed = read_json(body)
            message = message_class(parsed["type"])
            if message is None:
                raise NotReadable(ParkReason.UNKNOWN_TYPE)
            return self._addressed(message.model_validate(parsed))
        except (NotReadableJson, ValidationError) as error:
            raise NotReadable(ParkReason.INVALID) from error

    def _addressed(self, event: Event) -> Event:
        if getattr(event.data, "agency", self._agency) != self._agency:  # type: ignore[attr-defined]  # all have data
            identity = EventIdentity(event.source, str(event.id), event.subject, event.sequence)
            raise NotReadable(ParkReason.FOR_ANOTHER_AGENCY, identity)
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
            raise NotReadable(ParkReason.CANNOT_OPEN) from error
        except ValidationError as error:
            raise NotReadable(ParkReason.INVALID) from error
