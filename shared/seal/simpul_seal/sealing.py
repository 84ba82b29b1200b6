"""Seals one section of an event to one recipient, and opens it."""

from contextlib import suppress
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from simpul_seal.encoding import decode, encode
from simpul_seal.errors import NotForUs
from simpul_seal.keys import KeyRing, PublicKeys

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def _associated_data(event_id: UUID, case_id: UUID, section: str) -> bytes:
    return f"simpul/1|{event_id}|{case_id}|{section}".encode()


def seal_section(
    content: bytes, recipient: PublicKeys, *, event_id: UUID, case_id: UUID, section: str
) -> dict[str, str]:
    """Seals a section as `data.sealed` contains it; only the recipient can open it, and only in this event."""
    sealed = _SUITE.encrypt(content, recipient.sealing, info=_associated_data(event_id, case_id, section))
    return {"recipient": recipient.party, "keyid": recipient.keyid, "ciphertext": encode(sealed)}


def open_section(ciphertext: str, ring: KeyRing, *, event_id: UUID, case_id: UUID, section: str) -> bytes:
    """Opens a section that was sealed to a key of this ring in this event; raises NotForUs for any other."""
    for key in ring.all_keys:
        with suppress(InvalidTag, ValueError):
            return _SUITE.decrypt(decode(ciphertext), key.sealing, info=_associated_data(event_id, case_id, section))
    msg = "the section cannot be opened with this key in this event"
    raise NotForUs(msg)
