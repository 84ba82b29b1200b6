"""Who is told, how, and in which words. No I/O, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from string import Formatter
from uuid import UUID
from zoneinfo import ZoneInfo

from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel, Urgency

FIRST_STEP = 1
LONGEST_WAIT = timedelta(minutes=10)

_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic alphabet; its extension table costs two places, so texts do without it."""
SEGMENT = 160


@dataclass(frozen=True, slots=True)
class Contact:
    """A person on duty."""

    reference: str
    language: str
    addresses: Mapping[AlertChannel, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is on duty for each agency, and which channels each urgency uses at once."""

    on_duty: Mapping[str, tuple[Contact, ...]]
    channels: Mapping[Urgency, tuple[AlertChannel, ...]]
    contacts: Mapping[str, Contact]


class AlertState(StrEnum):
    """An alert is pending until its fate is known."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Alert:
    """One message to one person about one referral."""

    alert_id: UUID
    referral_id: UUID
    case_id: UUID
    contact: str
    channel: AlertChannel
    urgency: Urgency
    answer_by: datetime
    attempts: int = 0
    step: int = FIRST_STEP
    """A person is alerted once at each step of one referral."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a person reads."""

    subject: str
    body: str


class Outcome(StrEnum):
    """What a provider said; `unknown` means it may have been sent."""

    ACCEPTED = "accepted"
    REJECTED_PERMANENTLY = "rejected_permanently"
    REJECTED_FOR_NOW = "rejected_for_now"
    UNKNOWN = "unknown"


def fill(template: str, alert: Alert, language: str, zone: ZoneInfo) -> str:
    """A text with the three variables it may use; a mention of anything else is a KeyError."""
    values = {
        "code": referral_code(alert.referral_id),
        "urgency": alert.urgency.label(language),
        "deadline": alert.answer_by.astimezone(zone).strftime("%d/%m %H.%M"),
    }
    for _, name, how, conversion in Formatter().parse(template):
        # A plain name only: `{code.x}` or `{code[0]}` would look into a value.
        if name is not None and (name not in values or how or conversion):
            raise KeyError(name)
    return template.format_map(values)


def fits_one_sms(text: str) -> bool:
    """Whether the text is one segment of GSM-7."""
    return len(text) <= SEGMENT and set(text) <= _GSM7


def wait_after(attempts: int, first: timedelta) -> timedelta:
    """How long to wait after so many attempts: doubling, up to ten minutes."""
    doublings: int = 2 ** min(attempts - 1, 12)
    return min(first * doublings, LONGEST_WAIT)
