"""Appends entries: one statement for a transaction, whatever their number.

The head of the chain is locked from this statement until the commit, which follows at once. So it must be the last
statement of a transaction; two transactions then never wait for one another in a circle.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import LargeBinary, Text

from simpul_runtime.audit.entries import AuditEntry, prepare_entry

GENESIS: Final = bytes(32)
"""The hash before the first block."""

_TEXTS: Final = ("actors", "roles", "actions", "subjects", "details")
_BYTES: Final = ("salts", "commitments", "digests")
_APPEND: Final = text("""
    WITH head AS (
        UPDATE audit_head SET position = position + CAST(:count AS bigint),
            hash = sha256(hash || int8send(position) || CAST(:content AS bytea))
        RETURNING position, hash)
    INSERT INTO audit (position, block, at, actor, role, action, subject, detail, salt, commitment, digest, hash)
    SELECT h.position - CAST(:count AS bigint) + e.number, h.position, CAST(:at AS timestamptz),
        e.actor, e.role, e.action, e.subject, e.detail, e.salt, e.commitment, e.digest, h.hash
    FROM head h CROSS JOIN unnest(:actors, :roles, :actions, :subjects, :details, :salts, :commitments, :digests)
        WITH ORDINALITY AS e (actor, role, action, subject, detail, salt, commitment, digest, number)
""").bindparams(
    *(bindparam(name, type_=ARRAY(Text)) for name in _TEXTS),
    *(bindparam(name, type_=ARRAY(LargeBinary)) for name in _BYTES),
)


async def append_entries(connection: AsyncConnection, entries: Sequence[AuditEntry], now: datetime) -> None:
    """Appends the entries of a transaction; must be its last statement."""
    if not entries:
        return
    prepared = [prepare_entry(entry, now) for entry in entries]
    await connection.execute(
        _APPEND,
        {
            "count": len(prepared),
            "content": sha256(b"".join(one.digest for one in prepared)).digest(),
            "at": now,
            "actors": [one.actor for one in prepared],
            "roles": [one.role for one in prepared],
            "actions": [one.action for one in prepared],
            "subjects": [one.subject for one in prepared],
            "details": [one.detail for one in prepared],
            "salts": [one.salt for one in prepared],
            "commitments": [one.commitment for one in prepared],
            "digests": [one.digest for one in prepared],
        },
    )
