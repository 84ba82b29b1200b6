"""Rules of notify: who is alerted and how, what the texts say, and when an alert ends."""

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

MAX_RETRY_DELAY: Final[Mapping[Urgency, timedelta]] = MappingProxyType({
    Urgency.HIGH: timedelta(minutes=1), Urgency.MEDIUM: timedelta(minutes=5), Urgency.LOW: timedelta(minutes=10),
})  # fmt: skip
"""Longest delay between two attempts, and so the longest an alert waits after its provider has recovered."""
MAX_COUNTED_ATTEMPTS: Final = 30_000
"""The counter stops here, within the range of a smallint; attempts continue."""

_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic GSM-7 alphabet; characters of its extension table count twice, so texts must not use them."""
SMS_SEGMENT_LENGTH = 160
"""Characters that fit into one SMS."""


@dataclass(frozen=True, slots=True)
class Responder:
    """A person who can be alerted."""

    reference: str
    language: str
    contact_methods: Mapping[AlertChannel, str] = field(repr=False)
    """Channel -> phone number or mail address."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is on duty for each agency and escalation level, and which channels each urgency uses simultaneously."""

    on_duty: Mapping[str, tuple[Responder, ...]]
    channels: Mapping[Urgency, tuple[AlertChannel, ...]]
    responders: Mapping[str, Responder]


class Occasion(IntEnum):
    """What an alert is about; REMINDED and later values are the percentage of the deadline that has passed."""

    OFFERED = 1
    REMINDED = 50
    OVERDUE = 100
    ESCALATED = 200


class Progress(IntEnum):
    """How far a referral has progressed; the value only increases."""

    OFFERED = 0
    ANSWERED = 1
    STARTED = 2
    ENDED = 3
    """Declined, rerouted, completed, cancelled, revoked or entered in error."""
    NEVER = 9
    """Never reached by a referral; an alert with this limit does not depend on the referral's progress."""


_NEEDED_UNTIL: Final[Mapping[str, Progress]] = MappingProxyType({
    "receipt": Progress.ANSWERED,
    "answer": Progress.ANSWERED,
    "police_report": Progress.ANSWERED,
    "contact": Progress.STARTED,
    "service": Progress.STARTED,
    "health_window": Progress.STARTED,
    "temporary_protection": Progress.STARTED,
    # An agency must confirm that it stopped processing data even after its referral has ended.
    "withdrawal": Progress.NEVER,
})  # fmt: skip


def needed_until(clock: str) -> Progress:
    """Returns the progress that makes alerts about a clock unnecessary, following the rules by which routing stops it.

    Routing does not publish `referral.scheduled` and `referral.delivered`, so alerts about the contact clock end with
    the start of the service, and those about the receipt clock with the answer.
    """
    return _NEEDED_UNTIL.get(clock, Progress.ENDED)


class AlertState(StrEnum):
    """State of an alert; pending until it is sent, has failed or has become unnecessary."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True)
class Alert:
    """One notification through one channel to one responder about one deadline of a referral."""

    alert_id: UUID
    referral_id: UUID
    case_id: UUID
    responder: str
    channel: AlertChannel
    urgency: Urgency
    deadline: datetime
    """The deadline the alert is about."""
    occasion: Occasion = Occasion.OFFERED
    clock: str = "answer"
    agency: str = ""
    """Code of the referral's agency."""
    party: str = ""
    """Code of the agency or escalation level on whose behalf the responder is alerted."""
    attempts: int = 0
    leased_until: datetime | None = None
    """Other processes do not send the alert before this time."""


@dataclass(frozen=True, slots=True)
class AlertText:
    """The text of an alert; an SMS has no subject."""

    subject: str
    body: str


class Outcome(StrEnum):
    """Result of an attempt to send an alert."""

    ACCEPTED = "accepted"
    REJECTED_PERMANENTLY = "rejected_permanently"
    REJECTED_TEMPORARILY = "rejected_for_now"
    UNKNOWN = "unknown"
    """The provider may or may not have taken the alert."""
    NO_ADDRESS = "no_address"
    """The responder or the contact method is no longer in the roster."""


def state_after_attempt(outcome: Outcome) -> AlertState:
    """Returns the state of an alert after an attempt.

    The number of attempts is unlimited. Apart from the results of attempts, an alert ends only when it becomes
    unnecessary (see `needed_until`) or its party is excluded from the case.
    """
    match outcome:
        case Outcome.ACCEPTED:
            return AlertState.SENT
        case Outcome.REJECTED_PERMANENTLY | Outcome.NO_ADDRESS:
            return AlertState.FAILED
        case Outcome.REJECTED_TEMPORARILY | Outcome.UNKNOWN:
            return AlertState.PENDING


def remaining_contact_methods(alert: Alert, roster: Roster) -> Iterator[tuple[Responder, AlertChannel]]:
    """Yields the party's other contact methods: first of the same responder, then of the other responders."""
    for responder in roster.on_duty.get(alert.party, ()):
        if responder.reference == alert.responder:
            channels = tuple(channel for channel in responder.contact_methods if channel is not alert.channel)
        else:
            channels = roster.channels[alert.urgency]
        yield from ((responder, channel) for channel in channels)


@dataclass(frozen=True, slots=True)
class TextVariables:
    """City-specific values for the variables of alert texts."""

    zone: ZoneInfo
    waiting: Mapping[str, Mapping[str, str]]
    """Clock -> language -> what is missing; `other` covers clocks that are not listed."""


def render_template(template: str, alert: Alert, language: str, variables: TextVariables) -> str:
    """Fills in the variables of a template; raises KeyError for an unknown variable."""
    waiting = variables.waiting.get(alert.clock, variables.waiting["other"])
    values = {
        "code": referral_code(alert.referral_id),
        "urgency": alert.urgency.label(language),
        "deadline": alert.deadline.astimezone(variables.zone).strftime("%d/%m %H.%M"),
        "agency": alert.agency,
        "waiting": waiting[language],
    }
    for _, name, how, conversion in Formatter().parse(template):
        # Plain names only: `{code.x}` or `{code[0]}` would read attributes or items of a value.
        if name is not None and (name not in values or how or conversion):
            raise KeyError(name)
    return template.format_map(values)


def fits_one_sms(text: str) -> bool:
    """Whether the text fits into one GSM-7 segment."""
    return len(text) <= SMS_SEGMENT_LENGTH and set(text) <= _GSM7


def retry_delay(attempts: int, first: timedelta, urgency: Urgency) -> timedelta:
    """Returns the delay before the next attempt: `first`, doubled per attempt, up to the urgency's maximum."""
    factor: int = 2 ** min(attempts - 1, 12)
    return min(first * factor, MAX_RETRY_DELAY[urgency])


class ProviderHealth:
    """Tracks since when a provider has accepted nothing; rejecting a single address counts as working."""

    def __init__(self) -> None:
        self._refusing_since: dict[AlertChannel, datetime] = {}

    def record_outcome(self, channel: AlertChannel, outcome: Outcome, now: datetime) -> None:
        """Records the outcome of an attempt."""
        match outcome:
            case Outcome.ACCEPTED | Outcome.REJECTED_PERMANENTLY:
                self._refusing_since.pop(channel, None)
            case Outcome.REJECTED_TEMPORARILY | Outcome.UNKNOWN:
                self._refusing_since.setdefault(channel, now)
            case Outcome.NO_ADDRESS:
                pass

    def forget_channel(self, channel: AlertChannel) -> None:
        """Clears the channel's outage; called when no alert waits, because its current health is then unknown."""
        self._refusing_since.pop(channel, None)

    def outage_durations(self, now: datetime) -> dict[AlertChannel, timedelta]:
        """Returns for how long each failing provider has accepted nothing."""
        return {channel: now - since for channel, since in self._refusing_since.items()}
