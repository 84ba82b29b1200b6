"""The interface of providers: what carries the messages of one channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable
from uuid import UUID

from simpul_notify.domain.deliveries import Attempt, Capabilities, DeliveryReport, DeliveryState, Reply
from simpul_notify.domain.notifications import AlertText


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message as a provider gets it."""

    notification_id: UUID
    address: str = field(repr=False)
    text: AlertText = field(repr=False)
    report_url: str = field(default="", repr=False)
    """Where the provider reports what came of it; empty if the city has no such address."""


class Provider(Protocol):
    """Hands one message to a company, gateway or modem, and returns what it answered; raises nothing on purpose."""

    @property
    def name(self) -> str:
        """As the city's settings list it; a label of metrics and logs."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    async def send(self, message: OutgoingMessage) -> Attempt:
        """Attempts once to send the message."""

    async def close(self) -> None:
        """Closes connections; the next message opens new ones."""


@runtime_checkable
class ReportingProvider(Protocol):
    """A provider that calls an address of notify with what came of a message."""

    def parse_report(self, fields: Mapping[str, str], body: bytes) -> DeliveryState | None:
        """Reads a report from the query and body of a request; None if it is not one."""


@runtime_checkable
class TwoWayProvider(Protocol):
    """A provider that calls an address of notify with what people answer."""

    @property
    def reply_token(self) -> str:
        """What the address ends with, so that nobody else calls it; empty if the city takes no replies by it."""

    def parse_reply(self, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """Reads a reply from the headers and body of a request; None if it is not one."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a polled provider has received since the last time."""

    reports: Sequence[DeliveryReport] = ()
    replies: Sequence[Reply] = ()
    reply_ids: Sequence[int] = ()
    """The provider's own numbers of the replies."""


@runtime_checkable
class PolledProvider(Protocol):
    """A provider that keeps reports and replies until notify fetches them."""

    async def fetch_incoming(self) -> Incoming:
        """Returns what has come in; what was not confirmed is returned again."""

    async def confirm(self, incoming: Incoming) -> None:
        """Notes that the replies are recorded; what a crash leaves unconfirmed comes again and changes nothing."""
