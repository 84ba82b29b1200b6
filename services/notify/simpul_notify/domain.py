"""Who is alerted, how, in which words, and when an alert ends. No I/O, no clock."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from string import Formatter
from types import MappingProxyType
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel, Urgency

LONGEST_WAIT: Final[Mapping[Urgency, timedelta]] = MappingProxyType({
    Urgency.HIGH: timedelta(minutes=1), Urgency.MEDIUM: timedelta(minutes=5), Urgency.LOW: timedelta(minutes=10),
})  # fmt: skip
"""The longest wait between two attempts: how late an alert may be once its provider works again."""
MOST_ATTEMPTS_COUNTED: Final = 30_000
"""Attempts are counted up to here and made beyond it."""

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
    """Who is on duty for each agency and escalation level, and which channels each urgency uses at once."""

    on_duty: Mapping[str, tuple[Contact, ...]]
    channels: Mapping[Urgency, tuple[AlertChannel, ...]]
    contacts: Mapping[str, Contact]


class Occasion(IntEnum):
    """What an alert is about; from REMINDED on the percentage of a deadline that has passed."""

    OFFERED = 1
    REMINDED = 50
    OVERDUE = 100
    ESCALATED = 200


class Progress(IntEnum):
    """How far a referral has come; it never goes back."""

    OFFERED = 0
    ANSWERED = 1
    STARTED = 2
    ENDED = 3
    """Declined, rerouted, completed, cancelled, revoked or entered in error."""
    NEVER = 9
    """No referral comes so far; an alert with this limit does not depend on the referral's progress."""


_NEEDED_UNTIL: Final[Mapping[str, Progress]] = MappingProxyType({
    "receipt": Progress.ANSWERED,
    "answer": Progress.ANSWERED,
    "police_report": Progress.ANSWERED,
    "contact": Progress.STARTED,
    "service": Progress.STARTED,
    "health_window": Progress.STARTED,
    "temporary_protection": Progress.STARTED,
    # Whoever holds data must confirm that it stopped, also when nothing else is asked any more.
    "withdrawal": Progress.NEVER,
})  # fmt: skip


def needed_until(clock: str) -> Progress:
    """The progress from which nobody needs to hear of a deadline any more, as routing stops its clocks.

    `referral.scheduled` and `referral.delivered` are not announced, so a contact counts from the start of the service
    and a receipt from the answer.
    """
    return _NEEDED_UNTIL.get(clock, Progress.ENDED)


class AlertState(StrEnum):
    """An alert is pending until its fate is known."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Alert:
    """One message to one person about one deadline of one referral."""

    alert_id: UUID
    referral_id: UUID
    case_id: UUID
    contact: str
    channel: AlertChannel
    urgency: Urgency
    answer_by: datetime
    """The deadline the alert is about."""
    occasion: Occasion = Occasion.OFFERED
    clock: str = "answer"
    agency: str = ""
    """Code of the agency that has the referral."""
    party: str = ""
    """Code of the agency or escalation level the person is alerted for."""
    attempts: int = 0
    leased_until: datetime | None = None
    """Until then no other process sends it."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a person reads."""

    subject: str
    body: str


class Outcome(StrEnum):
    """What became of an attempt; `unknown` means it may have been sent."""

    ACCEPTED = "accepted"
    REJECTED_PERMANENTLY = "rejected_permanently"
    REJECTED_FOR_NOW = "rejected_for_now"
    UNKNOWN = "unknown"
    NO_ADDRESS = "no_address"
    """The roster has no such person or no such address any more."""


def fate_of(outcome: Outcome) -> AlertState:
    """The state of an alert after an attempt.

    It ends when a provider took it, or when its address is refused for good or gone; the number of attempts ends
    nothing. The only other end is that nobody needs it any more: see `needed_until`, and whoever is excluded.
    """
    match outcome:
        case Outcome.ACCEPTED:
            return AlertState.SENT
        case Outcome.REJECTED_PERMANENTLY | Outcome.NO_ADDRESS:
            return AlertState.FAILED
        case Outcome.REJECTED_FOR_NOW | Outcome.UNKNOWN:
            return AlertState.PENDING


def other_ways(alert: Alert, roster: Roster) -> Iterator[tuple[Contact, AlertChannel]]:
    """How else the party of a failed alert can be reached: the person's other channels, then everybody else."""
    for contact in roster.on_duty.get(alert.party, ()):
        if contact.reference == alert.contact:
            channels = tuple(channel for channel in contact.addresses if channel is not alert.channel)
        else:
            channels = roster.channels[alert.urgency]
        yield from ((contact, channel) for channel in channels)


@dataclass(frozen=True, slots=True)
class Labels:
    """What the texts call the city's time zone and what a deadline waits for."""

    zone: ZoneInfo
    waiting: Mapping[str, Mapping[str, str]]
    """Deadline -> language -> words; `other` stands for a deadline without words."""


def fill(template: str, alert: Alert, language: str, labels: Labels) -> str:
    """A text with the variables it may use; a mention of anything else is a KeyError."""
    waiting = labels.waiting.get(alert.clock, labels.waiting["other"])
    values = {
        "code": referral_code(alert.referral_id),
        "urgency": alert.urgency.label(language),
        "deadline": alert.answer_by.astimezone(labels.zone).strftime("%d/%m %H.%M"),
        "agency": alert.agency,
        "waiting": waiting[language],
    }
    for _, name, how, conversion in Formatter().parse(template):
        # A plain name only: `{code.x}` or `{code[0]}` would look into a value.
        if name is not None and (name not in values or how or conversion):
            raise KeyError(name)
    return template.format_map(values)


def fits_one_sms(text: str) -> bool:
    """Whether the text is one segment of GSM-7."""
    return len(text) <= SEGMENT and set(text) <= _GSM7


def wait_after(attempts: int, first: timedelta, urgency: Urgency) -> timedelta:
    """How long to wait after so many attempts: doubling, up to the longest wait of the urgency."""
    doublings: int = 2 ** min(attempts - 1, 12)
    return min(first * doublings, LONGEST_WAIT[urgency])


class ProviderHealth:
    """When each provider began to refuse everything; a provider that takes or refuses one address works."""

    def __init__(self) -> None:
        self._refusing_since: dict[AlertChannel, datetime] = {}

    def note(self, channel: AlertChannel, outcome: Outcome, now: datetime) -> None:
        """Record the outcome of an attempt."""
        match outcome:
            case Outcome.ACCEPTED | Outcome.REJECTED_PERMANENTLY:
                self._refusing_since.pop(channel, None)
            case Outcome.REJECTED_FOR_NOW | Outcome.UNKNOWN:
                self._refusing_since.setdefault(channel, now)
            case Outcome.NO_ADDRESS:
                pass

    def forget(self, channel: AlertChannel) -> None:
        """Nothing waits for the provider, so nobody knows whether it still refuses."""
        self._refusing_since.pop(channel, None)

    def refusing(self, now: datetime) -> dict[AlertChannel, timedelta]:
        """How long each provider that refuses everything has done so."""
        return {channel: now - since for channel, since in self._refusing_since.items()}
