"""Verifies that a message is an event of the contract; services, the kit and the sandbox all use this module.

The signature over the raw bytes is checked before any part of the body is parsed, so only enrolled senders can send
duplicate keys, deep nesting or huge numbers to the parser.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final

from pydantic import ValidationError

from simpul_schema import Event, Producer, message_class
from simpul_schema.catalog import may_publish
from simpul_schema.envelope import MAX_EVENT_BYTES, ContractModel, NotReadableJson, read_json
from simpul_schema.messages import SECTIONS
from simpul_schema.vocabulary import ParkReason
from simpul_seal.errors import SealError, SignatureMissing, UnknownKey
from simpul_seal.keys import Directory
from simpul_seal.signing import verify

MAX_DETAIL: Final = 500
"""Maximum characters of a rejection's detail."""


@dataclass(frozen=True)
class EventIdentity:
    """The identity of a message that its source signed but that cannot be used: it arrived, so it is not missing.

    A value is empty if the event lacks it.
    """

    source: str
    event_id: str
    subject: str
    sequence: str


@dataclass(frozen=True)
class VerifiedEvent:
    """An event of the contract, signed by its source, which may publish it."""

    event: Event
    producer: Producer
    body: bytes = field(repr=False)
    """The bytes as they were received, with values that this version does not know."""
    signature: str = field(repr=False)


@dataclass(frozen=True)
class Rejection:
    """Why a message was rejected."""

    reason: ParkReason
    detail: str = ""
    """Names fields and limits, never values."""
    identity: EventIdentity | None = None
    """Present if the source signed the message; None if its content cannot be trusted."""


def verify_event(body: bytes, signature: str, directory: Directory, now: datetime) -> VerifiedEvent | Rejection:
    """Verifies a message and reads its event; returns a Rejection if it cannot be used.

    Checks size, signature, JSON, source, type, publisher and contract, in this order. Never raises for any input.
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
    return _read_event(body, signature, signer)


def _read_event(body: bytes, signature: str, signer: str) -> VerifiedEvent | Rejection:
    try:
        parsed = read_json(body)
        wire_name, producer = _read_head(parsed)
    except (NotReadableJson, _NotACloudEvent) as error:
        return Rejection(ParkReason.MALFORMED, str(error))
    if producer.party != signer:
        return Rejection(ParkReason.FORGED, "signed by another party than the source")
    identity = _read_identity(parsed)
    message = message_class(wire_name)
    if message is None:
        return Rejection(ParkReason.UNKNOWN_TYPE, "", identity)
    if not may_publish(producer.party, is_agency=producer.is_agency, wire_name=wire_name):
        return Rejection(ParkReason.UNAUTHORIZED_PUBLISHER, "", identity)
    try:
        return VerifiedEvent(message.read(parsed), producer, body, signature)
    except ValidationError as error:
        return Rejection(ParkReason.INVALID, _name_fields(error), identity)


class _NotACloudEvent(ValueError):
    """The JSON lacks an attribute that every event has; the message names it."""


def _read_head(parsed: Any) -> tuple[str, Producer]:
    """Returns type and source."""
    if not isinstance(parsed, dict) or not isinstance(parsed.get("type"), str):
        msg = "not a CloudEvent"
        raise _NotACloudEvent(msg)
    try:
        return parsed["type"], Producer.of(str(parsed.get("source")))
    except ValueError as error:
        msg = "source"
        raise _NotACloudEvent(msg) from error


def _read_identity(parsed: dict[str, Any]) -> EventIdentity:
    names = ("source", "id", "subject", "sequence")
    return EventIdentity(
        *(_make_storable(value) if isinstance(value := parsed.get(name), str) else "" for name in names)
    )


def _make_storable(value: str) -> str:
    """Removes what databases cannot store or index: NUL, lone surrogates, long texts; real values have none of them."""
    return value.replace("\0", "").encode(errors="replace").decode()[:200]


def _name_fields(error: ValidationError) -> str:
    """Names the faulty fields; a name that the contract lacks is the sender's own text, so it is masked."""
    known = _contract_names()
    problems = error.errors(include_input=False, include_context=False, include_url=False)
    steps = [[str(step) if isinstance(step, int) or step in known else "?" for step in one["loc"]] for one in problems]
    return ", ".join(map(".".join, steps))[:MAX_DETAIL]


@cache
def _contract_names() -> frozenset[str]:
    """Returns the names of all fields and sections of the contract."""
    names = {section.SECTION for section in SECTIONS}
    models: list[type[ContractModel]] = [ContractModel]
    while models:
        model = models.pop()
        names |= model.model_fields.keys()
        models += model.__subclasses__()
    return frozenset(names)
