"""Detached signatures over the raw bytes of a body, so that no language needs a canonical form."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature

from simpul_seal.encoding import decode, encode
from simpul_seal.errors import SignatureInvalid, SignatureMissing
from simpul_seal.keys import Directory, KeyRing

SIGNATURE_HEADER: Final = "simpul-signature"
"""Header of AMQP and HTTP; its value is `v1 <key id> <signature in base64url without padding>`."""
EVENT_DOMAIN: Final = "simpul-event-v1"
"""Prefix of the signed bytes of an event, so that a signature for another purpose never matches an event."""
MAX_HEADER: Final = 400
"""Characters of the longest header value that is accepted; a real one has under 200."""

_VALUE: Final = re.compile(r"v1 ([!-~]{1,250}) ([A-Za-z0-9_-]{86})")
_UNREADABLE: Final = "unreadable"


def sign(body: bytes, ring: KeyRing, *, domain: str = EVENT_DOMAIN) -> str:
    """Signs a body with the newest key of a ring; returns the header value."""
    return f"v1 {ring.keyid} {encode(ring.signing.sign(_signed_bytes(domain, body)))}"


def verify(body: bytes, signature: str, directory: Directory, moment: datetime, *, domain: str = EVENT_DOMAIN) -> str:
    """Verifies the signature of a body; returns the party that signed it.

    Raises SignatureMissing without a header value, UnknownKey if the key is not enrolled or not valid at `moment`, and
    SignatureInvalid if the value has another scheme or was made for other bytes or another domain.
    """
    if not signature:
        msg = f"no {SIGNATURE_HEADER} header next to the body"
        raise SignatureMissing(msg)
    value = _VALUE.fullmatch(signature)
    if value is None:
        msg = f"{SIGNATURE_HEADER} does not have the form `v1 <key id> <base64url>`"
        raise SignatureInvalid(msg)
    key = directory.key(value[1], moment)
    try:
        key.signing.verify(decode(value[2]), _signed_bytes(domain, body))
    except InvalidSignature as error:
        msg = "the signature does not match the body"
        raise SignatureInvalid(msg) from error
    return key.party


def signature_in(headers: Mapping[str, object]) -> str:
    """Returns the signature among the headers of a message; empty if there is none.

    AMQP headers may contain values of any type. A value that cannot be a signature is replaced by a text that is not
    one either and that every database can store.
    """
    value = headers.get(SIGNATURE_HEADER)
    if value is None:
        return ""
    is_plain = isinstance(value, str) and value.isascii() and value.isprintable() and len(value) <= MAX_HEADER
    return str(value) if is_plain else _UNREADABLE


def _signed_bytes(domain: str, body: bytes) -> bytes:
    return b"%s\n%s" % (domain.encode(), body)
