"""Events as they travel: bytes, and the signature beside them."""

import json
from typing import Any

import aio_pika

from simpul_seal import SIGNATURE_HEADER, KeyRing, sign


def signed(event: dict[str, Any], ring: KeyRing) -> tuple[bytes, str]:
    """An event's body and the header value that belongs to it."""
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    return body, sign(body, ring)


def message(body: bytes, signature: str = "", **headers: Any) -> aio_pika.Message:
    """A persistent message; without a signature it has no header."""
    beside = {SIGNATURE_HEADER: signature} if signature else {}
    return aio_pika.Message(body, delivery_mode=2, headers=beside | headers)
