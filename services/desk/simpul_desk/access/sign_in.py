"""Signs people in, by password and authenticator, and out."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from simpul_desk.access import audit
from simpul_desk.access.authenticator import find_step, propose_secret
from simpul_desk.access.client import Client
from simpul_desk.access.emergency_access import list_unread
from simpul_desk.access.errors import CodeWrong, LoginBlocked, LoginRefused, SessionEnded
from simpul_desk.access.login_limits import LimitSubject, subjects_of
from simpul_desk.access.login_name import normalize_login_name
from simpul_desk.access.password_hashing import Passwords
from simpul_desk.access.recovery_code import read_code
from simpul_desk.access.repository import accounts, limits, recovery_codes, sessions
from simpul_desk.access.repository.sessions import BegunSession
from simpul_desk.access.session import ABSOLUTE_LIMIT, SECOND_FACTOR_LIMIT, hash_secret, new_secret
from simpul_desk.access.transactions import Transaction, Transactions
from simpul_desk.access.user import User
from simpul_runtime.signing import Keys

MAX_CODE_FAILURES: Final = 5
"""Wrong codes after which the login begins again with the password."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a browser keeps after a login."""

    account_id: UUID
    session_secret: str = field(repr=False)
    device_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProposedAuthenticator:
    """What a person adds to their authenticator."""

    login_name: str
    secret: str = field(repr=False)


class SignIn:
    """Logins and sessions."""

    def __init__(self, transactions: Transactions, keys: Keys, passwords: Passwords) -> None:
        self._transactions = transactions
        self._keys = keys
        self._passwords = passwords

    async def find_user(self, secret: str, now: datetime) -> User | None:
        """Finds who is signed in by the secret of a cookie; None for nobody."""
        async with self._transactions.begin() as transaction:
            user = await sessions.find_user(transaction.connection, secret, now)
            unread = await list_unread(transaction.connection, user) if user else ()
        return replace(user, unread_notices=len(unread)) if user and unread else user

    async def recall_user(self, secret: str, now: datetime) -> User | None:
        """Finds who is signed in, without prolonging the session; None for nobody."""
        async with self._transactions.begin() as transaction:
            return await sessions.recall_user(transaction.connection, secret, now)

    async def check_password(self, login_name: str, password: str, client: Client, now: datetime) -> str:
        """Checks a password; returns the secret of a session that waits for the second factor.

        Raises LoginBlocked and LoginRefused, for an account that does not exist as for a wrong password.
        """
        login_name = normalize_login_name(login_name)
        async with self._transactions.begin() as transaction:
            await self._count_attempt(transaction, login_name, client, now)
            account_id, stored = await accounts.find_login(transaction.connection, login_name)
        if not await self._passwords.verify(password, stored) or account_id is None:
            async with self._transactions.begin() as transaction:
                transaction.record(audit.login_failed(account_id, "password"))
            raise LoginRefused
        return await self.begin_session(account_id, client, now)

    async def begin_session(self, account_id: UUID, client: Client, now: datetime) -> str:
        """Begins a session that waits for its second factor; returns its secret."""
        secret = new_secret()
        async with self._transactions.begin() as transaction:
            await sessions.begin_session(
                transaction.connection,
                uuid4(),
                account_id,
                secret,
                client=client.label,
                now=now,
                expires_at=now + SECOND_FACTOR_LIMIT,
            )
        return secret

    async def needs_authenticator(self, secret: str, now: datetime) -> bool:
        """Whether the person of a begun session has no authenticator yet; raises SessionEnded."""
        async with self._transactions.begin() as transaction:
            return (await _find_begun(transaction, secret, now)).totp_secret is None

    async def propose_authenticator(self, secret: str, now: datetime) -> ProposedAuthenticator:
        """Returns what the person of a begun session adds to their authenticator; raises SessionEnded."""
        async with self._transactions.begin() as transaction:
            begun = await _find_begun(transaction, secret, now)
        if begun.totp_secret is not None:
            raise SessionEnded
        return ProposedAuthenticator(begun.login_name, propose_secret(secret))

    async def add_authenticator(self, secret: str, code: str, client: Client, now: datetime) -> SignedIn:
        """Adds the proposed authenticator, proven by a code, and signs the person in.

        Raises SessionEnded and CodeWrong.
        """
        proposed = propose_secret(secret)
        async with self._transactions.begin() as transaction:
            begun = await _find_begun(transaction, secret, now)
            if begun.totp_secret is not None:
                raise SessionEnded
            step = find_step(proposed, code, now, last_step=0)
            if step is not None:
                await self._add_authenticator(transaction, begun.account_id, proposed, step)
                return await self._complete(transaction, begun, client, now)
        raise CodeWrong

    async def check_recovery_code(self, secret: str, code: str, client: Client, now: datetime) -> SignedIn:
        """Checks a code on paper, which ends with it, and signs the person in.

        Raises SessionEnded, LoginBlocked and CodeWrong; after some wrong codes the login begins again.
        """
        async with self._transactions.begin() as transaction:
            begun = await _find_begun(transaction, secret, now)
            await self._count_attempt(transaction, begun.login_name, client, now)
            if await recovery_codes.use_code(transaction.connection, begun.account_id, read_code(code)):
                transaction.record(audit.account_changed(begun.account_id, "recovery_code_used", begun.account_id))
                return await self._complete(transaction, begun, client, now)
            await self._refuse_code(transaction, begun)
        raise CodeWrong

    async def sign_in(
        self, transaction: Transaction, account_id: UUID, login_name: str, client: Client, now: datetime
    ) -> SignedIn:
        """Signs in a person who has proven both factors at once."""
        session_id, begun_secret = uuid4(), new_secret()
        await sessions.begin_session(
            transaction.connection,
            session_id,
            account_id,
            begun_secret,
            client=client.label,
            now=now,
            expires_at=now + SECOND_FACTOR_LIMIT,
        )
        return await self._complete(transaction, await _find_begun(transaction, begun_secret, now), client, now)

    async def propose_new_authenticator(self, user: User, secret: str) -> ProposedAuthenticator:
        """Returns what a person who is signed in adds to a new authenticator; `secret` is that of their session."""
        async with self._transactions.begin() as transaction:
            login_name, stored = await accounts.load_authenticator(transaction.connection, user.id)
        return ProposedAuthenticator(login_name, _propose_next(secret, stored))

    async def change_authenticator(self, user: User, secret: str, code: str, now: datetime) -> None:
        """Replaces the authenticator of a person by the proposed one, proven by a code; ends their other sessions.

        Raises CodeWrong.
        """
        async with self._transactions.begin() as transaction:
            _, stored = await accounts.load_authenticator(transaction.connection, user.id)
            proposed = _propose_next(secret, stored)
            step = find_step(proposed, code, now, last_step=0)
            if step is None:
                raise CodeWrong
            await self._add_authenticator(transaction, user.id, proposed, step)
            await sessions.end_sessions(transaction.connection, user.id, kept=user.session_id)
            await sessions.forget_devices(transaction.connection, user.id)

    async def enrol_authenticator(self, account_id: UUID, secret: str) -> None:
        """Adds an authenticator whose secret is known, such as that of an invented person."""
        async with self._transactions.begin() as transaction:
            await self._add_authenticator(transaction, account_id, secret, step=0)

    async def check_code(self, secret: str, code: str, client: Client, now: datetime) -> SignedIn:
        """Checks a code of the authenticator and signs the person in.

        Raises SessionEnded, LoginBlocked and CodeWrong; after some wrong codes the login begins again.
        """
        async with self._transactions.begin() as transaction:
            begun = await _find_begun(transaction, secret, now)
            if begun.totp_secret is None:
                raise SessionEnded
            await self._count_attempt(transaction, begun.login_name, client, now)
            step = find_step(self._open(begun), code, now, begun.totp_step)
            if step is not None and await accounts.use_code(transaction.connection, begun.account_id, step):
                return await self._complete(transaction, begun, client, now)
            await self._refuse_code(transaction, begun)
        raise CodeWrong

    async def sign_out(self, user: User) -> None:
        """Ends the session of a person."""
        if user.session_id is None:
            return
        async with self._transactions.begin() as transaction:
            await sessions.end_session(transaction.connection, user.id, user.session_id)
            transaction.record(audit.account_changed(user.id, "signed_out", user.id, str(user.session_id)))

    async def _add_authenticator(self, transaction: Transaction, account_id: UUID, secret: str, step: int) -> None:
        stored = self._keys.encrypt(secret.encode(), associated_data=_place(account_id))
        await accounts.set_authenticator(transaction.connection, account_id, stored, step)
        transaction.record(audit.account_changed(account_id, "authenticator_added", account_id))

    async def _complete(self, transaction: Transaction, begun: BegunSession, client: Client, now: datetime) -> SignedIn:
        secret, device_secret = new_secret(), client.device_secret
        await sessions.complete_session(
            transaction.connection, begun.session_id, secret, now=now, expires_at=now + ABSOLUTE_LIMIT
        )
        await limits.forgive_attempt(
            transaction.connection, await _subjects(transaction, begun.login_name, client), now
        )
        if not await _is_known(transaction, begun.login_name, client):
            device_secret = new_secret()
            await sessions.add_known_device(transaction.connection, begun.account_id, device_secret, now)
        transaction.record(audit.signed_in(begun.account_id, begun.session_id))
        return SignedIn(begun.account_id, secret, device_secret)

    async def _refuse_code(self, transaction: Transaction, begun: BegunSession) -> None:
        if begun.code_failures + 1 >= MAX_CODE_FAILURES:
            await sessions.end_session(transaction.connection, begun.account_id, begun.session_id)
        else:
            await sessions.count_code_failure(transaction.connection, begun.session_id)
        transaction.record(audit.login_failed(begun.account_id, "code"))

    async def _count_attempt(self, transaction: Transaction, login_name: str, client: Client, now: datetime) -> None:
        """Counts an attempt; raises LoginBlocked, with which the transaction ends and leaves nothing."""
        subjects = await _subjects(transaction, login_name, client)
        wait = await limits.count_attempt(transaction.connection, subjects, now)
        if wait:
            raise LoginBlocked(wait)

    def _open(self, begun: BegunSession) -> str:
        return self._keys.decrypt(begun.totp_secret or b"", associated_data=_place(begun.account_id)).decode()


async def _find_begun(transaction: Transaction, secret: str, now: datetime) -> BegunSession:
    begun = await sessions.find_begun_session(transaction.connection, secret, now)
    if begun is None:
        raise SessionEnded
    return begun


def _propose_next(secret: str, stored: bytes | None) -> str:
    """Returns the secret of the next authenticator, which is another one after each change."""
    return propose_secret(f"{secret} {(stored or b'').hex()}")


async def _subjects(transaction: Transaction, login_name: str, client: Client) -> Sequence[LimitSubject]:
    is_known = await _is_known(transaction, login_name, client)
    return subjects_of(login_name, client.address, hash_secret(client.device_secret) if is_known else b"")


async def _is_known(transaction: Transaction, login_name: str, client: Client) -> bool:
    if not client.device_secret:
        return False
    return await sessions.is_known_device(transaction.connection, client.device_secret, login_name)


def _place(account_id: UUID) -> str:
    return f"account/{account_id}/totp_secret"
