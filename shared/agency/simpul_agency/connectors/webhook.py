"""Posts each event to the agency's own system: CloudEvents over HTTP, signed as Standard Webhooks require."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp

from simpul_agency.connectors.connector import DeliveryFailed, PushConnector
from simpul_agency.connectors.event_document import event_document
from simpul_agency.connectors.reply_command import ReplyCommand
from simpul_agency.received_event import ReceivedEvent
from simpul_schema.envelope import CONTENT_TYPE
from simpul_seal import SIGNATURE_HEADER

REQUEST_TIMEOUT: Final = 15.0
"""Seconds, as Standard Webhooks recommend."""


def webhook_headers(secret: str, event_id: str, body: bytes, now: float) -> dict[str, str]:
    """Returns the headers that authenticate a request (standardwebhooks.com, version 1)."""
    timestamp = str(int(now))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


class WebhookConnector(PushConnector):
    """Posts events; the response may hold a reply such as `{"reply": "accepted"}`, or a list of replies."""

    def __init__(self, url: str, secret: str, sign: Callable[[bytes], str]) -> None:
        """`sign` returns the agency's signature, so that whoever stores an event can show its origin."""
        self._url = url
        self._secret = secret
        self._sign = sign

    async def open(self) -> None:
        """Opens the HTTP session."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT))

    async def close(self) -> None:
        """Closes the HTTP session."""
        await self._session.close()

    async def deliver(self, received: ReceivedEvent[Any]) -> Sequence[ReplyCommand]:
        """Posts the event; raises DeliveryFailed unless the status is 2xx."""
        body = json.dumps(event_document(received)).encode()
        headers = webhook_headers(self._secret, str(received.event.id), body, time.time())
        headers |= {"Content-Type": CONTENT_TYPE, SIGNATURE_HEADER: self._sign(body)}
        async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
            if response.status // 100 != 2:
                msg = f"the webhook answered with status {response.status}"
                raise DeliveryFailed(msg)
            content = await response.read()
            is_reply = content.strip() and response.content_type == "application/json"
            return ReplyCommand.parse_all(content) if is_reply else ()
