"""Sends messages to any other system as signed JSON, by the rules of Standard Webhooks."""

import base64
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal
from uuid import UUID

import aiohttp
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from simpul_notify.channels.provider import OutgoingMessage
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import ACCEPTED, Attempt, Capabilities, DeliveryState, Problem
from simpul_runtime.database import utc_now
from simpul_schema.vocabulary import AlertChannel

_REPORTS: Final = {
    "in_network": DeliveryState.IN_NETWORK,
    "delayed": DeliveryState.DELAYED,
    "failed": DeliveryState.FAILED,
    "on_handset": DeliveryState.ON_HANDSET,
}
"""What `state` of a report may be."""


class WebhookSettings(BaseSettings):
    """Settings of a system that takes messages; a second one reads them with a prefix of its own."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    url: str = Field(pattern=r"^https://", description="https address that takes messages by POST")
    secret: SecretStr = Field(description="key of the signature; the receiver has the same")
    channel: Literal["sms", "mail"] = Field(default="sms", description="which contact method it serves")
    reports_delivery: bool = Field(default=False, description="whether it reports what came of a message")
    timeout: float = Field(
        default=10.0,
        gt=0,
        validation_alias="SIMPUL_PROVIDER_TIMEOUT",
        description="seconds until an attempt times out",
    )


def create(name: str, prefix: str) -> "Webhook":
    """Starts a webhook from the environment."""
    given = WebhookSettings(_env_prefix=prefix)
    return Webhook(
        given.url,
        given.secret.get_secret_value(),
        AlertChannel(given.channel),
        given.timeout,
        name=name,
        reports_delivery=given.reports_delivery,
    )


class Webhook:
    """A persistent HTTP session with one receiver, which gets each message under its id."""

    def __init__(
        self,
        url: str,
        secret: str,
        channel: AlertChannel,
        timeout: float,
        *,
        name: str = "webhook",
        reports_delivery: bool = False,
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(channel, concurrency=8, reports_delivery=reports_delivery)
        self._url = url
        self._secret = secret.encode()
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: OutgoingMessage) -> Attempt:
        """Posts one message: 2xx is accepted, 400, 404, 410 and 422 are permanent, everything else is temporary."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        body = json.dumps(_content_of(message), ensure_ascii=False).encode()
        headers = sign(self._secret, message.notification_id, utc_now(), body) | {"Content-Type": "application/json"}
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                return _attempt_of(answer.status)
        except aiohttp.ClientConnectorCertificateError:
            return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.UNTRUSTED_CERTIFICATE)
        except aiohttp.ClientConnectorError:
            return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.UNREACHABLE)
        except TimeoutError:
            return Attempt(Outcome.UNKNOWN, Problem.NO_ANSWER)
        except aiohttp.ClientError:
            return Attempt(Outcome.UNKNOWN, Problem.CONNECTION_LOST)

    def parse_report(self, _: Mapping[str, str], body: bytes) -> DeliveryState | None:
        """Reads `{"state": "on_handset"}`."""
        try:
            report = json.loads(body)
        except ValueError:
            return None
        return _REPORTS.get(str(report.get("state"))) if isinstance(report, dict) else None

    async def close(self) -> None:
        """Closes the session; the next message opens a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def sign(secret: bytes, message_id: UUID, at: datetime, body: bytes) -> dict[str, str]:
    """Returns the headers of Standard Webhooks: id, time and HMAC-SHA256 over both and the body."""
    stamp = str(int(at.timestamp()))
    signature = hmac.digest(secret, f"{message_id}.{stamp}.".encode() + body, sha256)
    return {
        "webhook-id": str(message_id),
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def _content_of(message: OutgoingMessage) -> dict[str, Any]:
    return {
        "id": str(message.notification_id),
        "to": message.address,
        "subject": message.text.subject,
        "text": message.text.body,
        "report_url": message.report_url,
    }


def _attempt_of(status: int) -> Attempt:
    if 200 <= status < 300:
        return ACCEPTED
    if status in (401, 403):
        return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.WRONG_CREDENTIALS)
    if status in (400, 404, 410, 422):
        return Attempt(Outcome.REJECTED_PERMANENTLY, Problem.REFUSED)
    return Attempt(Outcome.REJECTED_TEMPORARILY, Problem.BUSY)
