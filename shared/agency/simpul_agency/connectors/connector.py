"""What every connector does."""

from collections.abc import Sequence
from typing import Any, Protocol

from simpul_agency.connectors.reply_command import ReplyCommand, SubmitReply
from simpul_agency.received_event import ReceivedEvent


class DeliveryFailed(Exception):
    """The other software did not take the event, which is delivered again later."""


class Connector(Protocol):
    """Passes events to other software and takes its replies."""

    async def open(self) -> None:
        """Acquires connections, folders or tables."""

    async def close(self) -> None:
        """Releases them."""

    async def deliver(self, received: ReceivedEvent[Any]) -> Sequence[ReplyCommand]:
        """Delivers an event, perhaps not for the first time; returns the immediate replies.

        The event is delivered again later when this raises an error.
        """

    async def poll_replies(self, submit: SubmitReply) -> None:
        """Submits the replies that the other software has left since the last poll."""


class PushConnector:
    """A base for connectors that keep nothing open and get replies only as the answer to a delivery."""

    async def open(self) -> None:
        """Acquires nothing."""

    async def close(self) -> None:
        """Releases nothing."""

    async def poll_replies(self, submit: SubmitReply) -> None:
        """Polls nothing."""
