"""How far a message has travelled after a provider has accepted it."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final
from uuid import UUID

from simpul_notify.domain.alerts import Outcome
from simpul_schema.vocabulary import AlertChannel


class DeliveryState(IntEnum):
    """What is known about a message at one provider; a higher value replaces a lower one, whichever comes first.

    Reports arrive in any order, before the provider's answer, twice or never, so the last one is not the truth.
    """

    QUEUED = 0
    ACCEPTED = 10
    """The provider has taken it, which proves nothing about the phone."""
    IN_NETWORK = 20
    DELAYED = 25
    """The network could not deliver it yet and tries again."""
    FAILED = 30
    """Refused by the network, undeliverable or expired."""
    ON_HANDSET = 40

    @property
    def has_failed(self) -> bool:
        """Whether the provider has given it up."""
        return self is DeliveryState.FAILED

    @property
    def has_arrived(self) -> bool:
        """Whether the phone has confirmed it."""
        return self >= DeliveryState.ON_HANDSET


class Problem(StrEnum):
    """Why a provider did not take a message; a code for logs and metrics."""

    NONE = "none"
    WRONG_CREDENTIALS = "wrong_credentials"
    UNREACHABLE = "unreachable"
    UNTRUSTED_CERTIFICATE = "untrusted_certificate"
    NO_ANSWER = "no_answer"
    CONNECTION_LOST = "connection_lost"
    BUSY = "busy"
    REFUSED = "refused"
    """This message or its address was refused for good."""
    SLOW_REPORTS = "slow_reports"
    """Too few messages were reported as arrived, or as failed, in time."""
    NO_PROVIDER = "no_provider"
    """The city uses no provider of this channel."""
    DEFECT = "defect"
    NEVER_CONTACT = "never_contact"
    """The address is on the city's list of those that are never used."""
    OUTSIDE_SAFE_HOURS = "outside_safe_hours"
    """The person may be contacted at other hours only."""
    TOO_MANY = "too_many"
    """The person or the number has had its share of this hour."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Result of one attempt at one provider."""

    outcome: Outcome
    problem: Problem = Problem.NONE
    reference: str = ""
    """The provider's own number of the message; empty if it gives none."""


ACCEPTED: Final = Attempt(Outcome.ACCEPTED)


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a provider reports about a message that it accepted."""

    notification_id: UUID
    provider: str
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class Reply:
    """What somebody answered to a number of the city."""

    sender: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can do."""

    channel: AlertChannel
    concurrency: int = 1
    """How many messages it takes at the same time."""
    reports_delivery: bool = False
    """Whether it reports what came of a message; without that, acceptance is all that is known."""
    takes_replies: bool = False
    max_per_minute: int | None = None
    """How many messages it takes in a minute; None without a limit."""
