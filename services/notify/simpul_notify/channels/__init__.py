"""Channels that deliver alerts, one module per provider."""

from typing import Protocol

from simpul_notify.channels.kannel import KannelSms
from simpul_notify.channels.smtp import SmtpMail
from simpul_notify.domain import AlertText, Outcome


class Channel(Protocol):
    """Hands one text to a provider and returns the outcome; a failing provider raises nothing."""

    async def send(self, address: str, text: AlertText) -> Outcome:
        """Attempts once to send the text."""

    async def close(self) -> None:
        """Closes connections."""


__all__ = ["Channel", "KannelSms", "SmtpMail"]
