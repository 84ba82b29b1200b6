"""Counted failures of logins."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_desk.access.login_limits import FORGET_AFTER, Failures, LimitSubject

_LOCK: Final = text("""
    INSERT INTO login_limit (subject, failures, last_failed_at) VALUES (:subject, 0, :now)
    ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject
    RETURNING failures, last_failed_at, blocked_until
""")
_WRITE: Final = text("""
    UPDATE login_limit SET failures = :count, last_failed_at = :last_failed_at, blocked_until = :blocked_until
    WHERE subject = :subject
""")
_DELETE: Final = text("DELETE FROM login_limit WHERE subject = :subject")
# Rows that another attempt has locked are left for the next one.
_DELETE_OLD: Final = text("""
    DELETE FROM login_limit WHERE subject = ANY (ARRAY(
        SELECT subject FROM login_limit WHERE last_failed_at < :before LIMIT 100 FOR UPDATE SKIP LOCKED))
""")


async def count_attempt(connection: AsyncConnection, subjects: Sequence[LimitSubject], now: datetime) -> timedelta:
    """Counts an attempt as failed before it is made, so that many at once are counted too; returns the wait.

    An attempt that has to wait is not counted.
    """
    found = [(subject, await _lock(connection, subject, now)) for subject in subjects]
    wait = max(failures.wait(now) for _, failures in found)
    if wait:
        return wait
    for subject, failures in found:
        await _write(connection, subject, failures.add(subject.policy, now))
    await connection.execute(_DELETE_OLD, {"before": now - 2 * FORGET_AFTER})
    return wait


async def forgive_attempt(connection: AsyncConnection, subjects: Sequence[LimitSubject], now: datetime) -> None:
    """Takes back an attempt that succeeded; what is counted for one person in one place begins at zero."""
    for subject in subjects:
        if subject.is_personal:
            await connection.execute(_DELETE, {"subject": subject.digest})
        else:
            await _write(connection, subject, (await _lock(connection, subject, now)).remove())


async def _lock(connection: AsyncConnection, subject: LimitSubject, now: datetime) -> Failures:
    return Failures(*(await connection.execute(_LOCK, {"subject": subject.digest, "now": now})).one())


async def _write(connection: AsyncConnection, subject: LimitSubject, failures: Failures) -> None:
    bound = {
        "subject": subject.digest,
        "count": failures.count,
        "last_failed_at": failures.last_failed_at,
        "blocked_until": failures.blocked_until,
    }
    await connection.execute(_WRITE, bound)
