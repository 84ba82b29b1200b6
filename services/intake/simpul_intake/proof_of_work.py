"""A browser's proof of work for one report: a number that takes some seconds to find and none to check.

It belongs to the id of the report, and an id is taken once, so that a proof is worth one report. `proof.js` finds it
while the person fills in the form; without a script the report is sent without one.
"""

import re
from hashlib import sha256
from typing import Final
from uuid import UUID

PROOF_BITS: Final = 17
"""Leading zero bits: 131,072 attempts on average, about a second on a laptop and several on a cheap phone."""
_NUMBER: Final = re.compile(r"[0-9]{1,12}", re.ASCII)


def proof_digest(report_id: UUID, number: str) -> bytes:
    """Computes what must begin with PROOF_BITS zero bits."""
    return sha256(f"simpul-report {report_id} {number}".encode()).digest()


def is_proven(report_id: UUID, number: str) -> bool:
    """Whether the number is a proof for this report."""
    if not _NUMBER.fullmatch(number):
        return False
    return int.from_bytes(proof_digest(report_id, number), "big") >> (256 - PROOF_BITS) == 0
