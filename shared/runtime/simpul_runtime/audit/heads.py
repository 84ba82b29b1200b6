"""Signs the head of a service's audit at full hours, and states earlier heads again.

Each statement is computed from the entries as they are now. So a history that was rewritten is stated again, and
contradicts what others keep; see `simpul_seal.audit_heads`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import DateTime

from simpul_runtime.audit.chain import GENESIS
from simpul_runtime.audit.queries import AUDIT
from simpul_runtime.signing import Keys
from simpul_seal import HEAD_INTERVAL, SignedHead, make_head

SETTLE_TIME: Final = timedelta(minutes=5)
"""A transaction that began before the full hour has ended by then, so that the head of that hour changes no more."""
REPEATED_HOURS: Final = 12
REPEATED_DAYS: Final = 14
"""Full hours and midnights whose heads are stated again: whoever was away for a shift or a fortnight compares them."""

# By time: an index on positions would be searched from its end. An entry's time is that of the beginning of its
# transaction, so that among entries of about one time the last one is that of the greatest position. A moment before
# which nothing happened has the head of an earlier moment, and is stated, too: otherwise nobody would notice that all
# entries of some hours were deleted.
_EARLIER: Final = text("""
    WITH newest AS (
        SELECT m.moment, (SELECT a.at FROM audit a WHERE a.at < m.moment ORDER BY a.at DESC LIMIT 1) AS at
        FROM unnest(:moments) AS m (moment)),
    ended AS (
        SELECT n.moment, (
            SELECT max(a.position + 0) FROM audit a WHERE a.at >= n.at - interval '1 hour' AND a.at <= n.at
        ) AS position FROM newest n)
    SELECT e.moment, a.hash FROM ended e LEFT JOIN audit a USING (position) ORDER BY e.moment
""").bindparams(bindparam("moments", type_=ARRAY(DateTime(timezone=True))))


def head_moment(now: datetime) -> datetime:
    """Returns the full hour whose head is published now."""
    return (now - SETTLE_TIME).replace(minute=0, second=0, microsecond=0)


async def sign_head(connection: AsyncConnection, keys: Keys, now: datetime) -> SignedHead:
    """Signs the head as it was at the last full hour: the same for everybody who asks within an hour."""
    before = head_moment(now)
    last = select(AUDIT.c.hash).where(AUDIT.c.at < before).order_by(AUDIT.c.position.desc()).limit(1)
    found = (await connection.execute(last)).scalar_one_or_none() or GENESIS
    return make_head(keys.party, before, found, _signer(keys, now))


async def sign_earlier_heads(connection: AsyncConnection, keys: Keys, now: datetime) -> list[SignedHead]:
    """States the heads of earlier hours and days again, from the entries as they are now; the oldest first."""
    rows = await connection.execute(_EARLIER, {"moments": list_repeated_moments(head_moment(now))})
    sign = _signer(keys, now)
    return [make_head(keys.party, moment, hash_ or GENESIS, sign) for moment, hash_ in rows]


def list_repeated_moments(before: datetime) -> Sequence[datetime]:
    """Lists the moments before this one whose heads are stated again, each once."""
    midnight = before.replace(hour=0)
    hours = [before - number * HEAD_INTERVAL for number in range(1, REPEATED_HOURS + 1)]
    days = [midnight - timedelta(days=number) for number in range(REPEATED_DAYS)]
    return sorted({*hours, *days} - {before})


def _signer(keys: Keys, now: datetime) -> Callable[[bytes], str]:
    return lambda body: keys.sign(body, now)
