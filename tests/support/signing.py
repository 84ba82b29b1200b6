"""Signs events and builds their AMQP messages."""

import json
from typing import Any

import aio_pika

from simpul_seal import SIGNATURE_HEADER, KeyRing, sign


def signed(event: dict[str, Any], ring: KeyRing) -> tuple[bytes, str]:
    """Returns an event's body and its signature for the header."""
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    return body, sign(body, ring)


def message(body: bytes, signature: str = "", **headers: Any) -> aio_pika.Message:
    """Builds a persistent message; without a signature it has no signature header."""
    signed_headers = {SIGNATURE_HEADER: signature} if signature else {}
    return aio_pika.Message(body, delivery_mode=2, headers=signed_headers | headers)
