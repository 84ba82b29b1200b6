"""The table `parked`: messages that could not be processed, encrypted, until an operator replays them."""

from collections.abc import Sequence
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_runtime.inbox.kept_messages import decrypt_delivery, encrypt_delivery, mask_routing_key
from simpul_runtime.inbox.verification import Delivery, RejectedDelivery
from simpul_runtime.metrics import MESSAGES_PARKED
from simpul_runtime.signing import Keys

MAX_TEXT_LENGTH: Final = 1000

log = structlog.get_logger()

_PARK = text("""
    INSERT INTO parked (digest, reason, detail, exchange, routing_key, body)
    VALUES (:digest, :reason, :detail, :exchange, :routing_key, :body)
    ON CONFLICT (digest) DO UPDATE SET times = parked.times + 1, last_at = now(), reason = excluded.reason,
        detail = excluded.detail, replay_at = NULL
""")
_TAKE_REPLAYS = text("""
    DELETE FROM parked WHERE digest = ANY (ARRAY(
        SELECT digest FROM parked WHERE replay_at IS NOT NULL ORDER BY replay_at LIMIT :limit FOR UPDATE SKIP LOCKED))
    RETURNING digest, body, signature, exchange, routing_key
""")
_CANCEL_NEXT_REPLAY = text("""
    UPDATE parked SET replay_at = NULL WHERE digest = ANY (ARRAY(
        SELECT digest FROM parked WHERE replay_at IS NOT NULL ORDER BY replay_at LIMIT 1 FOR UPDATE SKIP LOCKED))
""")


async def park_message(connection: AsyncConnection, keys: Keys, rejected: RejectedDelivery) -> None:
    """Parks a message with its reason."""
    MESSAGES_PARKED.labels(rejected.reason).inc()
    log.error("message_parked", reason=rejected.reason, exchange=rejected.delivery.exchange)
    delivery, digest = rejected.delivery, rejected.delivery.parked_digest
    await connection.execute(
        _PARK,
        {
            "digest": digest,
            "reason": rejected.reason.value,
            "detail": _to_storable_text(rejected.detail),
            "exchange": _to_storable_text(delivery.exchange),
            "routing_key": _to_storable_text(mask_routing_key(delivery)),
            "body": encrypt_delivery(delivery, keys, row=_row(digest)),
        },
    )


async def take_replays(connection: AsyncConnection, keys: Keys, limit: int) -> Sequence[Delivery]:
    """Removes and returns messages that an operator wants to replay; raises NotForUs if one was altered."""
    taken = await connection.execute(_TAKE_REPLAYS, {"limit": limit})
    return [decrypt_delivery(Delivery(*stored), keys, row=_row(digest)) for digest, *stored in taken]


def _row(digest: bytes) -> str:
    return f"parked|{digest.hex()}"


async def cancel_next_replay(connection: AsyncConnection) -> int:
    """Leaves the next message parked, because its replay cannot be stored; returns 0 if there is none."""
    return (await connection.execute(_CANCEL_NEXT_REPLAY)).rowcount


def _to_storable_text(value: str) -> str:
    """Removes what PostgreSQL's text cannot hold: NUL and lone surrogates, which a sender may use."""
    return value.replace("\0", "").encode(errors="replace").decode()[:MAX_TEXT_LENGTH]
