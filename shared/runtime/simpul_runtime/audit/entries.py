"""Entries of the audit: codes and random references, and commitments instead of what people wrote."""

import hmac
import re
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

SALT_BYTES: Final = 16
_CODE: Final = re.compile(r"[A-Za-z0-9_.:/,@+-]{0,400}")
_FORMAT: Final = b"simpul-audit-v1"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that somebody did or read, before it is stored."""

    action: str
    """Code, such as `case.read`."""
    subject: str
    """`case/<uuid>`, `referral/<uuid>`, `account/<uuid>` or `roster/<party>`; empty where it is about none."""
    actor: str
    """Account, agency or service."""
    role: str = ""
    """The role in which the actor acted; empty for a service."""
    detail: str = ""
    """Codes only, such as the names of the sections that were read."""
    content: str = field(default="", repr=False)
    """What a person wrote. It is not stored: a salted commitment can prove later that a text is the one written."""


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as it is stored."""

    position: int
    """1 for the first entry of the service, without gaps."""
    block: int
    """The position of the last entry of the same transaction."""
    at: datetime
    actor: str
    role: str
    action: str
    subject: str
    detail: str
    salt: bytes
    commitment: bytes
    digest: bytes
    """Digest of the columns before it, without the two positions, which the hash covers."""
    hash: bytes
    """Of the block; the same in all entries of one transaction."""

    def compute_digest(self) -> bytes:
        """Computes the digest from the other columns."""
        texts = (self.actor, self.role, self.action, self.subject, self.detail)
        moment = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        parts = [_FORMAT, moment.encode(), *(text.encode() for text in texts), self.salt, self.commitment]
        return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()

    def is_about(self, content: str) -> bool:
        """Whether this text is the one to which the entry is committed."""
        return hmac.compare_digest(self.commitment, commit_to(content, self.salt))


def commit_to(content: str, salt: bytes) -> bytes:
    """Computes the commitment to a text; empty for no text."""
    return hmac.digest(salt, content.encode(), "sha256") if content else b""


def show_code(value: str) -> str:
    """Returns a value that is a code; of anything else only a digest, because it could be what a person wrote."""
    return value if _CODE.fullmatch(value) else f"sha256:{sha256(value.encode()).hexdigest()[:32]}"


def prepare_entry(entry: AuditEntry, at: datetime) -> StoredEntry:
    """Completes an entry but for its positions and hash, which depend on the entries before it."""
    salt = secrets.token_bytes(SALT_BYTES)
    prepared = StoredEntry(
        position=0,
        block=0,
        at=at,
        actor=show_code(entry.actor),
        role=show_code(entry.role),
        action=show_code(entry.action),
        subject=show_code(entry.subject),
        detail=show_code(entry.detail),
        salt=salt,
        commitment=commit_to(entry.content, salt),
        digest=b"",
        hash=b"",
    )
    return replace(prepared, digest=prepared.compute_digest())


def compute_block_hash(previous_hash: bytes, previous_position: int, digests: list[bytes]) -> bytes:
    """Computes the hash of a block from the digests of its entries; PostgreSQL computes the same when it is stored."""
    content = sha256(b"".join(digests)).digest()
    return sha256(previous_hash + previous_position.to_bytes(8, "big", signed=True) + content).digest()
