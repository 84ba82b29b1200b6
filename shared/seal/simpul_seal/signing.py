"""Signing an event and checking who signed one."""

from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature

from simpul_seal.canonical import NotCanonical, canonical
from simpul_seal.encoding import decode, encode
from simpul_seal.errors import SignatureInvalid
from simpul_seal.keys import Directory, KeyRing

_UNSIGNED = ("keyid", "signature")


def sign(event: dict[str, Any], ring: KeyRing) -> bytes:
    """The event's wire bytes with `keyid` and `signature` of this ring."""
    unsigned = {name: value for name, value in event.items() if name not in _UNSIGNED}
    signature = encode(ring.signing.sign(canonical(unsigned)))
    return canonical({**unsigned, "keyid": ring.keyid, "signature": signature})


def verify(event: dict[str, Any], directory: Directory, moment: datetime) -> str:
    """The party that signed the event.

    Raises UnknownKey when the key is not enrolled or not valid at `moment`, SignatureInvalid when the event is
    unsigned, forged or altered.
    """
    keyid, signature = event.get("keyid"), event.get("signature")
    if not (isinstance(keyid, str) and isinstance(signature, str) and keyid and signature):
        msg = "the event carries no signature"
        raise SignatureInvalid(msg)
    key = directory.key(keyid, moment)
    unsigned = {name: value for name, value in event.items() if name not in _UNSIGNED}
    try:
        key.signing.verify(decode(signature), canonical(unsigned))
    except (InvalidSignature, NotCanonical, ValueError) as error:
        msg = "the signature does not match the event"
        raise SignatureInvalid(msg) from error
    return key.party
