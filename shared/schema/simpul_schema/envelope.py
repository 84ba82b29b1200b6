"""The CloudEvents 1.0 envelope that surrounds every message."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

CONTENT_TYPE = "application/cloudevents+json"
MAX_EVENT_BYTES = 256 * 1024
"""An event larger than this is parked unread; the largest real one is under 16 KiB."""
MAX_DEPTH = 32
"""Objects and arrays inside one another; the deepest real event has six. Whatever walks an event recursively would fail
at some hundreds."""
MAX_NAME = 200
"""Characters of a source, a type or a subject; the longest real one has under 100. They stand in database indexes,
which take no entry above 2.7 kB."""
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=timezone.utc), datetime(2200, 1, 1, tzinfo=timezone.utc)
_OPENING = b"[{"
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class NotReadableJson(ValueError):
    """The bytes are not JSON in UTF-8, or nested too deep; the message says which and repeats nothing of them."""


def read_json(body: bytes) -> Any:
    """What the body of an enrolled sender holds; NotReadableJson when it cannot be read safely."""
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        msg = f"nested deeper than {MAX_DEPTH}"
        raise NotReadableJson(msg)
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        msg = "not JSON"
        raise NotReadableJson(msg) from error


def _depth(body: bytes) -> int:
    """How deep objects and arrays lie inside one another, without recursion and in linear time."""
    outside_strings = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = deepest = 0
    for bracket in outside_strings.translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        deepest = max(deepest, depth)
    return deepest


def _seconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _no_number(moment: object) -> object:
    # pydantic would take 7 for seven seconds after 1970; the schema says that a moment is a text.
    if isinstance(moment, (int, float)):
        msg = "a moment is written as a text, such as 2026-11-24T22:15:00+07:00"
        raise ValueError(msg)  # noqa: TRY004 - pydantic asks for this one
    return moment


def _in_range(moment: datetime) -> datetime:
    # Near the years 1 and 9999 a moment can be read, but not be moved to another zone or stored.
    if not _EARLIEST <= moment < _LATEST:
        msg = f"a moment lies between {_EARLIEST.year} and {_LATEST.year}"
        raise ValueError(msg)
    return moment


def _counts_from_one(sequence: str) -> str:
    # The pattern also takes the digits of other scripts.
    if not sequence.isascii() or int(sequence) < 1:
        msg = "a sequence counts from 0000000001"
        raise ValueError(msg)
    return sequence


Instant = Annotated[AwareDatetime, BeforeValidator(_no_number), AfterValidator(_in_range), AfterValidator(_seconds)]
"""A moment with its zone, to the millisecond, so that every language reads the same value."""


class _Contract(BaseModel):
    # Consumers are tolerant: a field added by a minor release is ignored by older ones.
    # Values never show in an error, because an error may reach a log.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class SealedSection(_Contract):
    """Personal data readable by one recipient only (HPKE: X25519, HKDF-SHA256, AES-256-GCM)."""

    recipient: str = Field(description="party that can open it: a service or an agency code")
    keyid: str = Field(description="identifier of the recipient's key that was used")
    ciphertext: str = Field(description="base64url without padding: encapsulated key and ciphertext")


class EventData(_Contract):
    """The payload: random references in clear, everything personal in `sealed`."""

    sealed: dict[str, SealedSection] = Field(
        default_factory=dict, description="sections by name, each sealed to its recipient"
    )


class Event(_Contract):
    """One CloudEvents 1.0 event in structured JSON; the signature of its source travels beside the bytes."""

    WIRE_NAME: ClassVar[str]

    specversion: Literal["1.0"] = "1.0"
    id: UUID = Field(description="event id; with `source` the key for de-duplication")
    source: str = Field(
        pattern=r"^/[a-z0-9-]+/[a-z0-9-]+(/[a-z0-9-]+)?$", max_length=MAX_NAME, description="who says it"
    )
    type: str = Field(max_length=MAX_NAME, description="the wire name: past tense, versioned")
    subject: str = Field(
        pattern=r"^(case|referral)/[0-9a-f-]{36}$", max_length=MAX_NAME,
        description="what it is about; random, never a serial number",
    )  # fmt: skip
    time: Instant = Field(description="when it happened, UTC")
    datacontenttype: Literal["application/json"] = "application/json"
    sequence: Annotated[str, AfterValidator(_counts_from_one)] = Field(
        pattern=r"^\d{10}$",
        description="position in the stream of this (source, subject), from 0000000001, without gaps",
    )
    correlationid: UUID = Field(description="the case that everything here belongs to")
    causationid: UUID | None = Field(default=None, description="id of the event that caused this one")
    traceparent: str | None = Field(default=None, description="W3C trace context")

    @property
    def position(self) -> int:
        """The sequence as a number, 1 for the first event of a stream."""
        return int(self.sequence)

    @property
    def subject_id(self) -> UUID:
        """The id of the case or referral this event is about."""
        return UUID(self.subject.partition("/")[2])


_QUEUE = "--"
"""Between an agency's code and the name of its filtered queue; no agency code contains it."""


@dataclass(frozen=True, slots=True)
class Producer:
    """Who an event says it comes from."""

    city: str
    party: str
    is_agency: bool
    queue: str = ""
    """The queue of its own from which an agency answers; empty for its inbox."""

    @classmethod
    def of(cls, source: str) -> Producer:
        """Read `/kediri/routing` or `/kediri/agency/dinsos-peksos`; ValueError when it is neither."""
        match source.split("/"):
            case ["", city, "agency", party] if party:
                code, _, queue = party.partition(_QUEUE)
                return cls(city, code, is_agency=True, queue=queue)
            case ["", city, party] if party:
                return cls(city, party, is_agency=False)
            case _:
                msg = "a source reads /<city>/<service> or /<city>/agency/<code>"
                raise ValueError(msg)


def service_source(city: str, service: str) -> str:
    """The `source` of a service of the city."""
    return f"/{city}/{service}"


def agency_source(city: str, agency: str, queue: str = "") -> str:
    """The `source` of an agency, or of what answers from one of its filtered queues.

    Each has a sequence of its own, because sequences are counted by (source, subject).
    """
    return f"/{city}/agency/{agency}{_QUEUE if queue else ''}{queue}"


def wire_bytes(event: Event) -> bytes:
    """The event as it travels and is signed, absent optional attributes left out."""
    return event.model_dump_json(exclude_none=True).encode()


def wire_json(event: Event) -> dict[str, Any]:
    """The event as JSON values, absent optional attributes left out."""
    return event.model_dump(mode="json", exclude_none=True)
