"""When an alert is sent, repeated and unnecessary."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from simpul_notify.domain.responders import Recipient
from simpul_schema.vocabulary import AgencyAlarm, AlertChannel, Urgency

MAX_RETRY_DELAY: Final[Mapping[Urgency, timedelta]] = MappingProxyType(
    {Urgency.HIGH: timedelta(minutes=1), Urgency.MEDIUM: timedelta(minutes=5), Urgency.LOW: timedelta(minutes=10)}
)
"""Longest delay between two attempts, and so the longest an alert waits after its provider has recovered."""
MAX_COUNTED_ATTEMPTS: Final = 30_000
"""The counter stops here, within the range of a smallint; attempts continue."""


class Occasion(IntEnum):
    """What an alert is about; REMINDED and later values are the percentage of the deadline that has passed."""

    OFFERED = 1
    AMENDED = 2
    """Services were added to a referral, or an answer is due earlier or more urgent."""
    REVOKED = 3
    """Services are no longer needed; for those only who were alerted about them."""
    UNACKNOWLEDGED = 4
    """Those who had to know have not reacted; for somebody of another party."""
    CONSENT_WITHDRAWN = 5
    """The agency must stop processing the data of a case and acknowledge it."""
    ALARM = 6
    """Something that concerns no single referral: a silent agency, a message that it could not use, a breach."""
    REMINDED = 50
    OVERDUE = 100
    ESCALATED = 200

    @property
    def awaits_answer(self) -> bool:
        """Whether the alert announces services that the agency must answer."""
        return self in (Occasion.OFFERED, Occasion.AMENDED)

    @property
    def concerns_referral(self) -> bool:
        """Whether it is about a referral or a decision about one, so that others learn what came of its alerts."""
        return self is not Occasion.ALARM

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether the next responder is alerted when nobody acknowledges it.

        A reminder repeats what has to be acknowledged already, and a withdrawn consent is acknowledged to routing.
        """
        return self not in (Occasion.REVOKED, Occasion.REMINDED, Occasion.CONSENT_WITHDRAWN)


class Progress(IntEnum):
    """How far a service has progressed; the value only increases."""

    OFFERED = 0
    ANSWERED = 1
    STARTED = 2
    ENDED = 3
    """Declined, rerouted, completed, cancelled, revoked or entered in error."""
    NEVER = 9
    """Never reached by a service; an alert with this limit does not depend on progress."""


WITHDRAWAL_CLOCK: Final = "withdrawal"
"""The deadline for acknowledging a withdrawn consent."""
PLAN_CLOCK: Final = "service_plan"
"""Names the deadline of a service plan in `messages.yaml`."""
BREACH_CLOCK: Final = "breach_notice"
"""Names the notices of a breach in `messages.yaml`."""
PARKED_CLOCK: Final = "message_parked"
"""Names a message that an agency could not use in `messages.yaml`."""
ALARM_CLOCKS: Final[Mapping[AgencyAlarm, str]] = MappingProxyType(
    {AgencyAlarm.SILENT: "agency_silent", AgencyAlarm.PARKED: PARKED_CLOCK}
)
"""Names what an alarm is about in `messages.yaml`."""
REACT_WITHIN: Final = timedelta(hours=1)
"""How soon somebody has to call an agency that does not see its referrals."""
REVOKED_CLOCK: Final = "revoked"
"""Names what an alert about revoked services says in `messages.yaml`."""
_NEEDED_UNTIL: Final[Mapping[str, Progress]] = MappingProxyType(
    {
        "receipt": Progress.ANSWERED,
        "answer": Progress.ANSWERED,
        "police_report": Progress.ANSWERED,
        "contact": Progress.STARTED,
        "service": Progress.STARTED,
        "health_window": Progress.STARTED,
        "temporary_protection": Progress.STARTED,
        # An agency must confirm that it stopped processing data even after its referral has ended.
        WITHDRAWAL_CLOCK: Progress.NEVER,
        REVOKED_CLOCK: Progress.NEVER,
    }
)


def needed_until(clock: str) -> Progress:
    """Returns the progress that makes alerts about a clock unnecessary, following the rules by which routing stops it.

    Where that rule does not see that a deadline was met, `referral.deadline_met.v1` says it.
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
    """What one recipient must know about services of one referral; sent in a message, alone or with others."""

    alert_id: UUID
    cause: UUID
    """Id of the event that it is about; a recipient is alerted once for each."""
    referral_id: UUID
    case_id: UUID
    services: tuple[UUID, ...]
    """The services that it is about; it is needed while one of them is."""
    responder: str
    channel: AlertChannel
    urgency: Urgency
    deadline: datetime
    """The earliest deadline of the services."""
    occasion: Occasion = Occasion.OFFERED
    clock: str = "answer"
    agency: str = ""
    """Code of the referral's agency."""
    party: str = ""
    """Code of the agency or escalation level on whose behalf the responder is alerted."""
    attempts: int = 0
    for_parties: frozenset[str] = frozenset()
    """The parties whose escalations it belongs to; an answer to it is about those, and about no other."""
    position: int = 1
    """Which of the responder's numbers or addresses of the channel it is sent to."""

    @property
    def recipient(self) -> Recipient:
        """The responder and the number or address to which it is sent."""
        return Recipient(self.responder, self.channel, self.position)


def bundling_delay(alert: Alert, channels: tuple[AlertChannel, ...], period: timedelta) -> timedelta:
    """Returns how long an alert waits for others to the same recipient.

    The first channel of something urgent is used at once. The other channels repeat it, so they wait like
    everything else; when the first channel fails, they are used at once, too.
    """
    is_urgent = alert.urgency is Urgency.HIGH and alert.occasion is not Occasion.REVOKED
    return timedelta() if is_urgent and alert.channel is channels[0] else period


LONGEST_PAUSE: Final = timedelta(seconds=10)
"""Whoever was alerted to something urgent gets what follows this soon in one further message."""


def pause_after_urgent(period: timedelta) -> timedelta:
    """Returns the time between an urgent message and the next one to the same recipient.

    What is urgent leaves at once, and delays nothing to anybody else. But a phone that rings five times in ten seconds
    is read no earlier than one that rings twice.
    """
    return min(period, LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class KnownService:
    """A service of a referral, as the last event described it."""

    service_id: UUID
    urgency: Urgency
    answer_by: datetime
    progress: Progress = Progress.OFFERED


@dataclass(frozen=True, slots=True)
class Amendment:
    """The services of an amended referral, and the ids of those that were added."""

    services: tuple[KnownService, ...]
    added: frozenset[UUID]


def find_new_demands(
    amendments: Iterable[Amendment], known: Mapping[UUID, KnownService]
) -> Iterator[list[KnownService]]:
    """Yields for each amendment the services about which its agency must be alerted again.

    These are the added ones, and those that await an answer which is now due earlier or more urgent; for each
    amendment, what the ones before it say is known.
    """
    latest = dict(known)
    for amendment in amendments:
        yield [
            service
            for service in amendment.services
            if service.service_id in amendment.added
            or ((before := latest.get(service.service_id)) is not None and _is_more_pressing(service, before))
        ]
        for service in amendment.services:
            before = latest.get(service.service_id, service)
            latest[service.service_id] = replace(service, progress=before.progress)


def _is_more_pressing(service: KnownService, before: KnownService) -> bool:
    if before.progress >= Progress.ANSWERED:
        return False
    is_more_urgent = highest_urgency((service.urgency, before.urgency)) is not before.urgency
    return service.answer_by < before.answer_by or is_more_urgent


def highest_urgency(urgencies: Iterable[Urgency]) -> Urgency:
    """Returns the highest of these urgencies."""
    return min(urgencies, key=tuple(Urgency).index)


class Outcome(StrEnum):
    """Result of an attempt to send a message."""

    ACCEPTED = "accepted"
    REJECTED_PERMANENTLY = "rejected_permanently"
    REJECTED_TEMPORARILY = "rejected_temporarily"
    UNKNOWN = "unknown"
    """The provider may or may not have taken the message."""
    NO_ADDRESS = "no_address"
    """The responder or the contact method is no longer in the roster, or must never be used."""
    POSTPONED = "postponed"
    """Nothing was attempted, because the responder may not be contacted yet."""


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
        case Outcome.REJECTED_TEMPORARILY | Outcome.UNKNOWN | Outcome.POSTPONED:
            return AlertState.PENDING


def retry_delay(attempts: int, first: timedelta, urgency: Urgency) -> timedelta:
    """Returns the delay before the next attempt: `first`, doubled per attempt, up to the urgency's maximum."""
    factor: int = 2 ** min(attempts - 1, 12)
    return min(first * factor, MAX_RETRY_DELAY[urgency])


class ChannelHealth:
    """Tracks since when a channel has accepted nothing; rejecting a single address counts as working."""

    def __init__(self) -> None:
        self._refusing_since: dict[AlertChannel, datetime] = {}

    def record_outcome(self, channel: AlertChannel, outcome: Outcome, now: datetime) -> None:
        """Records the outcome of an attempt."""
        match outcome:
            case Outcome.ACCEPTED | Outcome.REJECTED_PERMANENTLY:
                self._refusing_since.pop(channel, None)
            case Outcome.REJECTED_TEMPORARILY | Outcome.UNKNOWN:
                self._refusing_since.setdefault(channel, now)
            case Outcome.NO_ADDRESS | Outcome.POSTPONED:
                pass

    def forget_channel(self, channel: AlertChannel) -> None:
        """Clears the channel's outage; called when no alert waits, because its current health is then unknown."""
        self._refusing_since.pop(channel, None)

    def outage_durations(self, now: datetime) -> dict[AlertChannel, timedelta]:
        """Returns for how long each failing channel has accepted nothing."""
        return {channel: now - since for channel, since in self._refusing_since.items()}
