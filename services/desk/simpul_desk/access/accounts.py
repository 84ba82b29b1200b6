"""Invites people, and lets them set passwords by one-time links."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from simpul_desk.access import audit
from simpul_desk.access.errors import (
    AccountUnknown,
    LinkUnknown,
    LoginNameTaken,
    LoginRefused,
    RoleHeld,
    SubjectTaken,
    SubjectUnknown,
)
from simpul_desk.access.login_name import check_login_name, check_name, normalize_login_name
from simpul_desk.access.password import check_password
from simpul_desk.access.password_hashing import Passwords
from simpul_desk.access.recovery_code import new_codes, show_code
from simpul_desk.access.repository import accounts, passkeys, recovery_codes, sessions
from simpul_desk.access.repository.accounts import Link, LinkPurpose
from simpul_desk.access.repository.sessions import ListedSession
from simpul_desk.access.session import new_secret
from simpul_desk.access.transactions import Transaction, Transactions
from simpul_desk.access.user import AGENCY_ROLES, Role, User

INVITATION_LIFETIME: Final = timedelta(days=7)
RECOVERY_LIFETIME: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Invitation:
    """Who is invited, to what."""

    name: str
    login_name: str
    language: str
    agency: str
    role: Role


class Accounts:
    """Accounts, as their people and the operator change them."""

    def __init__(self, transactions: Transactions, passwords: Passwords) -> None:
        self._transactions = transactions
        self._passwords = passwords

    async def invite(self, invitation: Invitation, now: datetime, *, by: UUID | None = None) -> str:
        """Creates an account; returns the secret of the link by which its person sets a password.

        `by` is None for an operator. Raises LoginNameInvalid, LoginNameTaken and NameInvalid.
        """
        login_name, name = check_login_name(invitation.login_name), check_name(invitation.name)
        account_id, secret = uuid4(), new_secret()
        async with self._transactions.begin() as transaction:
            is_new = await accounts.add_account(
                transaction.connection,
                account_id,
                login_name=login_name,
                name=name,
                language=invitation.language,
                now=now,
            )
            if not is_new:
                raise LoginNameTaken
            await accounts.add_role(transaction.connection, account_id, invitation.agency, invitation.role, now)
            await accounts.add_link(
                transaction.connection, account_id, secret, LinkPurpose.INVITATION, now + INVITATION_LIFETIME
            )
            detail = f"{invitation.agency}:{invitation.role.value}"
            transaction.record(audit.account_changed(account_id, "invited", by, detail))
        return secret

    async def grant(self, login_name: str, agency: str, role: Role, now: datetime) -> None:
        """Gives a further role to a person, as an operator. Raises AccountUnknown and RoleHeld."""
        async with self._transactions.begin() as transaction:
            account_id = await _find_account(transaction, login_name)
            held = await accounts.list_roles(transaction.connection, account_id)
            in_agency = {one for code, one in held if code == agency}
            if role in in_agency or (role in AGENCY_ROLES and AGENCY_ROLES & in_agency):
                raise RoleHeld
            await accounts.add_role(transaction.connection, account_id, agency, role, now)
            transaction.record(audit.account_changed(account_id, "role_granted", None, f"{agency}:{role.value}"))

    async def recover(self, login_name: str, now: datetime) -> str:
        """Returns the secret of a link for a person whom an operator recovers. Raises AccountUnknown."""
        secret = new_secret()
        async with self._transactions.begin() as transaction:
            account_id = await _find_account(transaction, login_name)
            await accounts.add_link(
                transaction.connection, account_id, secret, LinkPurpose.RECOVERY, now + RECOVERY_LIFETIME
            )
            transaction.record(audit.account_changed(account_id, "recovery_confirmed", None))
        return secret

    async def close(self, login_name: str, now: datetime) -> None:
        """Closes an account, as an operator. Raises AccountUnknown."""
        async with self._transactions.begin() as transaction:
            account_id = await _find_account(transaction, login_name)
            await close_account(transaction, account_id, now)
            transaction.record(audit.account_changed(account_id, "closed", None))

    async def find_link(self, secret: str, now: datetime) -> Link:
        """Finds whose link it is; raises LinkUnknown."""
        async with self._transactions.begin() as transaction:
            return await _find_link(transaction, secret, now)

    async def set_password_by_link(self, secret: str, password: str, now: datetime) -> UUID:
        """Sets a password by a link, which ends with it; returns whose account it is.

        A recovery also ends every session and removes every other way in. Raises LinkUnknown and PasswordUnsuitable.
        """
        link = await self.find_link(secret, now)
        check_password(password, (link.name, link.login_name))
        hashed = await self._passwords.hash(password)
        async with self._transactions.begin() as transaction:
            link = await _find_link(transaction, secret, now)
            await accounts.set_password(transaction.connection, link.account_id, hashed)
            await accounts.delete_links(transaction.connection, link.account_id)
            await accounts.delete_recoveries(transaction.connection, link.account_id)
            await accounts.set_authenticator(transaction.connection, link.account_id, None)
            await passkeys.remove_passkeys(transaction.connection, link.account_id)
            await recovery_codes.delete_codes(transaction.connection, link.account_id)
            await accounts.set_subject(transaction.connection, link.account_id, None)
            await sessions.end_sessions(transaction.connection, link.account_id)
            await sessions.forget_devices(transaction.connection, link.account_id)
            what = "password_set" if link.purpose is LinkPurpose.INVITATION else "recovered"
            transaction.record(audit.account_changed(link.account_id, what, link.account_id))
        return link.account_id

    async def change_password(self, user: User, current: str, new: str) -> None:
        """Changes the password of a person, and ends their other sessions.

        Raises LoginRefused for a wrong current password, and PasswordUnsuitable.
        """
        login_name = await self.prove_password(user, current)
        check_password(new, (user.name, login_name))
        hashed = await self._passwords.hash(new)
        async with self._transactions.begin() as transaction:
            await accounts.set_password(transaction.connection, user.id, hashed)
            await sessions.end_sessions(transaction.connection, user.id, kept=user.session_id)
            await sessions.forget_devices(transaction.connection, user.id)
            transaction.record(audit.account_changed(user.id, "password_changed", user.id))

    async def prove_password(self, user: User, password: str) -> str:
        """Checks the password before a person changes how they sign in; returns their login name.

        Raises LoginRefused.
        """
        async with self._transactions.begin() as transaction:
            login_name, _, stored = await accounts.load_password(transaction.connection, user.id)
        if not await self._passwords.verify(password, stored):
            raise LoginRefused
        return login_name

    async def renew_recovery_codes(self, user: User, password: str) -> Sequence[str]:
        """Returns new codes on paper, which are shown once; earlier ones end. Raises LoginRefused."""
        await self.prove_password(user, password)
        codes = new_codes()
        async with self._transactions.begin() as transaction:
            await recovery_codes.replace_codes(transaction.connection, user.id, codes)
            transaction.record(audit.account_changed(user.id, "recovery_codes_renewed", user.id))
        return [show_code(code) for code in codes]

    async def count_recovery_codes(self, user: User) -> int:
        """Counts the codes on paper that a person has left."""
        async with self._transactions.begin() as transaction:
            return await recovery_codes.count_codes(transaction.connection, user.id)

    async def is_connected(self, user: User) -> bool:
        """Whether the account is connected with somebody at the city's provider."""
        async with self._transactions.begin() as transaction:
            return await accounts.has_subject(transaction.connection, user.id)

    async def find_by_subject(self, subject: str) -> UUID:
        """Finds the open account that is connected with a person of the provider; raises SubjectUnknown."""
        async with self._transactions.begin() as transaction:
            account_id = await accounts.find_subject(transaction.connection, subject)
        if account_id is None:
            raise SubjectUnknown
        return account_id

    async def connect(self, user: User, subject: str) -> None:
        """Connects an account with a person of the provider; raises SubjectTaken."""
        async with self._transactions.begin() as transaction:
            if not await accounts.set_subject(transaction.connection, user.id, subject):
                raise SubjectTaken
            transaction.record(audit.account_changed(user.id, "provider_connected", user.id))

    async def disconnect(self, user: User) -> None:
        """Ends the connection with the provider."""
        async with self._transactions.begin() as transaction:
            await accounts.set_subject(transaction.connection, user.id, None)
            transaction.record(audit.account_changed(user.id, "provider_disconnected", user.id))

    async def change_language(self, user: User, language: str) -> None:
        """Changes the language of a person."""
        async with self._transactions.begin() as transaction:
            await accounts.set_language(transaction.connection, user.id, language)

    async def list_sessions(self, user: User, now: datetime) -> Sequence[ListedSession]:
        """Lists where a person is signed in, the last used first."""
        async with self._transactions.begin() as transaction:
            return await sessions.list_sessions(transaction.connection, user.id, now)

    async def end_session(self, user: User, session_id: UUID) -> bool:
        """Ends one session of a person; False if they have none of this id."""
        async with self._transactions.begin() as transaction:
            has_ended = await sessions.end_session(transaction.connection, user.id, session_id)
            if has_ended:
                transaction.record(audit.account_changed(user.id, "session_ended", user.id, str(session_id)))
        return has_ended

    async def end_other_sessions(self, user: User) -> None:
        """Ends every session of a person but the one that they use."""
        async with self._transactions.begin() as transaction:
            count = await sessions.end_sessions(transaction.connection, user.id, kept=user.session_id)
            transaction.record(audit.account_changed(user.id, "sessions_ended", user.id, str(count)))


async def close_account(transaction: Transaction, account_id: UUID, now: datetime) -> None:
    """Closes an account: its sessions, links and recoveries end, its history stays."""
    await accounts.close_account(transaction.connection, account_id, now)
    await accounts.delete_links(transaction.connection, account_id)
    await accounts.delete_recoveries(transaction.connection, account_id)
    await sessions.end_sessions(transaction.connection, account_id)


async def _find_account(transaction: Transaction, login_name: str) -> UUID:
    account_id = await accounts.find_account(transaction.connection, normalize_login_name(login_name))
    if account_id is None:
        raise AccountUnknown
    return account_id


async def _find_link(transaction: Transaction, secret: str, now: datetime) -> Link:
    link = await accounts.find_link(transaction.connection, secret, now)
    if link is None:
        raise LinkUnknown
    return link
