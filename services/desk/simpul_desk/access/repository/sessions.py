"""Sessions and the browsers that accounts know."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from simpul_desk.access.session import IDLE_LIMIT, hash_secret, needs_touch
from simpul_desk.access.user import CITY_ROLES, Role, User
from simpul_desk.tables import KnownDeviceRow, SessionRow

_FIND_USER: Final = text("""
    SELECT s.session_id, s.last_seen_at, a.account_id, a.name, a.language,
        ARRAY(SELECT r.agency || ' ' || r.role FROM account_role r WHERE r.account_id = a.account_id ORDER BY 1) roles,
        ARRAY(SELECT e.case_id FROM case_exclusion e WHERE e.account_id = a.account_id) AS excluded
    FROM session s JOIN account a USING (account_id)
    WHERE s.secret_hash = :secret_hash AND s.is_complete AND a.disabled_at IS NULL
        AND s.expires_at > :now AND s.last_seen_at > :idle_since
""")
_TOUCH: Final = text("UPDATE session SET last_seen_at = greatest(last_seen_at, :now) WHERE session_id = :session_id")
_FIND_BEGUN: Final = text("""
    SELECT s.session_id, s.account_id, s.code_failures, a.login_name, a.name, a.language, a.totp_secret, a.totp_step
    FROM session s JOIN account a USING (account_id)
    WHERE s.secret_hash = :secret_hash AND NOT s.is_complete AND a.disabled_at IS NULL AND s.expires_at > :now
    FOR UPDATE
""")
_COUNT_CODE_FAILURE: Final = text("UPDATE session SET code_failures = code_failures + 1 WHERE session_id = :session_id")
_COMPLETE: Final = text("""
    UPDATE session SET secret_hash = :secret_hash, is_complete = true, last_seen_at = :now, expires_at = :expires_at
    WHERE session_id = :session_id
""")
_LIST: Final = text("""
    SELECT session_id, client, created_at, last_seen_at FROM session
    WHERE account_id = :account_id AND is_complete AND expires_at > :now AND last_seen_at > :idle_since
    ORDER BY last_seen_at DESC
""")
_END: Final = text("DELETE FROM session WHERE account_id = :account_id AND session_id = :session_id")
_END_OTHERS: Final = text(
    "DELETE FROM session WHERE account_id = :account_id AND session_id IS DISTINCT FROM CAST(:kept AS uuid)"
)
_DELETE_ENDED: Final = text("""
    DELETE FROM session WHERE session_id = ANY (ARRAY(
        SELECT session_id FROM session WHERE expires_at <= :now OR last_seen_at <= :idle_since
        LIMIT 100 FOR UPDATE SKIP LOCKED))
""")
_IS_KNOWN: Final = text("""
    SELECT 1 FROM known_device d JOIN account a USING (account_id)
    WHERE d.secret_hash = :secret_hash AND a.login_name = :login_name
""")
_FORGET_DEVICES: Final = text("DELETE FROM known_device WHERE account_id = :account_id")


@dataclass(frozen=True, slots=True)
class BegunSession:
    """A session whose password was right and whose second factor is not given yet."""

    session_id: UUID
    account_id: UUID
    code_failures: int
    login_name: str
    name: str
    language: str
    totp_secret: bytes | None
    totp_step: int


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as its person sees it."""

    session_id: UUID
    client: str
    created_at: datetime
    last_seen_at: datetime


async def find_user(connection: AsyncConnection, secret: str, now: datetime) -> User | None:
    """Finds who is signed in by the secret of a cookie, and writes that the session was used; None for nobody."""
    return await _find_user(connection, secret, now, is_use=True)


async def recall_user(connection: AsyncConnection, secret: str, now: datetime) -> User | None:
    """Finds who is signed in without prolonging the session; None for nobody."""
    return await _find_user(connection, secret, now, is_use=False)


async def _find_user(connection: AsyncConnection, secret: str, now: datetime, *, is_use: bool) -> User | None:
    bound = {"secret_hash": hash_secret(secret), "now": now, "idle_since": now - IDLE_LIMIT}
    found = (await connection.execute(_FIND_USER, bound)).one_or_none()
    if found is None:
        return None
    if is_use and needs_touch(found.last_seen_at, now):
        await connection.execute(_TOUCH, {"session_id": found.session_id, "now": now})
    return _read_user(found.account_id, found.name, found.language, found.roles, found.excluded, found.session_id)


def _read_user(
    account_id: UUID, name: str, language: str, roles: list[str], excluded: list[UUID], session_id: UUID
) -> User:
    held = [(agency, Role(role)) for agency, _, role in (entry.partition(" ") for entry in roles)]
    return User(
        id=account_id,
        name=name,
        language=language,
        session_id=session_id,
        excluded_cases=frozenset(excluded),
        memberships={agency: role for agency, role in held if role not in CITY_ROLES},
        city_roles={role: agency for agency, role in held if role in CITY_ROLES},
    )


async def begin_session(
    connection: AsyncConnection,
    session_id: UUID,
    account_id: UUID,
    secret: str,
    *,
    client: str,
    now: datetime,
    expires_at: datetime,
) -> None:
    """Adds a session that waits for its second factor, and deletes sessions that have ended."""
    await connection.execute(_DELETE_ENDED, {"now": now, "idle_since": now - IDLE_LIMIT})
    row = {
        "session_id": session_id,
        "account_id": account_id,
        "secret_hash": hash_secret(secret),
        "is_complete": False,
        "client": client,
        "created_at": now,
        "last_seen_at": now,
        "expires_at": expires_at,
    }
    await connection.execute(insert(SessionRow), [row])


async def find_begun_session(connection: AsyncConnection, secret: str, now: datetime) -> BegunSession | None:
    """Finds and locks a session that waits for its second factor; None if there is none."""
    bound = {"secret_hash": hash_secret(secret), "now": now}
    found = (await connection.execute(_FIND_BEGUN, bound)).one_or_none()
    return BegunSession(*found) if found else None


async def count_code_failure(connection: AsyncConnection, session_id: UUID) -> None:
    """Counts a wrong code of a session."""
    await connection.execute(_COUNT_CODE_FAILURE, {"session_id": session_id})


async def complete_session(
    connection: AsyncConnection, session_id: UUID, secret: str, *, now: datetime, expires_at: datetime
) -> None:
    """Makes a session complete, under a new secret."""
    bound = {"session_id": session_id, "secret_hash": hash_secret(secret), "now": now, "expires_at": expires_at}
    await connection.execute(_COMPLETE, bound)


async def list_sessions(connection: AsyncConnection, account_id: UUID, now: datetime) -> Sequence[ListedSession]:
    """Lists where a person is signed in, the last used first."""
    bound = {"account_id": account_id, "now": now, "idle_since": now - IDLE_LIMIT}
    return [ListedSession(*row) for row in await connection.execute(_LIST, bound)]


async def end_session(connection: AsyncConnection, account_id: UUID, session_id: UUID) -> bool:
    """Ends a session of an account; False if it has none of this id."""
    ended = await connection.execute(_END, {"account_id": account_id, "session_id": session_id})
    return ended.rowcount > 0


async def end_sessions(connection: AsyncConnection, account_id: UUID, *, kept: UUID | None = None) -> int:
    """Ends all sessions of an account but one; returns how many."""
    return (await connection.execute(_END_OTHERS, {"account_id": account_id, "kept": kept})).rowcount


async def is_known_device(connection: AsyncConnection, secret: str, login_name: str) -> bool:
    """Whether the browser with this secret has signed in to the account before."""
    bound = {"secret_hash": hash_secret(secret), "login_name": login_name}
    return (await connection.execute(_IS_KNOWN, bound)).first() is not None


async def add_known_device(connection: AsyncConnection, account_id: UUID, secret: str, now: datetime) -> None:
    """Remembers a browser that has signed in to an account."""
    row = {"secret_hash": hash_secret(secret), "account_id": account_id, "last_used_at": now}
    await connection.execute(insert(KnownDeviceRow), [row])


async def forget_devices(connection: AsyncConnection, account_id: UUID) -> None:
    """Forgets the browsers that an account knows."""
    await connection.execute(_FORGET_DEVICES, {"account_id": account_id})
