"""The CloudEvents 1.0 envelope that surrounds every message."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import Self

from simpul_schema.vocabulary import RECEIVED

CONTENT_TYPE = "application/cloudevents+json"
MAX_EVENT_BYTES = 256 * 1024
"""Larger events are parked without being read; the largest real one is under 16 KiB."""
MAX_DEPTH = 32
"""Levels of nested objects and arrays; a real event has at most six. Recursive code fails at some hundreds."""
MAX_NAME = 200
"""Characters of a source, a type or a subject; real ones have under 100. Entries of database indexes are limited to
2.7 kB."""
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=timezone.utc), datetime(2200, 1, 1, tzinfo=timezone.utc)
_OPENING = b"[{"
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class NotReadableJson(ValueError):
    """The bytes are not JSON in UTF-8, or are nested too deep; the message says which and repeats no content."""


def read_json(body: bytes) -> Any:
    """Parses the body of an enrolled sender; raises NotReadableJson if it cannot be parsed safely."""
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        msg = f"nested deeper than {MAX_DEPTH}"
        raise NotReadableJson(msg)
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        msg = "not JSON"
        raise NotReadableJson(msg) from error


def _depth(body: bytes) -> int:
    """Counts the levels of nested objects and arrays, without recursion and in linear time."""
    outside_strings = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = deepest = 0
    for bracket in outside_strings.translate(None, delete=_NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        deepest = max(deepest, depth)
    return deepest


def _truncate(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _refuse_number(moment: object) -> object:
    # pydantic would read 7 as seven seconds after 1970; the schema requires a text.
    if isinstance(moment, (int, float)):
        msg = "a moment is written as a text, such as 2026-11-24T22:15:00+07:00"
        raise ValueError(msg)  # noqa: TRY004 - pydantic asks for this one
    return moment


def _check_range(moment: datetime) -> datetime:
    # A moment near the years 1 and 9999 can be parsed, but not converted to another zone or stored.
    if not _EARLIEST <= moment < _LATEST:
        msg = f"a moment must lie between {_EARLIEST.year} and {_LATEST.year}"
        raise ValueError(msg)
    return moment


def _check_sequence(sequence: str) -> str:
    # The pattern also matches digits of other scripts.
    if not sequence.isascii() or int(sequence) < 1:
        msg = "a sequence starts at 0000000001"
        raise ValueError(msg)
    return sequence


Instant = Annotated[
    AwareDatetime, BeforeValidator(_refuse_number), AfterValidator(_check_range), AfterValidator(_truncate)
]
"""A moment with its zone, in milliseconds, so that every language reads the same value."""


class ContractModel(BaseModel):
    """Part of a message. Constructors are strict; `read` and `read_json` tolerate what a later version may add.

    Unknown fields are ignored everywhere. Values never show in an error, because an error may reach a log.
    """

    # Built when it is used first: a service handles some of the messages, and all of them would take 3 MB.
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    @classmethod
    def read(cls, value: Any) -> Self:
        """Reads what another party wrote; unknown values of extensible enumerations become their fallback.

        Raises ValidationError for everything else that is against the contract. The received bytes still contain the
        unknown value.
        """
        return cls.model_validate(value, context=RECEIVED)

    @classmethod
    def read_json(cls, body: bytes) -> Self:
        """Reads JSON as `read` does."""
        return cls.model_validate_json(body, context=RECEIVED)


class SectionContent(ContractModel):
    """The content of a sealed section."""

    SECTION: ClassVar[str]
    """Name of the section in `data.sealed`."""
    RECIPIENT: ClassVar[str]
    """The service that can open it, or ANY_AGENCY for the addressed agency."""


Sections = tuple[type[SectionContent], ...]


class SealedSection(ContractModel):
    """Personal data that only one recipient can read (HPKE: X25519, HKDF-SHA256, AES-256-GCM)."""

    recipient: str = Field(description="party that can open it: a service or the code of an agency")
    keyid: str = Field(description="identifier of the recipient's key that was used")
    ciphertext: str = Field(description="encapsulated key and ciphertext in base64url without padding")


class EventData(ContractModel):
    """The payload: random references in clear, personal data in `sealed`."""

    sealed: dict[str, SealedSection] = Field(
        default_factory=dict, description="sections by name, each sealed to its recipient"
    )


class Event(ContractModel):
    """One CloudEvents 1.0 event in structured JSON; the signature of its source travels with the bytes."""

    WIRE_NAME: ClassVar[str]
    SECTIONS: ClassVar[Sections] = ()
    """What the event may carry in `data.sealed`."""

    specversion: Literal["1.0"] = "1.0"
    id: UUID = Field(description="event id; with `source` the key for de-duplication")
    source: str = Field(
        pattern=r"^/[a-z0-9-]+/[a-z0-9-]+(/[a-z0-9-]+)?$",
        max_length=MAX_NAME,
        description="the publisher: /<city>/<service> or /<city>/agency/<code>",
    )
    type: str = Field(max_length=MAX_NAME, description="the wire name, in the past tense and with its version")
    subject: str = Field(
        pattern=r"^(case|referral)/[0-9a-f-]{36}$",
        max_length=MAX_NAME,
        description="what the event is about; a random id, never a serial number",
    )
    time: Instant = Field(description="when it happened, UTC")
    datacontenttype: Literal["application/json"] = "application/json"
    sequence: Annotated[str, AfterValidator(_check_sequence)] = Field(
        pattern=r"^\d{10}$",
        description="position in the stream of this (source, subject), from 0000000001, without gaps",
    )
    correlationid: UUID = Field(description="the case to which the event belongs")
    causationid: UUID | None = Field(default=None, description="id of the event that caused this one")
    traceparent: str | None = Field(default=None, description="W3C trace context")

    @property
    def position(self) -> int:
        """The sequence as a number; 1 for the first event of a stream."""
        return int(self.sequence)

    @property
    def subject_id(self) -> UUID:
        """The id of the case or referral that the event is about."""
        return UUID(self.subject.partition("/")[2])


_QUEUE = "--"
"""Separates an agency's code from the name of its filtered queue; no agency code contains it."""


@dataclass(frozen=True, slots=True)
class Producer:
    """The publisher that the source of an event names."""

    city: str
    party: str
    is_agency: bool
    queue: str = ""
    """The filtered queue from which an agency replies; empty for its inbox."""

    @classmethod
    def of(cls, source: str) -> Producer:
        """Reads `/kediri/routing` or `/kediri/agency/dinsos-peksos`; raises ValueError for anything else."""
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
    """Returns the `source` of a service of the city."""
    return f"/{city}/{service}"


def agency_source(city: str, agency: str, queue: str = "") -> str:
    """Returns the `source` of an agency, or of its consumer of a filtered queue.

    Each has its own sequence, because sequences are counted by (source, subject).
    """
    return f"/{city}/agency/{agency}{_QUEUE if queue else ''}{queue}"


def wire_bytes(event: Event) -> bytes:
    """Serializes the event as it is signed and sent, without absent optional attributes."""
    return event.model_dump_json(exclude_none=True).encode()


def wire_json(event: Event) -> dict[str, Any]:
    """Returns the event as JSON values, without absent optional attributes."""
    return event.model_dump(mode="json", exclude_none=True)
