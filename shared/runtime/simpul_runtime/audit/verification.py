"""Verifies an audit: recomputes every digest and hash, and names the first place of each contradiction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_runtime.audit.chain import GENESIS
from simpul_runtime.audit.entries import StoredEntry, compute_block_hash
from simpul_runtime.audit.queries import AuditFilter, stream_entries
from simpul_seal import SignedHead

_HEAD: Final = text("SELECT position, hash FROM audit_head")
MAX_BLOCK: Final = 20_000
"""Entries of one transaction; a longer block is a change of its column."""

MAX_GUESSES: Final = 64
"""Entries whose stated block is tried after that of the first entry."""


class AuditFault(StrEnum):
    """What contradicts the chain."""

    CONTENT_CHANGED = "content_changed"
    """The content of an entry, or its digest, is not what was written."""
    LINK_CHANGED = "link_changed"
    """The block or the hash of an entry is not that of its transaction."""
    ENTRIES_MISSING = "entries_missing"
    """Entries were deleted, or an entry was moved."""
    BLOCK_CHANGED = "block_changed"
    """Entries and digests of a transaction were changed together, reordered or invented."""
    END_MISSING = "end_missing"
    """Entries at the end were deleted, or the head was changed."""
    REWRITTEN = "rewritten"
    """The chain is consistent, but others hold a signed head that it never had."""


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """A contradiction and where it is."""

    fault: AuditFault
    position: int
    """The first entry that is affected; for REWRITTEN the first entry after the last head that agrees."""


@dataclass(frozen=True, slots=True)
class VerifiedAudit:
    """The outcome."""

    entries: int
    problems: tuple[AuditProblem, ...]


async def verify_audit(connection: AsyncConnection, witnessed: Sequence[SignedHead] = ()) -> VerifiedAudit:
    """Verifies the whole audit of a service, and that it once had each witnessed head."""
    head = (await connection.execute(_HEAD)).one_or_none() or (0, b"")
    position, head_hash = int(head[0]), bytes(head[1])
    chain = _Chain((position, head_hash))
    count = 0
    problems: list[AuditProblem] = []
    pending: list[StoredEntry] = []
    async for entry in stream_entries(connection, AuditFilter()):
        count += 1
        pending.append(entry)
        if len(pending) > MAX_BLOCK:
            pending, found = chain.consume(pending, is_complete=False)
            problems += found
    _, found = chain.consume(pending, is_complete=True)
    problems += found
    if (position, head_hash) != (chain.position, chain.hash):
        problems.append(AuditProblem(AuditFault.END_MISSING, min(position, chain.position) + 1))
    problems += chain.find_contradicted(witnessed)
    return VerifiedAudit(count, tuple(problems))


class _Chain:
    """Follows the chain block by block."""

    def __init__(self, head: tuple[int, bytes]) -> None:
        self._head = head
        self.position = 0
        self.hash = GENESIS
        self._hashes = {GENESIS: 0}
        """Hash of each block -> its last position."""

    def consume(self, entries: list[StoredEntry], *, is_complete: bool) -> tuple[list[StoredEntry], list[AuditProblem]]:
        """Verifies whole blocks; returns what may belong to a block that is not complete yet, and the problems."""
        problems: list[AuditProblem] = []
        start = 0
        while start < len(entries) and (is_complete or len(entries) - start > MAX_BLOCK // 2):
            size, found = self._verify_block(entries, start)
            problems += found
            start += size
        return entries[start:], problems

    def _verify_block(self, entries: list[StoredEntry], start: int) -> tuple[int, list[AuditProblem]]:
        """Verifies the block that starts here; returns its size."""
        first = entries[start]
        problems = []
        if first.position != self.position + 1:
            problems.append(AuditProblem(AuditFault.ENTRIES_MISSING, min(first.position, self.position + 1)))
            self.position = first.position - 1
        for size, uses_stored in self._candidates(entries, start):
            block = entries[start : start + size]
            digests = [one.digest if uses_stored else one.compute_digest() for one in block]
            computed = compute_block_hash(self.hash, self.position, digests)
            if any(one.hash == computed for one in block):
                problems += _find_changed(block, computed)
                self._advance(block[-1].position, computed)
                return size, problems
        return self._locate_change(entries, start, problems)

    def _locate_change(
        self, entries: list[StoredEntry], start: int, problems: list[AuditProblem]
    ) -> tuple[int, list[AuditProblem]]:
        """Finds what contradicts a block of which no entry has the expected hash; returns its size and the problems."""
        block = entries[start : start + _stated_size(entries, start)]
        first, last = block[0], block[-1]
        computed = compute_block_hash(self.hash, self.position, [one.digest for one in block])
        if self._continues(entries, start + len(block), last.position, computed):
            self._advance(last.position, computed)
            return len(block), [*problems, *_find_changed(block, computed)]
        missing = _find_missing(block)
        if missing:
            problems.append(AuditProblem(AuditFault.ENTRIES_MISSING, missing[0]))
        if not problems:
            # After missing entries the hash cannot agree, so only the gap is named.
            problems.append(AuditProblem(AuditFault.BLOCK_CHANGED, first.position))
        changed = (one.position for one in block if one.digest != one.compute_digest())
        problems += [AuditProblem(AuditFault.CONTENT_CHANGED, position) for position in changed]
        self._advance(max([last.position, *missing]), last.hash)
        return len(block), problems

    def _continues(self, entries: list[StoredEntry], start: int, position: int, block_hash: bytes) -> bool:
        """Whether the next block, or the head after the last one, builds on this hash."""
        if start == len(entries):
            return self._head == (position, block_hash)
        next_block = entries[start : start + _stated_size(entries, start)]
        expected = compute_block_hash(block_hash, position, [one.digest for one in next_block])
        return any(one.hash == expected for one in next_block)

    def _candidates(self, entries: list[StoredEntry], start: int) -> Iterator[tuple[int, bool]]:
        """Yields possible sizes of the block, first the stated one; a changed entry may state another."""
        left = len(entries) - start
        stated = _stated_size(entries, start)
        yield stated, True
        yield stated, False
        for offset in range(min(left, MAX_GUESSES)):
            size = entries[start + offset].block - entries[start].position + 1
            for guess in {size, offset + 1} - {stated}:
                if 0 < guess <= left:
                    yield guess, True

    def _advance(self, position: int, block_hash: bytes) -> None:
        self.position, self.hash = position, block_hash
        self._hashes[block_hash] = position

    def find_contradicted(self, witnessed: Sequence[SignedHead]) -> Iterator[AuditProblem]:
        """Yields a problem for the first witnessed head that the chain never had."""
        agreed = 0
        for head in sorted(witnessed, key=lambda one: one.before):
            if head.hash not in self._hashes:
                yield AuditProblem(AuditFault.REWRITTEN, agreed + 1)
                return
            agreed = max(agreed, self._hashes[head.hash])


def _stated_size(entries: list[StoredEntry], start: int) -> int:
    """Returns how many of the entries belong together according to the first one; 1 if that cannot be."""
    last = entries[start].block
    size = 0
    while start + size < len(entries) and entries[start + size].position <= last and size <= MAX_BLOCK:
        size += 1
    return max(size, 1)


def _find_missing(block: Sequence[StoredEntry]) -> list[int]:
    """Returns the positions that the first entry of a block states and that no entry has."""
    present = {one.position for one in block}
    last = min(block[0].block, block[0].position + MAX_BLOCK)
    return [position for position in range(block[0].position, last + 1) if position not in present]


def _find_changed(block: Sequence[StoredEntry], computed: bytes) -> Iterator[AuditProblem]:
    last = block[-1].position
    for number, entry in enumerate(block, last - len(block) + 1):
        if entry.digest != entry.compute_digest():
            yield AuditProblem(AuditFault.CONTENT_CHANGED, entry.position)
        if entry.hash != computed or entry.block != last:
            yield AuditProblem(AuditFault.LINK_CHANGED, entry.position)
        if entry.position != number:
            yield AuditProblem(AuditFault.ENTRIES_MISSING, number)
