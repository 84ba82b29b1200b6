"""One file for each way to tell somebody."""

from typing import Protocol

from simpul_notify.channels.kannel import KannelSms
from simpul_notify.channels.smtp import SmtpMail
from simpul_notify.domain import Outcome, Text


class Channel(Protocol):
    """Hands one text to a provider; says what became of it and never raises for a provider's trouble."""

    async def send(self, address: str, text: Text) -> Outcome:
        """Try once."""

    async def close(self) -> None:
        """Let go of connections."""


__all__ = ["Channel", "KannelSms", "SmtpMail"]
