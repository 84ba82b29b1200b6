"""Sends SMS through Kannel's HTTP interface, with POST so that URLs contain neither password nor text."""

from collections.abc import Mapping
from typing import Final

import aiohttp
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from simpul_notify.channels.provider import OutgoingMessage
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import ACCEPTED, Attempt, Capabilities, DeliveryState, Problem, Reply
from simpul_schema.vocabulary import AlertChannel

_REPORTS: Final = {
    "1": DeliveryState.ON_HANDSET,
    "2": DeliveryState.FAILED,
    "4": DeliveryState.ACCEPTED,
    "8": DeliveryState.IN_NETWORK,
    "16": DeliveryState.FAILED,
}
"""Kannel's kinds of reports, as `%d` writes them."""
_ALL_REPORTS: Final = "31"


class KannelSettings(BaseSettings):
    """Settings of a Kannel gateway; a second one reads them with a prefix of its own."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    url: str = Field(description="Kannel's sendsms address, such as http://gateway:13013/cgi-bin/sendsms")
    user: str = Field(description="user of the smsbox")
    password: SecretStr = Field(description="password of the smsbox user; sent in a header, never in a URL")
    reply_token: SecretStr = Field(
        default=SecretStr(""),
        description="what `post-url` in kannel.conf ends with; empty where nobody can reply",
    )
    max_per_minute: int | None = Field(default=None, ge=1, description="messages that the gateway takes in a minute")
    sender: str = Field(
        default="Simpul",
        validation_alias="SIMPUL_SMS_SENDER",
        description="sender id of SMS; must not mention violence",
    )
    timeout: float = Field(
        default=10.0,
        gt=0,
        validation_alias="SIMPUL_PROVIDER_TIMEOUT",
        description="seconds until an attempt times out",
    )
    concurrency: int = Field(
        default=16,
        ge=1,
        validation_alias="SIMPUL_PROVIDER_CONCURRENCY",
        description="concurrent attempts to send an SMS",
    )


def create(name: str, prefix: str) -> "KannelSms":
    """Starts a gateway from the environment."""
    given = KannelSettings(_env_prefix=prefix)
    return KannelSms(
        given.url,
        given.user,
        given.password.get_secret_value(),
        given.sender,
        given.timeout,
        name=name,
        concurrency=given.concurrency,
        max_per_minute=given.max_per_minute,
        reply_token=given.reply_token.get_secret_value(),
    )


class KannelSms:
    """A persistent HTTP session with one smsbox."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        sender: str,
        timeout: float,
        *,
        name: str = "kannel",
        concurrency: int = 16,
        max_per_minute: int | None = None,
        reply_token: str = "",
    ) -> None:
        self.name = name
        self.reply_token = reply_token
        self.capabilities = Capabilities(
            AlertChannel.SMS,
            concurrency,
            reports_delivery=True,
            takes_replies=bool(reply_token),
            max_per_minute=max_per_minute,
        )
        self._url = url
        self._headers = {
            "X-Kannel-Username": user,
            "X-Kannel-Password": password,
            "X-Kannel-From": sender,
            "X-Kannel-Coding": "0",
            "X-Kannel-Charset": "UTF-8",
            "Content-Type": "text/plain; charset=UTF-8",
        }
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: OutgoingMessage) -> Attempt:
        """Sends one SMS: 2xx is accepted, most of 4xx is a permanent rejection, everything else is temporary."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        headers = {**self._headers, "X-Kannel-To": message.address}
        if message.report_url:
            headers |= {"X-Kannel-DLR-Mask": _ALL_REPORTS, "X-Kannel-DLR-Url": f"{message.report_url}?state=%d"}
        try:
            async with self._session.post(self._url, data=message.text.body.encode(), headers=headers) as answer:
                await answer.read()
                return _attempt_of(answer.status)
        except aiohttp.ClientConnectorError:
            return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.UNREACHABLE)
        except TimeoutError:
            return Attempt(Outcome.UNKNOWN, Problem.NO_ANSWER)
        except aiohttp.ClientError:
            return Attempt(Outcome.UNKNOWN, Problem.CONNECTION_LOST)

    def parse_report(self, fields: Mapping[str, str], _: bytes) -> DeliveryState | None:
        """Reads `state`, which Kannel fills in for `%d`."""
        return _REPORTS.get(fields.get("state", ""))

    def parse_reply(self, headers: Mapping[str, str], body: bytes) -> Reply | None:
        """Reads a message of an `sms-service` with `post-url`: the number in a header, the text in the body."""
        sender = headers.get("x-kannel-from", "")
        is_unicode = headers.get("x-kannel-coding") == "2"
        text = body.decode("utf-16-be" if is_unicode else "utf-8", errors="replace")
        return Reply(sender, text) if sender else None

    async def close(self) -> None:
        """Closes the session; the next SMS opens a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _attempt_of(status: int) -> Attempt:
    if 200 <= status < 300:
        return ACCEPTED
    # These depend on our configuration or the gateway's load, not on the alert, so the alert is sent again.
    if status in (401, 403):
        return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.WRONG_CREDENTIALS)
    if 400 <= status < 500 and status not in (408, 429):
        return Attempt(Outcome.REJECTED_PERMANENTLY, Problem.REFUSED)
    return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.BUSY)
