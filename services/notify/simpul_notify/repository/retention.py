"""Removes what notify knows about messages once nobody needs it any more."""

from datetime import timedelta

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Uuid

from simpul_notify.repository import reach_checks, roster_changes
from simpul_runtime.transaction import Transaction

# A case is forgotten as a whole, so that the log of one that still runs has no holes.
_FIND_EXPIRED_CASES = text("""
    SELECT a.case_id FROM alert a GROUP BY a.case_id
    HAVING max(a.created_at) < :before AND NOT bool_or(a.state = 'pending')
        AND NOT EXISTS (SELECT FROM escalation e WHERE e.case_id = a.case_id
            AND (e.state = 'open' OR e.opened_at >= :before))
    LIMIT :limit
""")
_DELETE_SERVICES = text("""
    DELETE FROM referral_service r USING alert a WHERE a.case_id = ANY(:cases) AND r.service_id = ANY(a.services)
        AND NOT EXISTS (SELECT FROM alert n WHERE n.case_id = a.case_id AND r.service_id = ANY(n.services)
            AND (n.state = 'pending' OR n.created_at >= :before))
""").bindparams(bindparam("cases", type_=ARRAY(Uuid)))
_DELETE_DEADLINES = text("""
    DELETE FROM met_deadline m USING alert a WHERE a.case_id = ANY(:cases) AND m.service_id = ANY(a.services)
        AND NOT EXISTS (SELECT FROM alert n WHERE n.case_id = a.case_id AND m.service_id = ANY(n.services)
            AND (n.state = 'pending' OR n.created_at >= :before))
""").bindparams(bindparam("cases", type_=ARRAY(Uuid)))
# Exclusions stay: a case can have news years after its last alert, and no excluded party may learn of it (R6).
_DELETE_OF_CASES = [
    text(f"DELETE FROM {table} WHERE case_id = ANY(:cases) AND {is_old}").bindparams(  # noqa: S608 - constants
        bindparam("cases", type_=ARRAY(Uuid))
    )
    # What was added after the search has not expired.
    for table, is_old in (
        ("escalation", "state <> 'open' AND opened_at < :before"),
        ("alert", "state <> 'pending' AND created_at < :before"),
    )
]
# Its deliveries go with it. A message that carries alerts of several cases stays as long as one of them.
_DELETE_NOTIFICATIONS = text("""
    DELETE FROM notification WHERE notification_id = ANY (ARRAY(
        SELECT n.notification_id FROM notification n
        WHERE n.created_at < :before AND NOT EXISTS (SELECT FROM alert a WHERE a.alert_id = ANY(n.alerts))
        LIMIT :limit))
""")


async def delete_expired(transaction: Transaction, kept_for: timedelta, limit: int) -> int:
    """Deletes the log of at most `limit` cases that ended before `kept_for`, and their messages.

    Returns the number of cases and messages; 0 when nothing is left to delete.
    """
    before = transaction.now - kept_for
    values = {"before": before, "limit": limit}
    cases = list((await transaction.connection.execute(_FIND_EXPIRED_CASES, values)).scalars())
    if cases:
        for statement in (_DELETE_SERVICES, _DELETE_DEADLINES, *_DELETE_OF_CASES):
            await transaction.connection.execute(statement, {"cases": cases, "before": before})
    await reach_checks.delete_checks(transaction, before)
    await roster_changes.delete_ended_changes(transaction, before)
    return len(cases) + (await transaction.connection.execute(_DELETE_NOTIFICATIONS, values)).rowcount
