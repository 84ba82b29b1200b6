"""Sends messages by the chat services that Apprise knows, such as Signal, Telegram, WhatsApp, Matrix or ntfy."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal
from urllib.parse import quote

import apprise
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from simpul_notify.channels.provider import OutgoingMessage
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import ACCEPTED, Attempt, Capabilities, Problem
from simpul_schema.vocabulary import AlertChannel

ADDRESS: Final = "{address}"
"""Stands for the person's number or address in the URL; without it everybody's messages would go to one place."""
CONCURRENCY: Final = 4
_REFUSED: Final = frozenset({"smpp", "smpps", "mailto", "mailtos"})
"""SMS and mail have providers of their own: over SMPP, Apprise reports success for what the network refused."""


class AppriseSettings(BaseSettings):
    """Settings of one chat service; a second one reads them with a prefix of its own."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    url: SecretStr = Field(
        description="address of the service as Apprise writes it, with `{address}` for the person's number, such as "
        "signal://signal:8080/628110000000/{address}"
    )
    channel: Literal["sms", "mail"] = Field(
        default="sms", description="whether `{address}` is the phone number or the mail address of the roster"
    )
    timeout: float = Field(
        default=10.0,
        gt=0,
        validation_alias="SIMPUL_PROVIDER_TIMEOUT",
        description="seconds until an attempt times out",
    )

    @field_validator("url")
    @classmethod
    def _is_usable(cls, url: SecretStr) -> SecretStr:
        written = url.get_secret_value()
        if ADDRESS not in written:
            msg = f"write {ADDRESS} where the person's number or address belongs"
            raise ValueError(msg)
        if written.partition("://")[0].lower() in _REFUSED:
            msg = "SMS and mail are sent by the providers kannel, gammu and smtp"
            raise ValueError(msg)
        if apprise.Apprise.instantiate(_address_in(written, "628110000000")) is None:
            msg = "Apprise cannot read this URL; see its documentation of the service"
            raise ValueError(msg)
        return url


def create(name: str, prefix: str) -> "AppriseChat":
    """Starts a chat service from the environment."""
    # Apprise logs addresses, texts and tokens.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    given = AppriseSettings(_env_prefix=prefix)
    return AppriseChat(given.url.get_secret_value(), AlertChannel(given.channel), given.timeout, name=name)


class AppriseChat:
    """Sends by one chat service, in threads of its own, so that a service that hangs holds up nothing else."""

    def __init__(self, url: str, channel: AlertChannel, timeout: float, *, name: str = "apprise") -> None:
        self.name = name
        self.capabilities = Capabilities(channel, concurrency=CONCURRENCY)
        self._url = url
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix=name)

    async def send(self, message: OutgoingMessage) -> Attempt:
        """Sends one message; Apprise gives no reason for a failure, so every one is temporary."""
        try:
            async with asyncio.timeout(self._timeout):
                sent = await asyncio.get_running_loop().run_in_executor(self._threads, self._notify, message)
        except TimeoutError:
            return Attempt(Outcome.UNKNOWN, Problem.NO_ANSWER)
        return ACCEPTED if sent else Attempt(Outcome.REJECTED_TEMPORARILY, Problem.BUSY)

    def _notify(self, message: OutgoingMessage) -> bool:
        service = apprise.Apprise.instantiate(_address_in(self._url, message.address))
        if service is None:
            return False
        service.socket_connect_timeout = service.socket_read_timeout = self._timeout / 2
        text = message.text
        return bool(service.notify(body=text.body, title=text.subject, body_format=apprise.NotifyFormat.TEXT))

    async def close(self) -> None:
        """Starts nothing more; what a thread is sending ends by its timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _address_in(url: str, address: str) -> str:
    """Returns the URL for one person; services take numbers without the plus sign of the international form."""
    return url.replace(ADDRESS, quote(address.removeprefix("+"), safe=""))
