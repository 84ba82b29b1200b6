"""Signed heads: what a service states about the end of its audit, for others to keep.

Whoever keeps a signed head can later show that the service's history then was the one that the hash stands for. A head
has no position, and only that of a full hour is published, so that it does not show how busy the service is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256
from typing import Final

from simpul_seal.errors import SealError
from simpul_seal.keys import Directory
from simpul_seal.signing import verify

HEAD_INTERVAL: Final = timedelta(hours=1)
_TYPE: Final = "simpul-audit-head-v1"


class HeadNotSigned(ValueError):
    """A head is not one that its service signed; the message names its line where it stands in a file."""


@dataclass(frozen=True)
class SignedHead:
    """The hash of the last block before a moment, signed by the service."""

    service: str
    """The service whose audit it is."""
    before: datetime
    """Every block before this moment is covered."""
    hash: bytes
    """The hash of the block; 32 zero bytes while there is none."""
    body: bytes
    signature: str

    def to_dict(self) -> dict[str, str]:
        """Returns what a service publishes and a witness keeps."""
        return {"body": self.body.decode(), "signature": self.signature}

    def to_line(self) -> str:
        """Returns the line under which it is kept in a file."""
        return json.dumps(self.to_dict())


def make_head(service: str, before: datetime, hash_: bytes, sign: Callable[[bytes], str]) -> SignedHead:
    """Makes the head of a moment; the same statement always has the same bytes."""
    stated = {"type": _TYPE, "service": service, "before": before.isoformat(), "hash": hash_.hex()}
    body = json.dumps(stated, separators=(",", ":")).encode()
    return SignedHead(service, before, hash_, body, sign(body))


def read_head(kept: Mapping[str, str], directory: Directory) -> SignedHead:
    """Reads what `SignedHead.to_dict` wrote; raises HeadNotSigned unless its service has signed it.

    An earlier head may be stated again with a later key. A key that had ended before signs nothing.
    """
    try:
        body, signature = kept["body"].encode(), kept["signature"]
        stated = json.loads(body)
        before = datetime.fromisoformat(stated["before"])
        signed_at = before + HEAD_INTERVAL
        begun = [key.not_before for key in directory.entries if key.keyid in signature.split(" ")]
        signer = verify(body, signature, directory, max([signed_at, *begun]))
        head = SignedHead(stated["service"], before, bytes.fromhex(stated["hash"]), body, signature)
        is_signed = stated["type"] == _TYPE and signer == head.service
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, SealError) as error:
        raise HeadNotSigned from error
    if not is_signed:
        raise HeadNotSigned
    return head


def read_heads(lines: Iterable[str], directory: Directory) -> list[SignedHead]:
    """Reads kept heads, one a line; raises HeadNotSigned with the number of a line that its service has not signed."""
    heads = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                heads.append(read_head(json.loads(line), directory))
            except ValueError as error:
                raise HeadNotSigned(number) from error
    return heads


class Contradiction(str, Enum):
    """How two heads of one service contradict each other, so that its history was changed between them."""

    OTHER_HISTORY = "other_history"
    """Two hashes for one moment: the entries before it were changed."""
    SHORTER = "shorter"
    """A later head is one that the history had already outgrown: entries at its end were deleted."""


@dataclass(frozen=True)
class ContradictedHead:
    """A head that contradicts another one of the same service."""

    contradiction: Contradiction
    service: str
    before: datetime
    """The moment of the head."""
    hashes: tuple[bytes, ...]
    """The hashes that contradict: all of the moment, or those that the history had outgrown."""

    def compute_id(self) -> str:
        """Computes what is the same for the same contradiction only; another hash makes it another one."""
        about = [self.contradiction.value, self.service, self.before.isoformat(), *(one.hex() for one in self.hashes)]
        return sha256(" ".join(about).encode()).hexdigest()


def find_contradictions(heads: Sequence[SignedHead]) -> list[ContradictedHead]:
    """Finds the heads that cannot all be of one history that only grows, by service and moment.

    A history that became shorter is found at the first head of it; while it does not grow, later ones are the same.
    """
    found = set()
    by_service: dict[str, dict[datetime, set[bytes]]] = {}
    for head in heads:
        by_service.setdefault(head.service, {}).setdefault(head.before, set()).add(head.hash)
    for service, moments in by_service.items():
        outgrown: set[bytes] = set()
        newest: set[bytes] = set()
        for before, hashes in sorted(moments.items()):
            if len(hashes) > 1:
                found.add(ContradictedHead(Contradiction.OTHER_HISTORY, service, before, tuple(sorted(hashes))))
            if returned := (hashes & outgrown) - newest:
                found.add(ContradictedHead(Contradiction.SHORTER, service, before, tuple(sorted(returned))))
            outgrown |= newest - hashes
            newest = hashes
    return sorted(found, key=lambda one: (one.service, one.before, one.contradiction.value))
