"""What the people of a hosted agency write down about a referral; only the agency's own key opens it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_seal import KeyRing, decrypt, encrypt

MAX_TEXT: Final = 4_000
"""Characters of a note."""
MAX_DOCUMENT: Final = 5 * 1024 * 1024
"""Bytes of a document."""
_SIGNATURES: Final = {b"%PDF-": "application/pdf", b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
"""How a file of each accepted type begins."""

_ADD: Final = text("""
    INSERT INTO referral_record (record_id, agency, referral_id, kind, author, written_at, content, attachment)
    VALUES (:record_id, :agency, :referral_id, :kind, :author, :written_at, :content, :attachment)
""")
_LIST: Final = text("""
    SELECT r.record_id, r.kind, a.name AS author, r.written_at, r.content
    FROM referral_record r JOIN account a ON a.account_id = r.author
    WHERE r.agency = :agency AND r.referral_id = :referral_id ORDER BY r.written_at DESC, r.record_id LIMIT 100
""")
_FIND: Final = text("""
    SELECT content, attachment FROM referral_record
    WHERE record_id = :record_id AND agency = :agency AND referral_id = :referral_id AND attachment IS NOT NULL
""")
_DELETE: Final = text("DELETE FROM referral_record WHERE agency = :agency AND referral_id = :referral_id")


class RecordKind(StrEnum):
    """What was written down."""

    NOTE = "note"
    MISSING = "missing"
    """What is missing before the agency can help."""
    DOCUMENT = "document"


class DocumentRefused(ValueError):
    """The file is empty, too large, or neither PDF, JPEG nor PNG."""


@dataclass(frozen=True, slots=True)
class Record:
    """A note or a document."""

    record_id: UUID
    kind: RecordKind
    author: str = field(repr=False)
    written_at: datetime
    text: str = field(repr=False)
    """The note, or the document's name."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was added."""

    name: str = field(repr=False)
    media_type: str
    content: bytes = field(repr=False)

    @classmethod
    def read(cls, name: str, content: bytes) -> "Document":
        """Reads an uploaded file, whose type is what its bytes say; raises DocumentRefused."""
        found = [media_type for begin, media_type in _SIGNATURES.items() if content.startswith(begin)]
        if not found or len(content) > MAX_DOCUMENT:
            raise DocumentRefused
        printable = "".join(one for one in name.replace("\\", "/").rpartition("/")[2] if one.isprintable())
        return cls(printable[:120] or "-", found[0], content)


@dataclass(frozen=True, slots=True)
class RecordBook:
    """The notes and documents of one agency about one referral."""

    agency: str
    referral_id: UUID
    ring: KeyRing = field(repr=False)

    async def add_note(
        self, connection: AsyncConnection, kind: RecordKind, note: str, *, author: UUID, now: datetime
    ) -> None:
        """Adds a note."""
        await self._add(connection, kind, {"text": note[:MAX_TEXT]}, None, author=author, now=now)

    async def add_document(
        self, connection: AsyncConnection, document: Document, *, author: UUID, now: datetime
    ) -> None:
        """Adds a document."""
        described = {"text": document.name, "type": document.media_type}
        await self._add(connection, RecordKind.DOCUMENT, described, document.content, author=author, now=now)

    async def list(self, connection: AsyncConnection) -> Sequence[Record]:
        """Lists notes and documents, the newest first."""
        rows = await connection.execute(_LIST, {"agency": self.agency, "referral_id": self.referral_id})
        return [
            Record(
                row.record_id,
                RecordKind(row.kind),
                row.author,
                row.written_at,
                self._describe(row.record_id, row.content)["text"],
            )
            for row in rows
        ]

    async def find_document(self, connection: AsyncConnection, record_id: UUID) -> Document | None:
        """Finds a document of this referral; None for any other."""
        bound = {"record_id": record_id, "agency": self.agency, "referral_id": self.referral_id}
        row = (await connection.execute(_FIND, bound)).one_or_none()
        if row is None:
            return None
        described = self._describe(record_id, row.content)
        content = decrypt(row.attachment, self.ring, associated_data=f"attachment:{record_id}")
        return Document(described["text"], described["type"], content)

    async def delete(self, connection: AsyncConnection) -> None:
        """Deletes everything, when the agency has to stop working with the child's data."""
        await connection.execute(_DELETE, {"agency": self.agency, "referral_id": self.referral_id})

    async def _add(
        self,
        connection: AsyncConnection,
        kind: RecordKind,
        described: dict[str, str],
        attachment: bytes | None,
        *,
        author: UUID,
        now: datetime,
    ) -> None:
        record_id = uuid4()
        content = json.dumps(described).encode()
        sealed = attachment and encrypt(attachment, self.ring, associated_data=f"attachment:{record_id}")
        values = {
            "record_id": record_id,
            "agency": self.agency,
            "referral_id": self.referral_id,
            "kind": kind.value,
            "author": author,
            "written_at": now,
            "attachment": sealed,
            "content": encrypt(content, self.ring, associated_data=f"record:{record_id}"),
        }
        await connection.execute(_ADD, values)

    def _describe(self, record_id: UUID, content: bytes) -> Any:
        return json.loads(decrypt(content, self.ring, associated_data=f"record:{record_id}"))
