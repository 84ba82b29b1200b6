"""Signs the text of a city's agreement; the city's program and an agency's kit write the same file."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from simpul_seal.keys import KeyRing
from simpul_seal.signing import sign

AGREEMENT_DOMAIN: Final = "simpul-agreement-v1"
"""Signed in front of the text, so that it never passes for an event, nor an event for it."""


@dataclass(frozen=True)
class AgreementText:
    """Identifies the text that a party signs."""

    version: str
    """Name of the version's folder."""
    digest: str
    """SHA-256 of the files that decide, in hexadecimal; the document prints it in its last annex."""
    proof: str
    """SHA-256 of the proof, in hexadecimal."""


def sign_agreement(text: AgreementText, ring: KeyRing, now: datetime, *, is_interim: bool = False) -> str:
    """Signs a text for the party of a key ring; returns the content of the signature's file.

    With `is_interim` the hub declares that the text decides before the other parties have signed.
    """
    signed = json.dumps(
        {
            "version": text.version,
            "digest": text.digest,
            "proof": text.proof,
            "party": ring.party,
            "signed_at": now.isoformat(),
            **({"interim": True} if is_interim else {}),
        }
    )
    # The exact text that is signed stands in the file, so that no reader has to write it again to the byte.
    signature = sign(signed.encode(), ring, domain=AGREEMENT_DOMAIN)
    return json.dumps({"signed": signed, "signature": signature}, indent=1) + "\n"
