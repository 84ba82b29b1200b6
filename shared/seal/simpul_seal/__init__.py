"""Sealing to a recipient, signing, keys."""

from simpul_seal.canonical import NotCanonical, canonical
from simpul_seal.errors import NotForUs, SealError, SignatureInvalid, UnknownKey
from simpul_seal.keys import Directory, KeyRing, PublicKeys, WatchedDirectory, WatchedKeyRing, generate
from simpul_seal.sealing import open_section, seal_section
from simpul_seal.signing import sign, verify
from simpul_seal.storing import lock, unlock

__all__ = [
    "Directory",
    "KeyRing",
    "NotCanonical",
    "NotForUs",
    "PublicKeys",
    "SealError",
    "SignatureInvalid",
    "UnknownKey",
    "WatchedDirectory",
    "WatchedKeyRing",
    "canonical",
    "generate",
    "lock",
    "open_section",
    "seal_section",
    "sign",
    "unlock",
    "verify",
]
