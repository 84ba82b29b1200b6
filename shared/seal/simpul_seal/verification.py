"""Decides whether a message is an event of the contract; services, the kit and the sandbox all decide here.

Authenticity comes first: until the signature over the raw bytes is right, nothing of the body is parsed. Duplicate
keys, nesting and numbers are then a matter between the parser and a sender that is known.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from simpul_schema import Event, Producer, message_class
from simpul_schema.catalog import may_publish
from simpul_schema.envelope import MAX_EVENT_BYTES, NotReadableJson, read_json
from simpul_schema.vocabulary import ParkReason
from simpul_seal.errors import SealError, SignatureMissing, UnknownKey
from simpul_seal.keys import Directory
from simpul_seal.signing import verify

MAX_DETAIL: Final = 500
"""Characters of a rejection's detail."""


@dataclass(frozen=True)
class EventIdentity:
    """What a message that its source has signed calls itself, although it cannot be used: it came, so it is not lost.

    A value is empty where the event lacks it.
    """

    source: str
    event_id: str
    subject: str
    sequence: str


@dataclass(frozen=True)
class VerifiedEvent:
    """An event of the contract that its source has signed and may publish."""

    event: Event
    producer: Producer
    body: bytes = field(repr=False)
    signature: str = field(repr=False)


@dataclass(frozen=True)
class Rejection:
    """Why a message is no such event."""

    reason: ParkReason
    detail: str = ""
    """Names of fields and limits, never values."""
    identity: EventIdentity | None = None
    """Where the source has signed the message; None where nothing in it can be believed."""


def verify_event(body: bytes, signature: str, directory: Directory, now: datetime) -> VerifiedEvent | Rejection:
    """The event that these bytes are, or why they are none.

    In this order: size, signature, JSON, source, type, publisher, contract. Never raises for what a sender wrote.
    """
    if len(body) > MAX_EVENT_BYTES:
        return Rejection(ParkReason.TOO_LARGE, f"{len(body)} bytes, at most {MAX_EVENT_BYTES}")
    try:
        signer = verify(body, signature, directory, now)
    except SignatureMissing:
        return Rejection(ParkReason.UNSIGNED)
    except UnknownKey:
        return Rejection(ParkReason.UNKNOWN_KEY)
    except SealError as error:
        return Rejection(ParkReason.FORGED, str(error))
    return _read(body, signature, signer)


def _read(body: bytes, signature: str, signer: str) -> VerifiedEvent | Rejection:
    """What the signer wrote."""
    try:
        parsed = read_json(body)
        wire_name, producer = _head_of(parsed)
    except (NotReadableJson, _NoCloudEvent) as error:
        return Rejection(ParkReason.MALFORMED, str(error))
    if producer.party != signer:
        return Rejection(ParkReason.FORGED, "signed by another party than the source")
    identity = _identity_of(parsed)
    message = message_class(wire_name)
    if message is None:
        return Rejection(ParkReason.UNKNOWN_TYPE, "", identity)
    if not may_publish(producer.party, is_agency=producer.is_agency, wire_name=wire_name):
        return Rejection(ParkReason.UNAUTHORIZED_PUBLISHER, "", identity)
    try:
        return VerifiedEvent(message.model_validate(parsed), producer, body, signature)
    except ValidationError as error:
        return Rejection(ParkReason.INVALID, _fields_of(error), identity)


class _NoCloudEvent(ValueError):
    """It is JSON and lacks what every event has; the message names the attribute."""


def _head_of(parsed: Any) -> tuple[str, Producer]:
    """Type and source."""
    if not isinstance(parsed, dict) or not isinstance(parsed.get("type"), str):
        msg = "not a CloudEvent"
        raise _NoCloudEvent(msg)
    try:
        return parsed["type"], Producer.of(str(parsed.get("source")))
    except ValueError as error:
        msg = "source"
        raise _NoCloudEvent(msg) from error


def _identity_of(parsed: dict[str, Any]) -> EventIdentity:
    names = ("source", "id", "subject", "sequence")
    return EventIdentity(*(_storable(value) if isinstance(value := parsed.get(name), str) else "" for name in names))


def _storable(value: str) -> str:
    """Databases store no NUL and no half of a surrogate pair, and index nothing long; a real value has neither."""
    return value.replace("\0", "").encode(errors="replace").decode()[:200]


def _fields_of(error: ValidationError) -> str:
    problems = error.errors(include_input=False, include_context=False, include_url=False)
    return ", ".join(".".join(map(str, problem["loc"])) for problem in problems)[:MAX_DETAIL]
