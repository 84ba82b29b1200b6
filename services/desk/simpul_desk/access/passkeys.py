"""Signs people in by a key in their phone, computer or stick, which asks for their finger, face or PIN."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from simpul_desk.access import audit
from simpul_desk.access.accounts import Accounts
from simpul_desk.access.client import Client
from simpul_desk.access.errors import PasskeyRefused
from simpul_desk.access.repository import passkeys
from simpul_desk.access.repository.passkeys import ListedPasskey, StoredPasskey
from simpul_desk.access.session import new_secret
from simpul_desk.access.sign_in import SignedIn, SignIn
from simpul_desk.access.transactions import Transaction, Transactions
from simpul_desk.access.user import User

ANSWER_LIMIT: Final = timedelta(minutes=5)
"""Time for a person to touch their phone or stick."""
MAX_NAME_LENGTH: Final = 60
_NAME: Final = "Simpul"


@dataclass(frozen=True, slots=True)
class Site:
    """The site that a passkey is for."""

    host: str
    origin: str
    """Scheme, host and port, as a browser names it."""


class Passkeys:
    """Passkeys of people."""

    def __init__(self, transactions: Transactions, accounts: Accounts, sign_in: SignIn) -> None:
        self._transactions = transactions
        self._accounts = accounts
        self._sign_in = sign_in

    async def list(self, user: User) -> Sequence[ListedPasskey]:
        """Lists the passkeys of a person, the oldest first."""
        async with self._transactions.begin() as transaction:
            return await passkeys.list_passkeys(transaction.connection, user.id)

    async def begin_adding(self, user: User, password: str, site: Site, now: datetime) -> str:
        """Returns, as JSON, what a browser makes a passkey from; raises LoginRefused for a wrong password."""
        login_name = await self._accounts.prove_password(user, password)
        known = [PublicKeyCredentialDescriptor(id=one.credential_id) for one in await self.list(user)]
        challenge = new_secret().encode()
        await self._add_challenge(challenge, user, now)
        return options_to_json(
            generate_registration_options(
                rp_id=site.host,
                rp_name=_NAME,
                user_id=user.id.bytes,
                user_name=login_name,
                user_display_name=user.name,
                challenge=challenge,
                exclude_credentials=known,
                authenticator_selection=AuthenticatorSelectionCriteria(
                    resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
                ),
            )
        )

    async def add(self, user: User, name: str, answer: str, site: Site, now: datetime) -> None:
        """Adds the passkey that a browser made; raises PasskeyRefused."""
        async with self._transactions.begin() as transaction:
            challenge = await _take_challenge(transaction, answer, user, now)
            try:
                made = verify_registration_response(
                    credential=answer,
                    expected_challenge=challenge,
                    expected_rp_id=site.host,
                    expected_origin=site.origin,
                    require_user_verification=True,
                )
            except WebAuthnException as error:
                raise PasskeyRefused from error
            await passkeys.add_passkey(
                transaction.connection,
                user.id,
                credential_id=made.credential_id,
                public_key=made.credential_public_key,
                sign_count=made.sign_count,
                name=name.strip()[:MAX_NAME_LENGTH],
                now=now,
            )
            transaction.record(audit.account_changed(user.id, "passkey_added", user.id))

    async def remove(self, user: User, credential_id: bytes) -> bool:
        """Removes a passkey of a person; False if they have none of this id."""
        async with self._transactions.begin() as transaction:
            is_removed = await passkeys.remove_passkey(transaction.connection, user.id, credential_id)
            if is_removed:
                transaction.record(audit.account_changed(user.id, "passkey_removed", user.id))
        return is_removed

    async def begin_login(self, site: Site, now: datetime) -> str:
        """Returns, as JSON, what a passkey signs for a login."""
        challenge = new_secret().encode()
        await self._add_challenge(challenge, None, now)
        return options_to_json(
            generate_authentication_options(
                rp_id=site.host, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
            )
        )

    async def sign_in(self, answer: str, site: Site, client: Client, now: datetime) -> SignedIn:
        """Signs in whose passkey answered; raises PasskeyRefused.

        The passkey has asked for a finger, face or PIN, so that it is both factors.
        """
        async with self._transactions.begin() as transaction:
            challenge = await _take_challenge(transaction, answer, None, now)
            credential_id = base64url_to_bytes(str(json.loads(answer).get("rawId", "")))
            stored = await passkeys.find_passkey(transaction.connection, credential_id)
            if stored is None:
                raise PasskeyRefused
            count = _verify_login(answer, challenge, site, stored)
            await passkeys.use_passkey(transaction.connection, credential_id, count, now)
            return await self._sign_in.sign_in(transaction, stored.account_id, stored.login_name, client, now)

    async def _add_challenge(self, challenge: bytes, user: User | None, now: datetime) -> None:
        async with self._transactions.begin() as transaction:
            await passkeys.add_challenge(
                transaction.connection, challenge, user.id if user else None, now=now, expires_at=now + ANSWER_LIMIT
            )


async def _take_challenge(transaction: Transaction, answer: str, user: User | None, now: datetime) -> bytes:
    """Uses up the challenge that an answer is about; raises PasskeyRefused."""
    try:
        signed = json.loads(answer)["response"]["clientDataJSON"]
        challenge = parse_client_data_json(base64url_to_bytes(signed)).challenge
    except (ValueError, KeyError, TypeError, WebAuthnException) as error:
        raise PasskeyRefused from error
    if not await passkeys.take_challenge(transaction.connection, challenge, user.id if user else None, now):
        raise PasskeyRefused
    return challenge


def _verify_login(answer: str, challenge: bytes, site: Site, stored: StoredPasskey) -> int:
    """Returns how often the passkey was used; raises PasskeyRefused."""
    try:
        return verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=stored.public_key,
            credential_current_sign_count=stored.sign_count,
            require_user_verification=True,
        ).new_sign_count
    except WebAuthnException as error:
        raise PasskeyRefused from error
