"""Posts each event to the agency's own system: CloudEvents over HTTP, signed as Standard Webhooks ask."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, Optional

import aiohttp

from simpul_agency.handoff.document import document
from simpul_agency.handoff.said import Said, Say
from simpul_agency.received import Received
from simpul_schema.envelope import CONTENT_TYPE
from simpul_seal import SIGNATURE_HEADER

ANSWER_WITHIN = 15.0
"""Seconds, as Standard Webhooks recommend."""


class NotTaken(Exception):
    """The other side did not take the event; it is posted again later."""


def signed_headers(secret: str, event_id: str, body: bytes, now: float) -> dict[str, str]:
    """The three headers by which the receiver knows that it was us, and when (standardwebhooks.com, version 1)."""
    moment = str(int(now))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{event_id}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


class Webhook:
    """The receiver may reply at once, in the body of its answer: `{"reply": "accepted"}`."""

    def __init__(self, url: str, secret: str, sign: Callable[[bytes], str]) -> None:
        """With `sign`, the agency's signature over what is posted: whoever stores it can show where it came from."""
        self._url = url
        self._secret = secret
        self._sign = sign

    async def open(self) -> None:
        """Keep connections from now on."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN))

    async def close(self) -> None:
        """Let them go."""
        await self._session.close()

    async def take(self, received: Received[Any]) -> Optional[Said]:
        """Post it; NotTaken unless the answer is 2xx."""
        body = json.dumps(document(received)).encode()
        headers = signed_headers(self._secret, str(received.event.id), body, time.time())
        headers |= {"Content-Type": CONTENT_TYPE, SIGNATURE_HEADER: self._sign(body)}
        async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
            if answer.status // 100 != 2:
                msg = f"answered {answer.status}"
                raise NotTaken(msg)
            words = await answer.read()
            return Said.read(words) if words.strip() and answer.content_type == "application/json" else None

    async def listen(self, say: Say) -> None:
        """Later replies come by another way."""
