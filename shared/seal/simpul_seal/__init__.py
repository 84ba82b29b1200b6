"""Sealing to a recipient, signing, verifying, keys."""

from simpul_seal.errors import NotForUs, SealError, SignatureInvalid, SignatureMissing, UnknownKey
from simpul_seal.keys import Directory, KeyRing, PublicKeys, WatchedDirectory, WatchedKeyRing, generate
from simpul_seal.sealing import open_section, seal_section
from simpul_seal.signing import SIGNATURE_HEADER, sign, signature_in, verify
from simpul_seal.storing import lock, unlock
from simpul_seal.verification import EventIdentity, Rejection, VerifiedEvent, verify_event

__all__ = [
    "SIGNATURE_HEADER",
    "Directory",
    "EventIdentity",
    "KeyRing",
    "NotForUs",
    "PublicKeys",
    "Rejection",
    "SealError",
    "SignatureInvalid",
    "SignatureMissing",
    "UnknownKey",
    "VerifiedEvent",
    "WatchedDirectory",
    "WatchedKeyRing",
    "generate",
    "lock",
    "open_section",
    "seal_section",
    "sign",
    "signature_in",
    "unlock",
    "verify",
    "verify_event",
]
