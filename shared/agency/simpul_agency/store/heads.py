"""The signed heads of the city's audits, which are only added: two heads that contradict each other are both kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select

from simpul_agency.drivers import Tables
from simpul_agency.store.tables import ACKNOWLEDGED_CONTRADICTION, WITNESSED_HEAD, insert_unless_known
from simpul_seal import ContradictedHead, SignedHead

_ADD: Final = insert_unless_known(WITNESSED_HEAD)
_ALL: Final = select(
    WITNESSED_HEAD.c.service,
    WITNESSED_HEAD.c.before,
    WITNESSED_HEAD.c.hash,
    WITNESSED_HEAD.c.body,
    WITNESSED_HEAD.c.signature,
).order_by(WITNESSED_HEAD.c.service, WITNESSED_HEAD.c.before, WITNESSED_HEAD.c.received_at)

_ACKNOWLEDGE: Final = insert_unless_known(ACKNOWLEDGED_CONTRADICTION)
_ACKNOWLEDGED: Final = select(ACKNOWLEDGED_CONTRADICTION.c.contradiction_id)


async def add_heads(tables: Tables, heads: Sequence[SignedHead], now: float) -> None:
    """Keeps heads, each once."""
    rows = {
        (head.service, head.before.isoformat(), head.hash.hex()): {
            "service": head.service,
            "before": head.before.isoformat(),
            "hash": head.hash.hex(),
            "body": head.body,
            "signature": head.signature,
            "received_at": now,
        }
        for head in heads
    }
    await tables.write(_ADD, list(rows.values()))


async def list_heads(tables: Tables) -> list[SignedHead]:
    """Lists the heads by service and moment; they were verified when they came."""
    return [
        SignedHead(service, datetime.fromisoformat(before), bytes.fromhex(hash_), bytes(body), signature)
        for service, before, hash_, body, signature in await tables.fetch(_ALL)
    ]


async def acknowledge(tables: Tables, contradictions: Sequence[ContradictedHead], now: float) -> None:
    """Records that a person has seen contradictions."""
    rows = [
        {
            "contradiction_id": one.compute_id(),
            "service": one.service,
            "before": one.before.isoformat(),
            "acknowledged_at": now,
        }
        for one in contradictions
    ]
    await tables.write(_ACKNOWLEDGE, rows)


async def list_acknowledged(tables: Tables) -> frozenset[str]:
    """Lists the ids of the contradictions that a person has seen."""
    return frozenset(str(contradiction_id) for (contradiction_id,) in await tables.fetch(_ACKNOWLEDGED))
