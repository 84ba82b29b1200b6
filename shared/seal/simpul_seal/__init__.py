"""Keys, signatures, sealing to a recipient and encryption at rest."""

from simpul_seal.agreement import AGREEMENT_DOMAIN, AgreementText, sign_agreement
from simpul_seal.audit_heads import (
    HEAD_INTERVAL,
    ContradictedHead,
    Contradiction,
    HeadNotSigned,
    SignedHead,
    find_contradictions,
    make_head,
    read_head,
    read_heads,
)
from simpul_seal.encryption import decrypt, encrypt
from simpul_seal.errors import NotForUs, SealError, SignatureInvalid, SignatureMissing, UnknownKey
from simpul_seal.keys import Directory, KeyRing, PublicKeys, WatchedDirectory, WatchedKeyRing, generate
from simpul_seal.sealing import open_section, seal_section
from simpul_seal.signing import SIGNATURE_HEADER, sign, signature_in, verify
from simpul_seal.verification import EventIdentity, Rejection, VerifiedEvent, verify_event

__all__ = [
    "AGREEMENT_DOMAIN",
    "HEAD_INTERVAL",
    "SIGNATURE_HEADER",
    "AgreementText",
    "ContradictedHead",
    "Contradiction",
    "Directory",
    "EventIdentity",
    "HeadNotSigned",
    "KeyRing",
    "NotForUs",
    "PublicKeys",
    "Rejection",
    "SealError",
    "SignatureInvalid",
    "SignatureMissing",
    "SignedHead",
    "UnknownKey",
    "VerifiedEvent",
    "WatchedDirectory",
    "WatchedKeyRing",
    "decrypt",
    "encrypt",
    "find_contradictions",
    "generate",
    "make_head",
    "open_section",
    "read_head",
    "read_heads",
    "seal_section",
    "sign",
    "sign_agreement",
    "signature_in",
    "verify",
    "verify_event",
]
