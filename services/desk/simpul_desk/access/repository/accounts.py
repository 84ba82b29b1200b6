"""Accounts, their roles, and the links by which people set a password."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from simpul_desk.access.session import hash_secret
from simpul_desk.access.user import Role
from simpul_desk.tables import AccountRoleRow, OneTimeLinkRow, RecoveryRow

_FIND_LOGIN: Final = text(
    "SELECT account_id, password_hash FROM account WHERE login_name = :login_name AND disabled_at IS NULL"
)
_FIND_PASSWORD: Final = text("SELECT login_name, name, password_hash FROM account WHERE account_id = :account_id")
_ADD: Final = text("""
    INSERT INTO account (account_id, login_name, name, language, created_at)
    VALUES (:account_id, :login_name, :name, :language, :now) ON CONFLICT (login_name) DO NOTHING
""")
_FIND_AUTHENTICATOR: Final = text("SELECT login_name, totp_secret FROM account WHERE account_id = :account_id")
_HAS_SUBJECT: Final = text("SELECT external_subject IS NOT NULL FROM account WHERE account_id = :account_id")
_FIND_SUBJECT: Final = text("""
    SELECT account_id FROM account
    WHERE external_subject = :subject AND disabled_at IS NULL AND password_hash IS NOT NULL
""")
_SET_SUBJECT: Final = text("""
    UPDATE account SET external_subject = :subject WHERE account_id = :account_id
        AND NOT EXISTS (SELECT 1 FROM account o WHERE o.external_subject = :subject AND o.account_id <> :account_id)
""").bindparams(bindparam("subject", type_=Text))
_SET_PASSWORD: Final = text("UPDATE account SET password_hash = :password_hash WHERE account_id = :account_id")
_SET_LANGUAGE: Final = text("UPDATE account SET language = :language WHERE account_id = :account_id")
_SET_AUTHENTICATOR: Final = text(
    "UPDATE account SET totp_secret = :totp_secret, totp_step = :totp_step WHERE account_id = :account_id"
)
_USE_CODE: Final = text(
    "UPDATE account SET totp_step = :totp_step WHERE account_id = :account_id AND totp_step < :totp_step"
)
_FIND_LINK: Final = text("""
    SELECT l.account_id, l.purpose, a.login_name, a.name, a.language
    FROM one_time_link l JOIN account a USING (account_id)
    WHERE l.secret_hash = :secret_hash AND l.expires_at > :now AND a.disabled_at IS NULL
    FOR UPDATE
""")
_DELETE_LINKS: Final = text("DELETE FROM one_time_link WHERE account_id = :account_id")
_DELETE_RECOVERIES: Final = text("DELETE FROM recovery WHERE account_id = :account_id")
_CLOSE: Final = text("UPDATE account SET disabled_at = :now WHERE account_id = :account_id")
_REMOVE_ROLE: Final = text(
    "DELETE FROM account_role WHERE account_id = :account_id AND agency = :agency AND role = :role"
)
_LIST_ROLES: Final = text("SELECT agency, role FROM account_role WHERE account_id = :account_id ORDER BY agency, role")
_MEMBERS: Final = text("""
    SELECT a.account_id, a.login_name, a.name, r.agency, r.role, a.totp_secret IS NOT NULL AS has_signed_in,
        (SELECT max(s.last_seen_at) FROM session s WHERE s.account_id = a.account_id) AS last_seen_at,
        EXISTS (SELECT 1 FROM recovery c WHERE c.account_id = a.account_id AND c.expires_at > :now
            AND c.confirmed_by IS NULL) AS is_recovering
    FROM account_role r JOIN account a USING (account_id)
    WHERE a.disabled_at IS NULL AND r.role = ANY(:roles) AND (r.agency = ANY(:agencies) OR :everywhere)
    ORDER BY r.agency, a.name
""").bindparams(bindparam("roles", type_=ARRAY(Text)), bindparam("agencies", type_=ARRAY(Text)))
_RECOVERIES: Final = text("""
    SELECT c.recovery_id, c.account_id, c.agency, c.started_by, c.expires_at, a.name, s.name AS started_by_name,
        c.confirmed_by
    FROM recovery c JOIN account a USING (account_id) JOIN account s ON s.account_id = c.started_by
    WHERE c.expires_at > :now AND a.disabled_at IS NULL AND s.disabled_at IS NULL ORDER BY c.expires_at
""")
_CONFIRM_RECOVERY: Final = text("UPDATE recovery SET confirmed_by = :confirmed_by WHERE recovery_id = :recovery_id")


class LinkPurpose(StrEnum):
    """What a one-time link is for."""

    INVITATION = "invitation"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is still good, and whose it is."""

    account_id: UUID
    purpose: LinkPurpose
    login_name: str
    name: str
    language: str


@dataclass(frozen=True, slots=True)
class Member:
    """A person with a role in an agency, as whoever manages them sees it."""

    account_id: UUID
    login_name: str
    name: str
    agency: str
    role: Role
    has_signed_in: bool
    """False until the invitation is accepted."""
    last_seen_at: datetime | None
    is_recovering: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery that waits for a second person, or then for whoever started it to take the link."""

    recovery_id: UUID
    account_id: UUID
    agency: str
    started_by: UUID
    expires_at: datetime
    name: str
    started_by_name: str
    confirmed_by: UUID | None
    """The second person; None while it waits for one."""


async def find_login(connection: AsyncConnection, login_name: str) -> tuple[UUID | None, str | None]:
    """Finds account and password hash of a login name; None for an account that does not exist or has none."""
    found = (await connection.execute(_FIND_LOGIN, {"login_name": login_name})).one_or_none()
    return (found.account_id, found.password_hash) if found else (None, None)


async def find_account(connection: AsyncConnection, login_name: str) -> UUID | None:
    """Finds the open account of a login name, whether it has a password or not."""
    return (await find_login(connection, login_name))[0]


async def load_password(connection: AsyncConnection, account_id: UUID) -> tuple[str, str, str | None]:
    """Loads login name, name and password hash of an account."""
    found = (await connection.execute(_FIND_PASSWORD, {"account_id": account_id})).one()
    return found.login_name, found.name, found.password_hash


async def load_authenticator(connection: AsyncConnection, account_id: UUID) -> tuple[str, bytes | None]:
    """Loads login name and encrypted key of the authenticator of an account."""
    found = (await connection.execute(_FIND_AUTHENTICATOR, {"account_id": account_id})).one()
    return found.login_name, found.totp_secret


async def has_subject(connection: AsyncConnection, account_id: UUID) -> bool:
    """Whether an account is connected with a person of the provider."""
    found: bool = (await connection.execute(_HAS_SUBJECT, {"account_id": account_id})).scalar_one()
    return found


async def find_subject(connection: AsyncConnection, subject: str) -> UUID | None:
    """Finds the open account that is connected with a person of the provider."""
    found: UUID | None = (await connection.execute(_FIND_SUBJECT, {"subject": subject})).scalar_one_or_none()
    return found


async def set_subject(connection: AsyncConnection, account_id: UUID, subject: str | None) -> bool:
    """Connects an account with a person of the provider, or with nobody; False if another account has them."""
    return (await connection.execute(_SET_SUBJECT, {"account_id": account_id, "subject": subject})).rowcount == 1


async def add_account(
    connection: AsyncConnection, account_id: UUID, *, login_name: str, name: str, language: str, now: datetime
) -> bool:
    """Adds an account; False if the login name is taken."""
    bound = {"account_id": account_id, "login_name": login_name, "name": name, "language": language, "now": now}
    return (await connection.execute(_ADD, bound)).rowcount == 1


async def set_password(connection: AsyncConnection, account_id: UUID, password_hash: str) -> None:
    """Replaces the password."""
    await connection.execute(_SET_PASSWORD, {"account_id": account_id, "password_hash": password_hash})


async def set_language(connection: AsyncConnection, account_id: UUID, language: str) -> None:
    """Replaces the language."""
    await connection.execute(_SET_LANGUAGE, {"account_id": account_id, "language": language})


async def set_authenticator(
    connection: AsyncConnection, account_id: UUID, totp_secret: bytes | None, totp_step: int = 0
) -> None:
    """Replaces or removes the authenticator; `totp_step` is that of the code which proved it."""
    bound = {"account_id": account_id, "totp_secret": totp_secret, "totp_step": totp_step}
    await connection.execute(_SET_AUTHENTICATOR, bound)


async def use_code(connection: AsyncConnection, account_id: UUID, totp_step: int) -> bool:
    """Records that a code was used; False if it or a later one was used before."""
    used = await connection.execute(_USE_CODE, {"account_id": account_id, "totp_step": totp_step})
    return used.rowcount == 1


async def add_link(
    connection: AsyncConnection, account_id: UUID, secret: str, purpose: LinkPurpose, expires_at: datetime
) -> None:
    """Adds a one-time link; earlier ones of the account end."""
    await delete_links(connection, account_id)
    row = {
        "secret_hash": hash_secret(secret),
        "account_id": account_id,
        "purpose": purpose.value,
        "expires_at": expires_at,
    }
    await connection.execute(insert(OneTimeLinkRow), [row])


async def find_link(connection: AsyncConnection, secret: str, now: datetime) -> Link | None:
    """Finds and locks a link; None if it was used, has expired or never existed."""
    found = (await connection.execute(_FIND_LINK, {"secret_hash": hash_secret(secret), "now": now})).one_or_none()
    if found is None:
        return None
    return Link(found.account_id, LinkPurpose(found.purpose), found.login_name, found.name, found.language)


async def delete_links(connection: AsyncConnection, account_id: UUID) -> None:
    """Ends the links of an account."""
    await connection.execute(_DELETE_LINKS, {"account_id": account_id})


async def add_role(connection: AsyncConnection, account_id: UUID, agency: str, role: Role, now: datetime) -> None:
    """Gives a role to a person."""
    row = {"account_id": account_id, "agency": agency, "role": role.value, "granted_at": now}
    await connection.execute(insert(AccountRoleRow), [row])


async def remove_role(connection: AsyncConnection, account_id: UUID, agency: str, role: Role) -> bool:
    """Takes a role from a person; False if they do not have it."""
    bound = {"account_id": account_id, "agency": agency, "role": role.value}
    return (await connection.execute(_REMOVE_ROLE, bound)).rowcount == 1


async def list_roles(connection: AsyncConnection, account_id: UUID) -> Sequence[tuple[str, Role]]:
    """Lists the roles of a person with their agencies."""
    found = await connection.execute(_LIST_ROLES, {"account_id": account_id})
    return [(row.agency, Role(row.role)) for row in found]


async def close_account(connection: AsyncConnection, account_id: UUID, now: datetime) -> None:
    """Closes an account, which keeps its history."""
    await connection.execute(_CLOSE, {"account_id": account_id, "now": now})


async def list_members(
    connection: AsyncConnection, agencies: Collection[str], roles: Collection[Role], now: datetime, *, everywhere: bool
) -> Sequence[Member]:
    """Lists the people with these roles in these agencies, or everywhere."""
    bound = {
        "agencies": sorted(agencies),
        "roles": sorted(role.value for role in roles),
        "everywhere": everywhere,
        "now": now,
    }
    found = await connection.execute(_MEMBERS, bound)
    return [
        Member(
            row.account_id,
            row.login_name,
            row.name,
            row.agency,
            Role(row.role),
            row.has_signed_in,
            row.last_seen_at,
            row.is_recovering,
        )
        for row in found
    ]


async def add_recovery(
    connection: AsyncConnection,
    recovery_id: UUID,
    account_id: UUID,
    agency: str,
    started_by: UUID,
    expires_at: datetime,
) -> None:
    """Adds a recovery that waits for a second person; an earlier one of the account ends."""
    await delete_recoveries(connection, account_id)
    row = {
        "recovery_id": recovery_id,
        "account_id": account_id,
        "agency": agency,
        "started_by": started_by,
        "expires_at": expires_at,
    }
    await connection.execute(insert(RecoveryRow), [row])


async def list_recoveries(connection: AsyncConnection, now: datetime) -> Sequence[Recovery]:
    """Lists the recoveries whose link nobody has taken yet."""
    return [Recovery(*row) for row in await connection.execute(_RECOVERIES, {"now": now})]


async def confirm_recovery(connection: AsyncConnection, recovery_id: UUID, confirmed_by: UUID) -> None:
    """Records who is the second person of a recovery."""
    await connection.execute(_CONFIRM_RECOVERY, {"recovery_id": recovery_id, "confirmed_by": confirmed_by})


async def delete_recoveries(connection: AsyncConnection, account_id: UUID) -> None:
    """Ends the recoveries of an account."""
    await connection.execute(_DELETE_RECOVERIES, {"account_id": account_id})
